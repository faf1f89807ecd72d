#import "double_commands.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "double_state.h"
#include "errors.h"

using namespace metal_double;

namespace metal_double {

// What is bound at one index: a buffer, or bytes that were copied when they were set.
struct Binding {
  char *address = nullptr;
  NSUInteger available = 0;  // bytes from the address to the end of the memory
  NSUInteger offset = 0;
  std::shared_ptr<std::vector<char>> bytes;
};

struct ArgumentTable {
  std::array<std::optional<Binding>, 31> entries;
  std::array<NSUInteger, 31> threadgroup_memory{};  // bytes
};

class GpuQueue {
 public:
  GpuQueue() { std::thread(&GpuQueue::run, this).detach(); }
  void enqueue(DoubleCommandBuffer *buffer);

 private:
  [[noreturn]] void run();

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<DoubleCommandBuffer *> waiting_;
};

struct CommandBufferState {
  std::mutex mutex;
  std::condition_variable completed;
  MTLCommandBufferStatus status = MTLCommandBufferStatusNotEnqueued;
  NSError *error = nil;
  double start = 0, end = 0;
  bool has_open_encoder = false;
  std::vector<std::function<void()>> commands;
  std::vector<MTLCommandBufferHandler> handlers;
  std::vector<id> resources;
  std::int64_t capture = running_capture();  // which was running when the buffer was made
  std::vector<std::string> labels_of_dispatches;
};

}  // namespace metal_double

namespace {

// "Maximum number of entries in the buffer argument table, per graphics or kernel function" (Metal Feature Set Tables).
constexpr NSUInteger argument_entries = 31;
// "The data must be less than 4 KB" (setBytes:length:atIndex:).
constexpr NSUInteger longest_inline_data = 4096;

std::atomic<int> waiting_buffers = 0;  // committed, and not yet run

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void run_dispatch(const HostKernel &kernel, const ArgumentTable &table, MTLSize grid, MTLSize threads) {
  std::vector<helion_msl::BoundArgument> arguments;
  for (const auto &declared : kernel->info().arguments) {
    if (declared.is_threadgroup_memory) {
      arguments.push_back({nullptr, 0, static_cast<std::uint32_t>(table.threadgroup_memory[declared.index])});
      continue;
    }
    const Binding &binding = *table.entries[declared.index];
    if (binding.bytes) {
      arguments.push_back({binding.bytes->data(), 0, static_cast<std::uint32_t>(binding.bytes->size())});
    } else {
      arguments.push_back({binding.address, binding.offset, 0});
    }
  }
  const auto dimensions = [](MTLSize size) {
    return helion_msl::Dimensions{static_cast<std::uint32_t>(size.width), static_cast<std::uint32_t>(size.height),
                                  static_cast<std::uint32_t>(size.depth)};
  };
  helion_msl::host_engine().launch(*kernel, arguments, dimensions(grid), dimensions(threads));
}

}  // namespace

namespace metal_double {

DoubleDevice *shared_device() {
  static DoubleDevice *device = [[DoubleDevice alloc] init];
  return staged().no_device ? nil : device;
}

}  // namespace metal_double

@interface DoubleCommandBuffer (Execution)
- (void)execute;
@end

namespace metal_double {

GpuQueue &make_gpu_queue() { return *new GpuQueue; }

void wait_for_gpu() {
  for (int waiting = waiting_buffers; waiting > 0; waiting = waiting_buffers) waiting_buffers.wait(waiting);
}

void GpuQueue::enqueue(DoubleCommandBuffer *buffer) {
  ++waiting_buffers;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back([buffer retain]);
  }
  arrived_.notify_one();
}

void GpuQueue::run() {
  for (;;) {
    DoubleCommandBuffer *buffer = nil;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [this] { return !waiting_.empty(); });
      buffer = waiting_.front();
      waiting_.pop_front();
    }
    gpu_gate().pass();
    [buffer execute];
    [buffer release];
    --waiting_buffers;
    waiting_buffers.notify_all();
  }
}

}  // namespace metal_double

@implementation DoubleCommandBuffer
@synthesize label = _label;

