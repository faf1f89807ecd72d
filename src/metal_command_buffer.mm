#include "metal_command_buffer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "autorelease_pool.h"
#include "errors.h"
#include "objective_c_text.h"
#include "objective_c_try.h"

namespace helion_msl {
namespace {

// After a fault, Metal fails every buffer that was in flight: the first failures say all there is to say.
constexpr std::size_t failures_listed = 4;

// What the kernels' author can do about a failure, from the meaning of the codes in Metal's documentation.
std::string advice(NSError *error) {
  // The driver's own errors have domains and codes of their own.
  if (text_of(error.domain) != "MTLCommandBufferErrorDomain") return {};
  switch (static_cast<MTLCommandBufferError>(error.code)) {
    case MTLCommandBufferErrorTimeout:
      return ". The GPU stops work that runs for seconds: look for a loop that does not end, or split the launch";
    case MTLCommandBufferErrorPageFault:
      return ". A kernel reached memory outside its buffers: check its indices, or run it on CPU tensors; "
             "MTL_SHADER_VALIDATION=1 and MTL_SHADER_VALIDATION_REPORT_TO_STDERR=1 in the environment make Metal name "
             "the line";
    case MTLCommandBufferErrorInvalidResource:
      return ". Memory that the work uses was gone when it ran: look for code that releases a tensor's buffer itself";
    case MTLCommandBufferErrorOutOfMemory:
      return ". The GPU ran out of memory: free tensors, or call torch.mps.empty_cache()";
    case MTLCommandBufferErrorAccessRevoked:
      return ". Metal refuses this process's work for now, because earlier work of it failed";
    case MTLCommandBufferErrorStackOverflow:
      return ". A kernel ran out of stack: look for recursion or large arrays in it";
    default:
      return {};
  }
}

}  // namespace

void CommandBufferRecord::add_kernel(const KernelName &name) {
  const auto end = kernels.begin() + static_cast<std::ptrdiff_t>(kernel_count);
  if (std::any_of(kernels.begin(), end, [&](const KernelName &known) { return *known == *name; })) return;
  if (kernel_count == kernels.size()) {
    has_other_kernels = true;
  } else {
    kernels[kernel_count++] = name;
  }
}

std::string CommandBufferRecord::describe() const {
  std::string text = std::to_string(launches) + (launches == 1 ? " launch of " : " launches of ");
  for (std::size_t i = 0; i < kernel_count; ++i) text += (i == 0 ? "" : ", ") + *kernels[i];
  return has_other_kernels ? text + " and other kernels" : text;
}

// Lives in the handler's block. Where Metal drops the block without calling it, as for a buffer that is never
// committed, the destructor says that there is nothing to wait for.
class CommandBufferMonitor::Handler {
 public:
  Handler(CommandBufferMonitor &monitor, std::shared_ptr<CommandBufferRecord> record)
      : monitor_(monitor), record_(std::move(record)) {}
  Handler(const Handler &) = delete;
  Handler &operator=(const Handler &) = delete;
  ~Handler() { monitor_.finish(*record_); }

  void complete(id<MTLCommandBuffer> buffer) const { monitor_.complete(*record_, buffer); }

 private:
  CommandBufferMonitor &monitor_;
  std::shared_ptr<CommandBufferRecord> record_;
};

std::shared_ptr<CommandBufferRecord> CommandBufferMonitor::follow(id<MTLCommandBuffer> buffer,
                                                                  std::shared_ptr<GpuTimeRegion> region) {
  auto record = std::make_shared<CommandBufferRecord>();
  record->serial = serial_.fetch_add(1, std::memory_order_relaxed) + 1;
  record->region = std::move(region);
  // The block captures C++ objects only: on Linux the blocks runtime would not retain Objective-C ones.
  const auto handler = std::make_shared<const Handler>(*this, record);
  [buffer addCompletedHandler:^(id<MTLCommandBuffer> completed) {
    try {
      handler->complete(completed);
    } catch (const std::exception &) {
      // Out of memory while describing a failure: nobody on this thread could be told.
    }
  }];
  return record;
}

// On a thread of Metal's, which has no autorelease pool and no use for exceptions.
void CommandBufferMonitor::complete(CommandBufferRecord &record, id<MTLCommandBuffer> buffer) {
  try {
    guard_objective_c<KernelError>("Metal does not tell", [&] {
      const AutoreleasePool pool;
      if (record.region) record.region->add(buffer.GPUStartTime, buffer.GPUEndTime);
      if (buffer.status != MTLCommandBufferStatusError) return;
      NSError *error = buffer.error;
      add_failure(record.describe() + " failed on the GPU: " + helion_msl::describe(error) + advice(error));
    });
  } catch (const KernelError &error) {
    add_failure(record.describe() + " may have failed on the GPU. " + error.what());
  }
  finish(record);
}

void CommandBufferMonitor::add_failure(std::string failure) {
  const std::lock_guard lock(mutex_);
  if (failures_.size() < failures_listed) {
    failures_.push_back(std::move(failure));
  } else {
    ++unlisted_failures_;
  }
  has_failures_.store(true, std::memory_order_release);
}

void CommandBufferMonitor::finish(CommandBufferRecord &record) {
  // Under the mutex, so that wait() cannot miss it between its check and its sleep.
  const std::lock_guard lock(mutex_);
  record.finished.store(true, std::memory_order_release);
  finished_.notify_all();
}

void CommandBufferMonitor::wait(const std::vector<std::shared_ptr<CommandBufferRecord>> &records,
                                std::chrono::seconds patience) {
  std::unique_lock lock(mutex_);
  for (const auto &record : records) {
    finished_.wait_for(lock, patience, [&] { return record->finished.load(std::memory_order_acquire); });
  }
}

std::string CommandBufferMonitor::take_failures() {
  if (!has_failures_.load(std::memory_order_acquire)) return {};
  std::vector<std::string> failures;
  std::uint64_t unlisted = 0;
  {
    const std::lock_guard lock(mutex_);
    failures.swap(failures_);
    std::swap(unlisted, unlisted_failures_);
    has_failures_.store(false, std::memory_order_release);
  }
  std::string message;
  for (const auto &failure : failures) message += (message.empty() ? "" : "\n") + failure;
  if (unlisted > 0) message += "\nand " + std::to_string(unlisted) + " more command buffers failed after these";
  return message;
}

void CommandBufferMonitor::throw_failures() {
  const std::string message = take_failures();
  if (message.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    thrown_ += message;
  }
  throw KernelError(message);
}

std::string CommandBufferMonitor::take_thrown() {
  const std::lock_guard lock(mutex_);
  return std::exchange(thrown_, {});
}

}  // namespace helion_msl
