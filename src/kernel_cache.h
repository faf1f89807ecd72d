// Compiled kernels by source text: bounded, least recently used first out, and compiled once however many threads ask.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine.h"

namespace helion_msl {

// Everything that can change what a compile gives.
struct KernelKey {
  DeviceKind device;
  CompileRequest request;
};

// Two objects whose addresses stand for a source text and a kernel name. The cache keeps them alive, so an address
// that is known still means the text that it meant.
struct SourceIdentity {
  void *source = nullptr;
  void *name = nullptr;
  DeviceKind device = DeviceKind::cpu;

  bool operator==(const SourceIdentity &) const = default;
};

struct CacheStatistics {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;  // compiles that were started
  std::size_t size = 0;
  std::size_t capacity = 0;
};

// Every method may be called from several threads. `retain` and `release` count references to the objects of
// identities; methods that call them say so, and are called with whatever lock those need (Python's).
class KernelCache {
 public:
  using Kernel = std::shared_ptr<const CompiledKernel>;
  using CountReference = void (*)(void *object);

  KernelCache(std::size_t capacity, CountReference retain, CountReference release);

  // Null where unknown. Compares two addresses, and does not read the text. What the thread has found before it finds
  // without a lock, until an identity is forgotten.
  Kernel find(const SourceIdentity &identity);
  // Compares the full text.
  Kernel find(const KernelKey &key);
  // Compiles without a lock. A second thread that wants the same kernel meanwhile waits for the first one's, and gets
  // the same error if it fails; a failure is not remembered.
  Kernel find_or_compile(const KernelKey &key, Engine &engine);
  // From now on `identity` finds the kernel of `key`, if that is still there. Counts references.
  void remember(const SourceIdentity &identity, const KernelKey &key);
  // Forgets all kernels and the statistics; launches that hold a kernel are not disturbed. Counts references.
  void clear();
  CacheStatistics statistics();

 private:
  struct KeyHash {
    std::size_t operator()(const KernelKey *key) const;
  };
  struct KeyEqual {
    bool operator()(const KernelKey *a, const KernelKey *b) const;
  };
  struct IdentityHash {
    std::size_t operator()(const SourceIdentity &identity) const;
  };
  // What an entry shares with the threads that have found it, which hold it weakly: what the cache drops goes.
  struct Found {
    explicit Found(Kernel found_kernel) : kernel(std::move(found_kernel)) {}
    const Kernel kernel;
    std::atomic<std::uint64_t> last_use = 0;  // the number of the hit
  };
  struct Entry {
    KernelKey key;
    std::shared_ptr<Found> found;
    std::vector<SourceIdentity> identities;  // oldest first
  };
  struct Recent {
    const KernelCache *cache = nullptr;
    SourceIdentity identity{};
    std::uint64_t generation = 0;
    std::weak_ptr<Found> found;
  };
  struct Compilation {
    KernelKey key;
    std::int64_t process;  // a fork's child has the entry, but not the thread that would finish it
    std::promise<Kernel> promise;
    std::shared_future<Kernel> result;
  };
  using Entries = std::list<Entry>;  // newest first

  static Recent &recent_of(const SourceIdentity &identity);
  Kernel use(const std::shared_ptr<Found> &found);
  void insert_locked(const KernelKey &key, const Kernel &kernel);
  void forget_identity_locked(const SourceIdentity &identity);
  void release_forgotten_locked();
  Kernel compile(const std::shared_ptr<Compilation> &compilation, Engine &engine);

  const std::size_t capacity_;
  const CountReference retain_;
  const CountReference release_;
  std::mutex mutex_;
  Entries entries_;
  std::unordered_map<const KernelKey *, Entries::iterator, KeyHash, KeyEqual> by_key_;
  std::unordered_map<SourceIdentity, Entries::iterator, IdentityHash> by_identity_;
  std::unordered_map<const KernelKey *, std::shared_ptr<Compilation>, KeyHash, KeyEqual> compilations_;
  std::vector<SourceIdentity> forgotten_;  // to be released by the next method that counts references
  std::atomic<std::uint64_t> generation_ =
      1;  // counts forgotten identities: their objects' addresses may be used again
  std::atomic<std::uint64_t> hits_ = 0;
  std::uint64_t misses_ = 0;
};

// The capacity that HELION_MSL_CACHE_SIZE asks for, or the default. Throws Error where it is not a positive integer.
std::size_t cache_capacity_from_environment();

}  // namespace helion_msl