- (instancetype)initWithQueue:(GpuQueue &)queue {
  self = [super init];
  if (self != nil) {
    _queue = &queue;
    _state = new CommandBufferState;
  }
  return self;
}
- (void)dealloc {
  const InDouble inside;
  for (MTLCommandBufferHandler handler : _state->handlers) _Block_release(handler);
  for (id resource : _state->resources) [resource release];
  [_state->error release];
  delete _state;
  [_label release];
  [super dealloc];
}
- (MTLCommandBufferStatus)status {
  const std::lock_guard lock(_state->mutex);
  return _state->status;
}
- (NSError *)error {
  raise_staged(&Staged::error_exception);
  const std::lock_guard lock(_state->mutex);
  return _state->error;
}
- (NSTimeInterval)GPUStartTime {
  return _state->start;
}
- (NSTimeInterval)GPUEndTime {
  return _state->end;
}
- (void)addCompletedHandler:(MTLCommandBufferHandler)block {
  const InDouble inside;
  const std::lock_guard lock(_state->mutex);
  if (_state->status != MTLCommandBufferStatusNotEnqueued) {
    report_violation("addCompletedHandler: after commit");
    return;
  }
  _state->handlers.push_back((MTLCommandBufferHandler)_Block_copy(block));
}

- (DoubleComputeCommandEncoder *)computeCommandEncoder {
  if ([self status] != MTLCommandBufferStatusNotEnqueued) report_violation("computeCommandEncoder after commit");
  if (_state->has_open_encoder) report_violation("computeCommandEncoder while another encoder is open");
  _state->has_open_encoder = true;
  return [[[DoubleComputeCommandEncoder alloc] initWithCommandBuffer:self] autorelease];
}
- (void)encoderEnded {
  _state->has_open_encoder = false;
}
- (void)keep:(id)resource {
  auto &resources = _state->resources;
  if (std::find(resources.begin(), resources.end(), resource) == resources.end()) {
    resources.push_back([resource retain]);
  }
}

- (void)addDispatchLabeled:(const std::string &)labels {
  _state->labels_of_dispatches.push_back(labels);
}

- (void)append:(std::function<void()>)command {
  if (eager()) {
    [self run:command];
  } else {
    _state->commands.push_back(std::move(command));
  }
}

- (void)run:(const std::function<void()> &)command {
  if (_state->error != nil) return;  // a GPU that has faulted runs nothing more of the buffer
  @autoreleasepool {
    try {
      command();
    } catch (const std::exception &failure) {
      const std::lock_guard lock(_state->mutex);
      _state->error = [make_error("MTLCommandBufferErrorDomain", MTLCommandBufferErrorInternal, failure.what()) retain];
    }
  }
}

- (void)commit {
  const InDouble inside;
  if (_state->has_open_encoder) report_violation("commit while an encoder is open");
  {
    const std::lock_guard lock(_state->mutex);
    if (_state->status != MTLCommandBufferStatusNotEnqueued) {
      report_violation("commit of a command buffer that was committed before");
      return;
    }
    _state->status = MTLCommandBufferStatusCommitted;
  }
  ++counters().command_buffers_committed;
  // What a capture records: buffers that are made after its start and committed before its end.
  if (_state->capture != 0 && _state->capture == running_capture()) {
    for (const auto &labels : _state->labels_of_dispatches) record_dispatch(labels);
  }
  _queue->enqueue(self);
}

- (void)waitUntilCompleted {
  std::unique_lock lock(_state->mutex);
  if (_state->status < MTLCommandBufferStatusCommitted) {
    report_violation("waitUntilCompleted before commit: it would wait for ever");
    return;
  }
  _state->completed.wait(lock, [self] { return _state->status >= MTLCommandBufferStatusCompleted; });
}

- (void)stageFailure {
  Staged &failures = staged();
  const std::lock_guard staging(failures.mutex);
  if (failures.command_buffers_that_fail == 0) return;
  --failures.command_buffers_that_fail;
  _state->error = [make_error(failures.command_buffer_domain.c_str(), failures.command_buffer_error,
                              failures.command_buffer_reason) retain];
  if (failures.command_buffers_that_fail == 0) failures.command_buffer_domain = command_buffer_error_domain;
}

