#include "torch_stream.h"

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
};

extern "C" TORCH_EXPORT void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
  if (queue->owner == std::this_thread::get_id()) {
    report_violation("dispatch_sync on the queue that runs the caller: libdispatch would never return");
    work(context);
    return;
  }
  const auto enter = [queue] {
    const InDouble inside;
    ++counters().dispatch_syncs;
    queue->mutex.lock();
    queue->owner = std::this_thread::get_id();
  };
  const auto leave = [queue] {
    const InDouble inside;
    queue->owner = std::thread::id();
    queue->mutex.unlock();
  };
  enter();
  work(context);
  leave();
}

namespace metal_double {

dispatch_queue_t stream_queue() {
  static dispatch_queue_s queue;
  return &queue;
}

void require_stream_queue(const char *what) {
  if (stream_queue()->owner != std::this_thread::get_id()) {
    report_violation(std::string(what) + " outside of torch's queue");
  }
}

}  // namespace metal_double

// ---- MPSCommandBuffer: the wrapper that torch's stream hands out, which goes on with a new buffer after a commit.
// -----

@interface DoubleMPSCommandBuffer : DoubleObject <MTLCommandBuffer> {
  DoubleCommandBuffer *_root;
}
- (id<MTLCommandBuffer>)rootCommandBuffer;
- (DoubleComputeCommandEncoder *)computeCommandEncoder;
- (void)commitAndContinue;
- (DoubleCommandBuffer *)root;
@end

@implementation DoubleMPSCommandBuffer
- (instancetype)init {
  self = [super init];
  if (self != nil) _root = [[DoubleCommandBuffer alloc] init];
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
  _root = [[DoubleCommandBuffer alloc] init];
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

 private:
  DoubleMPSCommandBuffer *buffer_ = nil;
  DoubleCommandBuffer *previous_ = nil;
};

id<MTLDevice> MPSStream::device() const { return shared_device(); }

id<MTLCommandBuffer> MPSStream::commandBuffer() {
  const InDouble inside;
  require_stream_queue("MPSStream::commandBuffer()");
  if (buffer_ == nil) buffer_ = [[DoubleMPSCommandBuffer alloc] init];
  return buffer_;
}

id<MTLComputeCommandEncoder> MPSStream::commandEncoder() {
  const InDouble inside;
  require_stream_queue("MPSStream::commandEncoder()");
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
  require_stream_queue("MPSStream::endKernelCoalescing()");
  if (encoder == nil) return;
  [encoder endEncoding];
  [encoder release];
  encoder = nil;
}

void MPSStream::synchronize(SyncType how) {
  const InDouble inside;
  require_stream_queue("MPSStream::synchronize()");
  endKernelCoalescing();
  if (how == SyncType::NONE || how == SyncType::COMMIT_ADAPTIVE || buffer_ == nil) return;
  [previous_ release];
  previous_ = [[buffer_ root] retain];
  [buffer_ commitAndContinue];
  if (how != SyncType::COMMIT_AND_WAIT) return;
  [previous_ waitUntilCompleted];
  [previous_ release];
  previous_ = nil;
  [buffer_ release];
  buffer_ = nil;
}

TORCH_EXPORT MPSStream *getCurrentMPSStream() {
  static MPSStream stream;
  return &stream;
}

}  // namespace at::mps

namespace torch::mps {

TORCH_EXPORT bool is_available() { return !staged().torch_without_mps && shared_device() != nil; }
TORCH_EXPORT dispatch_queue_t get_dispatch_queue() { return stream_queue(); }
TORCH_EXPORT id<MTLCommandBuffer> get_command_buffer() {
  // Ends torch's open encoder on every call, so that the caller can make its own.
  at::mps::getCurrentMPSStream()->endKernelCoalescing();
  return at::mps::getCurrentMPSStream()->commandBuffer();
}
TORCH_EXPORT void commit() { torch_commit(); }
TORCH_EXPORT void synchronize() { torch_synchronize(); }

}  // namespace torch::mps

// ---- What tests have torch do.
// ----------------------------------------------------------------------------------------

namespace metal_double {
namespace {

void on_queue(std::function<void(at::mps::MPSStream &)> body) {
  const InDouble inside;
  dispatch_sync_f(stream_queue(), &body, [](void *context) {
    @autoreleasepool {
      (*static_cast<decltype(body) *>(context))(*at::mps::getCurrentMPSStream());
    }
  });
}

}  // namespace

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

void torch_synchronize() {
  on_queue([](at::mps::MPSStream &stream) { stream.synchronize(at::mps::SyncType::COMMIT_AND_WAIT); });
}

void end_encoder_of_torch() {
  on_queue([](at::mps::MPSStream &stream) { stream.endKernelCoalescing(); });
}

}  // namespace metal_double
