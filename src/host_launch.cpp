#include "host_launch.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "errors.h"
#include "host_threadgroup.h"
#include "thread_pool.h"

namespace helion_msl {

namespace {

using Clock = std::chrono::steady_clock;

// A first piece of this many plain threads tells what the rest will take. It takes about a microsecond.
constexpr std::uint64_t probe_threads = 2048;
// Work below this is done before a sleeping worker has woken up.
constexpr double worth_sharing_nanoseconds = 40e3;
// Pieces are long enough for handing them out to cost nothing, and short enough for the cores to finish together.
constexpr double piece_nanoseconds = 40e3;
constexpr std::uint64_t pieces_per_core = 8;

double nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

// What it takes to make the stack of one thread and to touch it for the first time.
constexpr double stack_nanoseconds = 2500;

// Runners with their stacks that are not in use. Slots instead of a lock: a lock could be held when a process forks.
std::array<std::atomic<HostThreadgroup *>, 256> idle_runners{};

// A runner for as long as this lives.
class RunnerLease {
 public:
  RunnerLease() {
    for (auto &slot : idle_runners) {
      if (slot.load(std::memory_order_relaxed) == nullptr) continue;
      runner_.reset(slot.exchange(nullptr, std::memory_order_acquire));
      if (runner_) return;
    }
    runner_ = std::make_unique<HostThreadgroup>();
  }
  ~RunnerLease() {
    runner_->release_memory();
    for (auto &slot : idle_runners) {
      HostThreadgroup *expected = nullptr;
      if (slot.load(std::memory_order_relaxed) != nullptr) continue;
      if (slot.compare_exchange_strong(expected, runner_.get(), std::memory_order_release, std::memory_order_relaxed)) {
        static_cast<void>(runner_.release());
        return;
      }
    }
  }
  RunnerLease(const RunnerLease &) = delete;
  RunnerLease &operator=(const RunnerLease &) = delete;
  HostThreadgroup *operator->() { return runner_.get(); }

 private:
  std::unique_ptr<HostThreadgroup> runner_;
};

// Whether a worker would find a runner beside the one that the caller takes.
bool has_spare_runner() {
  int idle = 0;
  for (const auto &slot : idle_runners) idle += slot.load(std::memory_order_relaxed) != nullptr ? 1 : 0;
  return idle > 1;
}

// What launches have lost by not sharing their work with a worker that had no stacks yet.
std::atomic<std::uint64_t> unshared_nanoseconds{0};

// Whether it is time to make stacks for a worker, which takes longer than many a launch: once launches have lost as
// much without it. So a process that launches once does not pay for them.
bool stacks_pay(std::uint64_t threads, double nanoseconds) {
  if (has_spare_runner()) return true;
  const std::uint64_t lost =
      unshared_nanoseconds.fetch_add(static_cast<std::uint64_t>(nanoseconds / 2), std::memory_order_relaxed);
  return static_cast<double>(lost) + nanoseconds / 2 >= static_cast<double>(threads) * stack_nanoseconds;
}

// The threadgroups of one launch, run by any number of threads.
class Launch final : public ParallelWork {
 public:
  Launch(const helion_host_kernel &kernel, const helion_host_launch &launch) : kernel_(kernel), launch_(launch) {}

  bool is_plain() const { return kernel_.run_threadgroups != nullptr; }
  const helion_host_launch &dimensions() const { return launch_; }
  // Makes what the first launch of a process has to make, so that the clock need not tell how long that takes.
  void prepare() {
    if (is_plain()) return;
    RunnerLease runner;
    runner->prepare(kernel_, launch_, failed_);
  }
  // Runs the threadgroups [begin, end) on the calling thread.
  void run(std::uint64_t begin, std::uint64_t end) {
    const DefaultFloatEnvironment environment;
    WorkRange range(begin, end, end - begin);
    run_pieces(range);
  }
  void participate(WorkRange &range) noexcept override {
    const DefaultFloatEnvironment environment;
    try {
      run_pieces(range);
    } catch (const std::exception &error) {
      // A worker without memory for stacks must not end the process, nor lose the piece that it may have taken.
      record_failure(error.what());
      range.cancel();
    }
  }
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  void throw_failure() {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) throw KernelError(failure_);
  }