// On the GPU's thread, which has no autorelease pool when the handlers are called, as Metal's own threads have none.
- (void)execute {
  const InDouble inside;
  {
    const std::lock_guard lock(_state->mutex);
    _state->status = MTLCommandBufferStatusScheduled;
    _state->start = now();
  }
  @autoreleasepool {
    [self stageFailure];
    for (const auto &command : _state->commands) [self run:command];
    _state->commands.clear();
  }
  std::vector<MTLCommandBufferHandler> handlers;
  {
    const std::lock_guard lock(_state->mutex);
    _state->end = now();
    _state->status = _state->error == nil ? MTLCommandBufferStatusCompleted : MTLCommandBufferStatusError;
    handlers.swap(_state->handlers);
  }
  for (MTLCommandBufferHandler handler : handlers) {
    handler(self);
    _Block_release(handler);
  }
  for (id resource : _state->resources) [resource release];
  _state->resources.clear();
  const std::lock_guard lock(_state->mutex);
  _state->completed.notify_all();
}
@end

@implementation DoubleComputeCommandEncoder

- (instancetype)initWithCommandBuffer:(DoubleCommandBuffer *)buffer {
  self = [super init];
  if (self != nil) {
    _buffer = [buffer retain];
    _table = new ArgumentTable;
    _debugGroups = new std::vector<std::string>;
  }
  return self;
}
- (void)dealloc {
  const InDouble inside;
  if (!_hasEnded) report_violation("an encoder was released without endEncoding");
  delete _table;
  delete _debugGroups;
  [_buffer release];
  [super dealloc];
}

// Counts a message, and says whether the encoder may still be used.
- (BOOL)receive:(SEL)message {
  ++counters().encoder_messages;
  if (_hasEnded) report_violation(std::string(sel_getName(message)) + " sent to an encoder after endEncoding");
  return !_hasEnded;
}
- (BOOL)hasEnded {
  return _hasEnded;
}
- (NSString *)label {
  return nil;
}
- (void)setLabel:(NSString *)label {
  (void)label;
  [self receive:_cmd];
}
- (void)pushDebugGroup:(NSString *)string {
  const InDouble inside;
  if (string == nil) report_violation("pushDebugGroup: without a string");
  if ([self receive:_cmd]) _debugGroups->push_back(text_of(string));
}
- (void)popDebugGroup {
  const InDouble inside;
  if (![self receive:_cmd]) return;
  if (_debugGroups->empty()) {
    report_violation("popDebugGroup without a group");
  } else {
    _debugGroups->pop_back();
  }
}

- (void)setComputePipelineState:(id<MTLComputePipelineState>)state {
  const InDouble inside;
  if (![self receive:_cmd]) return;
  if (![(id)state isKindOfClass:[DoublePipelineState class]]) {
    report_violation("setComputePipelineState: of nothing");
    return;
  }
  _pipeline = (DoublePipelineState *)state;
  [_buffer keep:state];
}

- (BOOL)checkIndex:(NSUInteger)index of:(const char *)message {
  if (index < argument_entries) return YES;
  report_violation(std::string(message) + " at index " + std::to_string(index) + ", the last is " +
                   std::to_string(argument_entries - 1));
  return NO;
}

- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
  const InDouble inside;
  if (![self receive:_cmd] || ![self checkIndex:index of:"setBytes:length:atIndex:"]) return;
  if (bytes == nullptr || length == 0 || length > longest_inline_data) {
    report_violation("setBytes: of " + std::to_string(length) + " bytes, 1 to 4096 can be set");
    return;
  }
  const auto *begin = static_cast<const char *>(bytes);
  _table->entries[index] = Binding{nullptr, length, 0, std::make_shared<std::vector<char>>(begin, begin + length)};
}

// "The length must be a multiple of 16 bytes."
- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index {
  const InDouble inside;
  if (![self receive:_cmd] || ![self checkIndex:index of:"setThreadgroupMemoryLength:atIndex:"]) return;
  if (length % 16 != 0) {
    report_violation("setThreadgroupMemoryLength: of " + std::to_string(length) + " bytes, multiples of 16 can be set");
    return;
  }
  _table->threadgroup_memory[index] = length;
}

- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index {
  const InDouble inside;
  if (![self receive:_cmd] || ![self checkIndex:index of:"setBuffer:offset:atIndex:"]) return;
  if (buffer == nil) {
    _table->entries[index].reset();
    return;
  }
  if (![(id)buffer isKindOfClass:[DoubleBuffer class]]) {
    report_violation("setBuffer: of an object that is no buffer of this device");
    return;
  }
  if (offset >= buffer.length) {
    report_violation("setBuffer: with offset " + std::to_string(offset) + " into a buffer of " +
                     std::to_string(buffer.length) + " bytes");
    return;
  }
  _table->entries[index] =
      Binding{static_cast<char *>([(DoubleBuffer *)buffer bytes]), buffer.length - offset, offset, {}};
  [_buffer keep:buffer];
}

