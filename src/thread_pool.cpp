#include "thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <thread>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace helion_msl {

namespace {

// Plain kernels run on the worker's own stack, which must hold what FiberStacks holds; macOS gives 512 KiB by default.
constexpr std::size_t worker_stack_size = std::size_t{2} << 20;

std::atomic<ThreadPool *> pool_of_process{nullptr};
std::mutex pool_creation;

unsigned cores_or_setting() {
  // A setting that is no number or zero is no setting.
  if (const char *setting = std::getenv("HELION_MSL_THREADS")) {
    const long value = std::strtol(setting, nullptr, 10);
    if (value > 0) return static_cast<unsigned>(std::min(value, 1024L));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

WorkRange::Piece WorkRange::take() {
  if (exhausted()) return {end_, end_};
  const std::uint64_t begin = next_.fetch_add(piece_, std::memory_order_relaxed);
  if (begin >= end_) return {end_, end_};
  return {begin, end_ - begin > piece_ ? begin + piece_ : end_};
}

unsigned ThreadPool::concurrency() {
  static const unsigned count = cores_or_setting();
  return count;
}

ThreadPool &ThreadPool::instance() {
  if (ThreadPool *pool = pool_of_process.load(std::memory_order_acquire)) return *pool;
  static const int fork_handlers = pthread_atfork([] { pool_creation.lock(); }, [] { pool_creation.unlock(); },
                                                  [] {
                                                    // Its mutex may be held by a thread that does not exist here.
                                                    pool_of_process.store(nullptr, std::memory_order_relaxed);
                                                    pool_creation.unlock();
                                                  });
  static_cast<void>(fork_handlers);
  const std::lock_guard lock(pool_creation);
  ThreadPool *pool = pool_of_process.load(std::memory_order_relaxed);
  if (pool == nullptr) {
    // Never deleted: at exit its workers are still waiting in it.
    pool = new ThreadPool;
    pool_of_process.store(pool, std::memory_order_release);
  }
  return *pool;
}

void ThreadPool::run(ParallelWork &work, WorkRange &range, std::uint64_t pieces) {
  const auto helpers =
      static_cast<unsigned>(std::min<std::uint64_t>(concurrency(), std::max<std::uint64_t>(pieces, 1))) - 1;
  if (helpers == 0) return work.participate(range);

  Job job{work, range, helpers, 0, {}};
  {
    const std::lock_guard lock(mutex_);
    start_workers_locked(helpers);
    jobs_.push_back(&job);
  }
  for (unsigned helper = 0; helper < helpers; ++helper) job_added_.notify_one();

  work.participate(range);

  std::unique_lock lock(mutex_);
  if (job.workers_wanted > 0) std::erase(jobs_, &job);
  job.last_worker_left.wait(lock, [&job] { return job.workers_inside == 0; });
}

void ThreadPool::start_workers_locked(unsigned wanted) {
  if (workers_ >= wanted) return;
  // Signals are for the threads of the program: Python handles them on its main thread.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, worker_stack_size);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  const auto body = [](void *pool) -> void * {
    static_cast<ThreadPool *>(pool)->work();
    return nullptr;
  };
  pthread_t thread;
  // Where the system has no more threads to give, those there are do the work.
  while (workers_ < wanted && pthread_create(&thread, &attributes, body, this) == 0) ++workers_;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

ThreadPool::Job *ThreadPool::next_job_locked() {
  while (!jobs_.empty()) {
    Job *job = jobs_.front();
    if (--job->workers_wanted == 0) jobs_.pop_front();
    if (!job->range.exhausted()) return job;
  }
  return nullptr;
}

void ThreadPool::work() {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "helion-msl");
#elif defined(__APPLE__)
  pthread_setname_np("helion-msl");
#endif
  std::unique_lock lock(mutex_);
  for (;;) {
    Job *job = nullptr;
    job_added_.wait(lock, [&] { return (job = next_job_locked()) != nullptr; });
    ++job->workers_inside;
    lock.unlock();
    job->work.participate(job->range);
    lock.lock();
    if (--job->workers_inside == 0) job->last_worker_left.notify_one();
  }
}

#if defined(__x86_64__)

namespace {
constexpr unsigned default_mxcsr = 0x1f80;    // all exceptions masked, round to nearest, no flushing
constexpr unsigned mxcsr_status_bits = 0x3f;  // exceptions that have occurred
}  // namespace

DefaultFloatEnvironment::DefaultFloatEnvironment() : saved_(_mm_getcsr()) {
  if ((saved_ & ~mxcsr_status_bits) != default_mxcsr) _mm_setcsr(default_mxcsr);
}

DefaultFloatEnvironment::~DefaultFloatEnvironment() {
  if ((saved_ & ~mxcsr_status_bits) != default_mxcsr) _mm_setcsr(static_cast<unsigned>(saved_));
}

#elif defined(__aarch64__)

DefaultFloatEnvironment::DefaultFloatEnvironment() {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  if (saved_ != 0) asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
}

DefaultFloatEnvironment::~DefaultFloatEnvironment() {
  if (saved_ != 0) asm volatile("msr fpcr, %0" : : "r"(saved_));
}

#else

DefaultFloatEnvironment::DefaultFloatEnvironment() : saved_(0) {}
DefaultFloatEnvironment::~DefaultFloatEnvironment() = default;

#endif

}  // namespace helion_msl