 private:
  void run_pieces(WorkRange &range) {
    if (is_plain()) return run_plain_pieces(range);
    RunnerLease runner;
    runner->prepare(kernel_, launch_, failed_);
    while (const auto piece = range.take()) {
      for (std::uint64_t index = piece.begin; index < piece.end; ++index) {
        if (failed()) return range.cancel();
        if (!runner->run(index)) record_failure(runner->failure());
      }
    }
  }
  void run_plain_pieces(WorkRange &range) {
    while (const auto piece = range.take()) {
      if (const auto failure = run_plain_threadgroups(kernel_, launch_, piece.begin, piece.end)) {
        record_failure(*failure);
      }
      if (failed()) return range.cancel();
    }
  }
  // The first failure is the one reported; those of threadgroups that were cancelled because of it are empty.
  void record_failure(const std::string &message) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = message;
    failed_.store(true, std::memory_order_relaxed);
  }

  const helion_host_kernel &kernel_;
  const helion_host_launch &launch_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::string failure_;
};

std::uint64_t product(const helion_host_u32 (&dimensions)[3]) {
  return std::uint64_t{dimensions[0]} * dimensions[1] * dimensions[2];
}

// Runs the rest of a launch whose first threadgroups took `nanoseconds` each.
void run_rest(Launch &launch, std::uint64_t begin, std::uint64_t end, double nanoseconds) {
  const std::uint64_t rest = end - begin;
  const std::uint64_t cores = ThreadPool::concurrency();
  const double total = nanoseconds * static_cast<double>(rest);
  if (cores == 1 || rest == 1 || total < worth_sharing_nanoseconds ||
      (!launch.is_plain() && !stacks_pay(product(launch.dimensions().threads_per_threadgroup), total))) {
    return launch.run(begin, end);
  }
  const double by_time = piece_nanoseconds / std::max(nanoseconds, 1e-3);
  const std::uint64_t by_count = std::max<std::uint64_t>(1, rest / (cores * pieces_per_core));
  const auto piece = by_time < static_cast<double>(by_count)
                         ? std::max<std::uint64_t>(1, static_cast<std::uint64_t>(by_time))
                         : by_count;
  WorkRange range(begin, end, piece);
  ThreadPool::instance().run(launch, range, (rest + piece - 1) / piece);
}

}  // namespace

void LaunchCost::record(double nanoseconds, std::uint64_t threads) {
  nanoseconds_per_thread_.store(static_cast<float>(nanoseconds / static_cast<double>(threads)),
                                std::memory_order_relaxed);
  if (wants_sample()) samples_.fetch_add(1, std::memory_order_relaxed);
}

double LaunchCost::estimate(std::uint64_t threads) const {
  if (samples_.load(std::memory_order_relaxed) == 0) return 1e9;
  return static_cast<double>(nanoseconds_per_thread_.load(std::memory_order_relaxed)) * static_cast<double>(threads);
}

HostKernel::HostKernel(std::shared_ptr<const HostLibrary> library, const std::string &name)
    : library_(std::move(library)), function_(library_->find_kernel(name)) {
  info_ = library_->describe(function_);
}

void run_launch(const HostKernel &kernel, const helion_host_launch &dimensions) {
  Launch launch(kernel.function(), dimensions);
  const std::uint64_t threadgroups = product(dimensions.threadgroups_per_grid);
  const std::uint64_t threads = product(dimensions.threads_per_threadgroup);
  const std::uint64_t probe =
      launch.is_plain() ? std::clamp<std::uint64_t>(probe_threads / threads, 1, threadgroups) : 1;
  if (probe == threadgroups && !kernel.cost().wants_sample()) {
    launch.run(0, threadgroups);
  } else {
    if (kernel.cost().wants_sample()) launch.prepare();
    const auto start = Clock::now();
    launch.run(0, probe);
    const double elapsed = nanoseconds_since(start);
    kernel.cost().record(elapsed, probe * threads);
    if (probe < threadgroups && !launch.failed()) {
      run_rest(launch, probe, threadgroups, elapsed / static_cast<double>(probe));
    }
  }
  if (launch.failed()) launch.throw_failure();
}

}  // namespace helion_msl
