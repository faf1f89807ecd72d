#include "torch_stream.h"

#include <array>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#import "double_commands.h"
#include "double_state.h"
#import "metal_newer.h"

using namespace metal_double;

#define TORCH_EXPORT __attribute__((visibility("default")))

// ---- The queue. A serial queue of libdispatch runs a synchronous block on the caller's own thread.
// -------------------

struct dispatch_queue_s {
  std::mutex mutex;
  std::atomic<std::thread::id> owner{};
  std::mutex specifics_mutex;
  std::map<const void *, void *> specifics;  // guarded by specifics_mutex
};

namespace {

thread_local dispatch_queue_t current_queue = nullptr;  // which runs the thread

}  // namespace

extern "C" TORCH_EXPORT void dispatch_queue_set_specific(dispatch_queue_t queue, const void *key, void *context,
                                                         dispatch_function_t) {
  const InDouble inside;
  const std::lock_guard lock(queue->specifics_mutex);
  queue->specifics[key] = context;
}

extern "C" TORCH_EXPORT void *dispatch_get_specific(const void *key) {
  if (current_queue == nullptr) return nullptr;
  const InDouble inside;
  const std::lock_guard lock(current_queue->specifics_mutex);
  const auto found = current_queue->specifics.find(key);
  return found == current_queue->specifics.end() ? nullptr : found->second;
}

extern "C" TORCH_EXPORT void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
  if (queue->owner == std::this_thread::get_id()) {
    report_violation("dispatch_sync on the queue that runs the caller: libdispatch would never return");
    work(context);
    return;
  }
  const dispatch_queue_t outer = current_queue;
  const auto enter = [queue] {
    const InDouble inside;
    ++counters().dispatch_syncs;
    queue->mutex.lock();
    queue->owner = std::this_thread::get_id();
    current_queue = queue;
  };
  const auto leave = [queue, outer] {
    const InDouble inside;
    current_queue = outer;
    queue->owner = std::thread::id();
    queue->mutex.unlock();
  };
  enter();
  try {
    work(context);
  } catch (...) {
    report_violation("an exception crossed dispatch_sync: libdispatch would end the process");
    leave();
    throw;
  }
  leave();
}

namespace metal_double {

void require_queue(dispatch_queue_t queue, const char *what) {
  if (queue->owner != std::this_thread::get_id()) report_violation(std::string(what) + " outside of torch's queue");
}

}  // namespace metal_double

// ---- MPSCommandBuffer: the wrapper that torch's stream hands out, which goes on with a new buffer after a commit.
// -----

@interface DoubleMPSCommandBuffer : DoubleObject <MTLCommandBuffer> {
  GpuQueue *_queue;
  DoubleCommandBuffer *_root;
}
- (instancetype)initWithQueue:(GpuQueue &)queue;
- (id<MTLCommandBuffer>)rootCommandBuffer;
- (DoubleComputeCommandEncoder *)computeCommandEncoder;
- (void)commitAndContinue;
- (DoubleCommandBuffer *)root;
@end

@implementation DoubleMPSCommandBuffer
- (instancetype)initWithQueue:(GpuQueue &)queue {
  self = [super init];
  if (self != nil) {
    _queue = &queue;
    _root = [[DoubleCommandBuffer alloc] initWithQueue:queue];
  }
  return self;
}
- (void)dealloc {
  [_root release];
  [super dealloc];
}
- (id<MTLCommandBuffer>)rootCommandBuffer {
  return _root;
}
- (DoubleCommandBuffer *)root {
  return _root;
}
- (DoubleComputeCommandEncoder *)computeCommandEncoder {
  return [_root computeCommandEncoder];
}
- (void)commitAndContinue {
  [_root commit];
  [_root release];
  _root = [[DoubleCommandBuffer alloc] initWithQueue:*_queue];
}
- (NSString *)label {
  return _root.label;
}
- (void)setLabel:(NSString *)label {
  _root.label = label;
}
- (MTLCommandBufferStatus)status {
  return _root.status;
}
- (NSError *)error {
  return _root.error;
}
- (NSTimeInterval)GPUStartTime {
  return _root.GPUStartTime;
}
- (NSTimeInterval)GPUEndTime {
  return _root.GPUEndTime;
}
- (void)addCompletedHandler:(MTLCommandBufferHandler)block {
  [_root addCompletedHandler:block];
}
@end

