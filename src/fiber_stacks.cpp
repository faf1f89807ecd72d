#include "fiber_stacks.h"

#include <sys/mman.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/uio.h>
#endif

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

#include "errors.h"

namespace helion_msl {

namespace {

constexpr std::size_t block_size = FiberStacks::stack_size * FiberStacks::stacks_per_block;
// Above this much memory a runner's stacks are given back after a launch. 32 stacks of a few pages stay.
constexpr std::size_t retained_limit = std::size_t{32} << 20;
// What a stack keeps when it is trimmed.
constexpr std::size_t retained_per_stack = std::size_t{16} << 10;
#if defined(__APPLE__)
constexpr int release_advice = MADV_FREE;  // there MADV_DONTNEED keeps the pages
#else
constexpr int release_advice = MADV_DONTNEED;
#endif

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// Distance of the highest usable byte from the end of the stack's pages. Frames at the same offset of different pages
// compete for the same few lines of the first-level cache (its sets are chosen by the address within 4 KiB), so
// neighbours start a few cache lines apart.
std::size_t colour(std::size_t index) {
  return index % 21 * 3 * 64;
}

// Linux 6.13 marks guard pages inside a mapping; before that, and elsewhere, each one splits the mapping in two, of
// which a process may have 65530 (vm.max_map_count). Without a guard page an overflow is not caught, but the kernel's
// frame has been checked against the stack size when it was compiled.
#if defined(__linux__)
constexpr int madv_guard_install = 102;  // include/uapi/asm-generic/mman-common.h
#endif

bool install_guard(std::byte *page) {
#if defined(__linux__)
  static std::atomic<bool> marks_supported{true};
  if (marks_supported.load(std::memory_order_relaxed)) {
    if (madvise(page, page_size(), madv_guard_install) == 0) return true;
    marks_supported.store(false, std::memory_order_relaxed);
  }
  static std::atomic<std::uint32_t> splits{0};
  if (splits.fetch_add(1, std::memory_order_relaxed) >= 20000) return false;
#endif
  return mprotect(page, page_size(), PROT_NONE) == 0;
}

// The guard pages of a whole block, by one call where the system has it.
void install_guards(std::byte *block) {
#if defined(__linux__) && defined(SYS_process_madvise)
  constexpr int this_process = -10000;  // PIDFD_SELF of include/uapi/linux/pidfd.h, from Linux 6.14 on
  std::array<iovec, FiberStacks::stacks_per_block> pages;
  for (std::size_t index = 0; index < pages.size(); ++index) {
    pages[index] = {block + index * FiberStacks::stack_size, page_size()};
  }
  const long marked = syscall(SYS_process_madvise, this_process, pages.data(), pages.size(), madv_guard_install, 0u);
  if (marked == static_cast<long>(pages.size() * page_size())) return;
#endif
  for (std::size_t index = 0; index < FiberStacks::stacks_per_block; ++index) {
    install_guard(block + index * FiberStacks::stack_size);
  }
}

// `count` blocks in one mapping, each at a multiple of its size: what is left of a mapping with one more.
std::byte *map_aligned_blocks(std::size_t count) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
  flags |= MAP_NORESERVE;
#endif
  void *address = mmap(nullptr, (count + 1) * block_size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  auto *const begin = static_cast<std::byte *>(address);
  const std::size_t before = (block_size - reinterpret_cast<std::uintptr_t>(address) % block_size) % block_size;
  if (before != 0) munmap(begin, before);
  munmap(begin + before + count * block_size, block_size - before);
#if defined(MADV_NOHUGEPAGE)
  // A huge page would make 2 MiB of memory out of the few hundred bytes that a thread uses.
  madvise(begin + before, count * block_size, MADV_NOHUGEPAGE);
#endif
  return begin + before;
}

std::size_t resident_bytes(std::byte *address, std::size_t size) {
#if defined(__APPLE__)
  std::vector<char> pages(size / page_size());
#else
  std::vector<unsigned char> pages(size / page_size());
#endif
  if (mincore(address, size, pages.data()) != 0) return 0;
  std::size_t resident = 0;
  for (const auto page : pages) resident += static_cast<unsigned>(page) & 1u;
  return resident * page_size();
}

}  // namespace

FiberStacks::~FiberStacks() {
  for (std::byte *block : blocks_) munmap(block, block_size);
}

void FiberStacks::reserve(std::size_t wanted) {
  if (count() >= wanted) return;
  const std::size_t known = blocks_.size(), needed = (wanted + stacks_per_block - 1) / stacks_per_block;
  blocks_.reserve(needed);
  std::byte *const begin = map_aligned_blocks(needed - known);
  if (begin == nullptr) {
    throw LaunchError("out of address space for the stacks of a threadgroup (" + std::to_string(block_size >> 20) +
                      " MiB for 32 threads): " + std::generic_category().message(errno) +
                      "; use smaller threadgroups or raise the limit (ulimit -v)");
  }
  for (std::size_t index = 0; index < needed - known; ++index) {
    blocks_.push_back(begin + index * block_size);
    install_guards(blocks_.back());
  }
}

std::byte *FiberStacks::top(std::size_t index) const {
  std::byte *block = blocks_[index / stacks_per_block];
  return block + (index % stacks_per_block + 1) * stack_size - colour(index);
}

std::size_t FiberStacks::size(std::size_t index) const {
  return stack_size - page_size() - colour(index);
}

void FiberStacks::trim() {
  if (blocks_.empty()) return;
  const std::size_t resident = resident_bytes(blocks_.front() + page_size(), stack_size - page_size());
  if (resident * count() <= retained_limit) return;
  for (std::byte *block : blocks_) {
    for (std::size_t index = 0; index < stacks_per_block; ++index) {
      std::byte *usable = block + index * stack_size + page_size();
      madvise(usable, stack_size - page_size() - retained_per_stack, release_advice);
    }
  }
}

}  // namespace helion_msl