// Metal's validation refuses a dispatch whose arguments the kernel could not use.
- (BOOL)checkArguments {
  BOOL all_right = YES;
  NSUInteger threadgroup_memory = [_pipeline staticThreadgroupMemoryLength];
  for (const auto &declared : [_pipeline kernel]->info().arguments) {
    if (declared.is_threadgroup_memory) threadgroup_memory += _table->threadgroup_memory[declared.index];
  }
  if (threadgroup_memory > [shared_device() maxThreadgroupMemoryLength]) {
    report_violation("dispatch of " + [_pipeline kernel]->info().name + " with " + std::to_string(threadgroup_memory) +
                     " bytes of threadgroup memory");
    all_right = NO;
  }
  for (const auto &declared : [_pipeline kernel]->info().arguments) {
    const std::string label = "dispatch of " + [_pipeline kernel]->info().name + ": argument " + declared.name +
                              " at index " + std::to_string(declared.index);
    const auto &binding = _table->entries[declared.index];
    if (declared.is_threadgroup_memory) {
      if (_table->threadgroup_memory[declared.index] > 0) continue;
      report_violation(label + " has no threadgroup memory");
      all_right = NO;
    } else if (!binding) {
      report_violation(label + " is missing");
      all_right = NO;
    } else if (binding->available < declared.element_size) {
      report_violation(label + " has " + std::to_string(binding->available) + " bytes, its type " +
                       std::to_string(declared.element_size));
      all_right = NO;
    } else if (!binding->bytes && binding->offset % declared.alignment != 0) {
      report_violation(label + " begins at byte " + std::to_string(binding->offset) + ", its type wants multiples of " +
                       std::to_string(declared.alignment));
      all_right = NO;
    } else if (binding->bytes && declared.is_writable) {
      report_violation(label + " is written by the kernel, but set as bytes");
      all_right = NO;
    }
  }
  return all_right;
}

- (BOOL)checkGrid:(MTLSize)grid threads:(MTLSize)threads {
  const auto &info = [_pipeline kernel]->info();
  const auto describe = [](MTLSize size) {
    return std::to_string(size.width) + " x " + std::to_string(size.height) + " x " + std::to_string(size.depth);
  };
  if (grid.width == 0 || grid.height == 0 || grid.depth == 0 || threads.width == 0 || threads.height == 0 ||
      threads.depth == 0) {
    report_violation("dispatch of " + describe(grid) + " threadgroups of " + describe(threads) + " threads");
    return NO;
  }
  const auto &required = info.required_threads_per_threadgroup;
  const bool fits = required[0] == 0 ||
                    (threads.width == required[0] && threads.height == required[1] && threads.depth == required[2]);
  const NSUInteger total = threads.width * threads.height * threads.depth;
  if (total > info.max_total_threads_per_threadgroup || !fits) {
    report_violation("dispatch of " + info.name + " with a threadgroup of " + describe(threads) +
                     " threads, which the pipeline does not allow");
    return NO;
  }
  return YES;
}

- (void)dispatchThreadgroups:(MTLSize)grid threadsPerThreadgroup:(MTLSize)threads {
  const InDouble inside;
  if (![self receive:_cmd]) return;
  raise_staged(&Staged::launch_exception);
  throw_staged(&Staged::launch_object);
  if (_pipeline == nil) {
    report_violation("dispatchThreadgroups: without a pipeline");
    return;
  }
  if (![self checkArguments] || ![self checkGrid:grid threads:threads]) return;
  ++counters().dispatches;
  std::string labels;
  for (const auto &group : *_debugGroups) labels += (labels.empty() ? "" : "/") + group;
  [_buffer addDispatchLabeled:labels];
  const HostKernel kernel = [_pipeline kernel];
  [_buffer append:[kernel, table = *_table, grid, threads] { run_dispatch(kernel, table, grid, threads); }];
}

- (void)encodeForeign:(std::function<void()>)command {
  // torch's kernels set their own pipeline and arguments on the encoder they share with ours.
  _pipeline = nil;
  *_table = {};
  [_buffer append:std::move(command)];
}

- (void)endEncoding {
  const InDouble inside;
  if (_hasEnded) report_violation("endEncoding sent twice");
  if (!_debugGroups->empty()) report_violation("endEncoding inside of a debug group");
  _hasEnded = YES;
  [_buffer encoderEnded];
}
@end
