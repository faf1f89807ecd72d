// The OS threads that run launches on the CPU, beside the threads that call launch().
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

namespace helion_msl {

// Hands out the range [begin, end) in pieces, to whoever asks first.
class WorkRange {
 public:
  WorkRange(std::uint64_t begin, std::uint64_t end, std::uint64_t piece) : next_(begin), end_(end), piece_(piece) {}

  struct Piece {
    std::uint64_t begin, end;
    explicit operator bool() const { return begin < end; }
  };
  // An empty piece when all is handed out.
  Piece take();
  // What has not been handed out never will be.
  void cancel() { next_.store(end_, std::memory_order_relaxed); }
  bool exhausted() const { return next_.load(std::memory_order_relaxed) >= end_; }

 private:
  std::atomic<std::uint64_t> next_;
  const std::uint64_t end_, piece_;
};

// What the pool runs: `participate` is called once on the caller's thread and once on each worker that joins, at the
// same time, and takes pieces of the range until there are none. It must not throw.
struct ParallelWork {
  virtual void participate(WorkRange &range) noexcept = 0;

 protected:
  ~ParallelWork() = default;
};

class ThreadPool {
 public:
  // The pool of this process: made at first use, and anew in a forked child, where the parent's workers do not exist.
  static ThreadPool &instance();

  // Threads that can work on one launch, its caller included: the cores that this process may use, or
  // HELION_MSL_THREADS.
  static unsigned concurrency();

  // Runs `work` on the caller and as many workers as `pieces` can occupy; returns when all of them have left it.
  void run(ParallelWork &work, WorkRange &range, std::uint64_t pieces);

  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

 private:
  struct Job {
    ParallelWork &work;
    WorkRange &range;
    unsigned workers_wanted;
    unsigned workers_inside = 0;
    std::condition_variable last_worker_left;
  };

  ThreadPool() = default;
  ~ThreadPool() = default;
  void start_workers_locked(unsigned wanted);
  void work();
  Job *next_job_locked();

  std::mutex mutex_;
  std::condition_variable job_added_;
  std::deque<Job *> jobs_;  // wanting workers, oldest first
  unsigned workers_ = 0;
};

// The default floating-point environment (round to nearest, subnormals kept) while it lives, so that what a kernel
// computes does not depend on the thread that runs it or on what Python has set there (torch.set_flush_denormal).
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment();
  ~DefaultFloatEnvironment();
  DefaultFloatEnvironment(const DefaultFloatEnvironment &) = delete;
  DefaultFloatEnvironment &operator=(const DefaultFloatEnvironment &) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace helion_msl