// ---- torch's C++ interface, with the names and signatures of torch 2.10 to 2.15.
// --------------------------------------

namespace at::mps {

enum class SyncType { NONE, COMMIT, COMMIT_AND_WAIT, COMMIT_AND_CONTINUE, COMMIT_ADAPTIVE };

class TORCH_EXPORT MPSStream {
 public:
  id<MTLComputeCommandEncoder> commandEncoder();
  id<MTLCommandBuffer> commandBuffer();
  void endKernelCoalescing();
  void synchronize(SyncType how);
  id<MTLDevice> device() const;

  DoubleComputeCommandEncoder *encoder = nil;
  dispatch_queue_s queue;

 private:
  void commit();
  void throw_error();

  GpuQueue &gpu_ = make_gpu_queue();
  DoubleMPSCommandBuffer *buffer_ = nil;
  std::mutex error_mutex_;
  std::string error_;  // of a command buffer; guarded by error_mutex_
};

// Sends off what is encoded, and goes on with a new buffer. torch 2.15 keeps the error of a buffer that fails.
void MPSStream::commit() {
  if (staged().torch_minor_version >= 15) {
    [[buffer_ root] addCompletedHandler:^(id<MTLCommandBuffer> completed) {
      @autoreleasepool {
        if (completed.error == nil) return;
        const std::lock_guard lock(error_mutex_);
        error_ = "MPS command buffer execution failed: " + text_of(completed.error.localizedDescription);
      }
    }];
  }
  [buffer_ commitAndContinue];
}

// torch reports when it has waited: errors of its own kernels, and from 2.15 on failed command buffers too.
void MPSStream::throw_error() {
  std::string error = take_staged(&Staged::torch_error);
  if (error.empty()) {
    const std::lock_guard lock(error_mutex_);
    error.swap(error_);
  }
  if (!error.empty()) throw std::runtime_error(error + "\nException raised from synchronize (a backtrace follows)");
}

id<MTLDevice> MPSStream::device() const { return shared_device(); }

id<MTLCommandBuffer> MPSStream::commandBuffer() {
  ++counters().torch_calls;
  const InDouble inside;
  require_queue(&queue, "MPSStream::commandBuffer()");
  if (!take_staged(&Staged::no_command_buffer).empty()) return nil;
  if (buffer_ == nil) buffer_ = [[DoubleMPSCommandBuffer alloc] initWithQueue:gpu_];
  return buffer_;
}

id<MTLComputeCommandEncoder> MPSStream::commandEncoder() {
  ++counters().torch_calls;
  const InDouble inside;
  require_queue(&queue, "MPSStream::commandEncoder()");
  if (!take_staged(&Staged::no_encoder).empty()) return nil;
  if (encoder == nil) {
    commandBuffer();
    @autoreleasepool {
      encoder = [[buffer_ computeCommandEncoder] retain];
    }
  }
  return encoder;
}

void MPSStream::endKernelCoalescing() {
  const InDouble inside;
  require_queue(&queue, "MPSStream::endKernelCoalescing()");
  if (encoder == nil) return;
  [encoder endEncoding];
  [encoder release];
  encoder = nil;
}

void MPSStream::synchronize(SyncType how) {
  ++counters().torch_calls;
  const InDouble inside;
  require_queue(&queue, "MPSStream::synchronize()");
  endKernelCoalescing();
  if (how == SyncType::NONE || how == SyncType::COMMIT_ADAPTIVE || buffer_ == nil) return;
  DoubleCommandBuffer *committed = [[buffer_ root] retain];
  commit();
  if (how == SyncType::COMMIT_AND_WAIT) {
    [committed waitUntilCompleted];
    [buffer_ release];
    buffer_ = nil;
  }
  [committed release];
  if (how == SyncType::COMMIT_AND_WAIT) throw_error();
}

namespace {

constexpr int pool_size = 32;
std::array<MPSStream *, pool_size + 1> streams;  // guarded by streams_mutex; never destroyed
std::mutex streams_mutex;
thread_local int current_stream = 0;

// torch makes its streams when they are first asked for, and keeps them as long as the process.
MPSStream *stream_by_id(int id) {
  const InDouble inside;
  const std::lock_guard lock(streams_mutex);
  MPSStream *&stream = streams.at(static_cast<std::size_t>(id));
  if (stream == nullptr) stream = new MPSStream;
  return stream;
}

}  // namespace

TORCH_EXPORT MPSStream *getCurrentMPSStream() {
  ++counters().torch_calls;
  return stream_by_id(staged().torch_minor_version >= 15 ? current_stream : 0);
}

}  // namespace at::mps

namespace torch::mps {

TORCH_EXPORT bool is_available() { return !staged().torch_without_mps && shared_device() != nil; }
TORCH_EXPORT dispatch_queue_t get_dispatch_queue() {
  ++counters().torch_calls;
  return stream_queue();
}
TORCH_EXPORT id<MTLCommandBuffer> get_command_buffer() {
  // Ends torch's open encoder on every call, so that the caller can make its own.
  at::mps::getCurrentMPSStream()->endKernelCoalescing();
  return at::mps::getCurrentMPSStream()->commandBuffer();
}
TORCH_EXPORT void commit() { torch_commit(); }
TORCH_EXPORT void synchronize() {
  if (const std::string error = torch_synchronize(); !error.empty()) throw std::runtime_error(error);
}

}  // namespace torch::mps

// ---- What tests have torch do.
// ----------------------------------------------------------------------------------------

namespace metal_double {
namespace {

void on_queue(std::function<void(at::mps::MPSStream &)> body) {
  const InDouble inside;
  struct Call {
    at::mps::MPSStream &stream;
    std::function<void(at::mps::MPSStream &)> &body;
    std::exception_ptr error;
  } call{*at::mps::getCurrentMPSStream(), body, nullptr};
  dispatch_sync_f(&call.stream.queue, &call, [](void *context) {
    auto &running = *static_cast<Call *>(context);
    try {
      @autoreleasepool {
        running.body(running.stream);
      }
    } catch (const std::exception &) {
      running.error = std::current_exception();
    }
  });
  if (call.error) std::rethrow_exception(call.error);
}

}  // namespace

dispatch_queue_t stream_queue() { return &at::mps::getCurrentMPSStream()->queue; }

void set_current_stream(int stream) { at::mps::current_stream = stream; }

void torch_kernel(std::function<void()> work) {
  on_queue([&](at::mps::MPSStream &stream) {
    stream.commandEncoder();
    [stream.encoder encodeForeign:std::move(work)];
  });
}

void torch_copy(std::function<void()> work) {
  on_queue([&](at::mps::MPSStream &stream) {
    stream.endKernelCoalescing();
    auto *buffer = (DoubleMPSCommandBuffer *)stream.commandBuffer();
    [[buffer root] append:std::move(work)];
  });
}

void torch_commit() {
  on_queue([](at::mps::MPSStream &stream) { stream.synchronize(at::mps::SyncType::COMMIT); });
}

std::string torch_synchronize() {
  try {
    on_queue([](at::mps::MPSStream &stream) { stream.synchronize(at::mps::SyncType::COMMIT_AND_WAIT); });
  } catch (const std::exception &error) {
    return error.what();
  }
  return {};
}

void end_encoder_of_torch() {
  on_queue([](at::mps::MPSStream &stream) { stream.endKernelCoalescing(); });
}

}  // namespace metal_double
