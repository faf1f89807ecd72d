// The double as the tests see it: C functions for ctypes.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#import "double_commands.h"
#import "double_object.h"
#include "double_state.h"
#include "torch_stream.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace metal_double;

namespace {

// The caller frees it with metal_double_free.
char *give(const std::string &text) { return strdup(text.c_str()); }

std::atomic<std::int64_t> *counter(const std::string &name) {
  static const std::map<std::string, std::atomic<std::int64_t> Counters::*> all = {
      {"encoder_messages", &Counters::encoder_messages},
      {"dispatches", &Counters::dispatches},
      {"dispatch_syncs", &Counters::dispatch_syncs},
      {"torch_calls", &Counters::torch_calls},
      {"command_buffers_committed", &Counters::command_buffers_committed},
      {"libraries_compiled", &Counters::libraries_compiled},
      {"pipelines_compiled", &Counters::pipelines_compiled},
      {"pipelines_from_archives", &Counters::pipelines_from_archives},
      {"engine_locks", &Counters::engine_locks},
      {"engine_allocations", &Counters::engine_allocations}};
  const auto found = all.find(name);
  return found == all.end() ? nullptr : &(counters().*found->second);
}

// Failures that are staged with a text.
const std::map<std::string, std::string Staged::*> failures = {
    {"compile_error", &Staged::compile_error},
    {"compile_warning", &Staged::compile_warning},
    {"pipeline_error", &Staged::pipeline_error},
    {"exception", &Staged::exception},
    {"launch_exception", &Staged::launch_exception},
    {"launch_object", &Staged::launch_object},
    {"error_exception", &Staged::error_exception},
    {"no_reflection", &Staged::no_reflection},
    {"capture_error", &Staged::capture_error},
    {"command_buffer_domain", &Staged::command_buffer_domain},
    {"archive_error", &Staged::archive_error},
    {"archive_write_error", &Staged::archive_write_error},
    {"no_memory", &Staged::no_memory},
    {"no_command_buffer", &Staged::no_command_buffer},
    {"no_encoder", &Staged::no_encoder},
    {"torch_error", &Staged::torch_error}};

// GNUstep's log, where it says of an object that it was autoreleased on a thread without a pool.
void take_log(NSString *message) {
  const std::string text = text_of(message);
  if (text.find("without pool") != std::string::npos) {
    report_violation(text);
  } else {
    std::fputs(text.c_str(), stderr);
  }
}

__attribute__((constructor)) void take_logs() { _NSLog_printf_handler = take_log; }

}  // namespace

EXPORT void metal_double_free(char *text) { std::free(text); }
EXPORT char *metal_double_take_violations() { return give(take_violations()); }
EXPORT char *metal_double_living_objects() { return give(describe_living_objects()); }
EXPORT std::int64_t metal_double_counter(const char *name) {
  const auto *found = counter(name);
  return found == nullptr ? -1 : found->load();
}

EXPORT void metal_double_set_eager(int on) { eager() = on != 0; }
EXPORT void metal_double_hold_gpu(int on) { gpu_gate().close(on != 0); }
EXPORT void metal_double_wait_for_gpu() { wait_for_gpu(); }
EXPORT void metal_double_hold_compiler(int on) { compiler_gate().close(on != 0); }

// Whether there is such a failure to stage.
EXPORT int metal_double_stage(const char *failure, const char *text) {
  const auto found = failures.find(failure);
  if (found == failures.end()) return 0;
  const std::lock_guard lock(staged().mutex);
  staged().*found->second = text;
  return 1;
}
EXPORT void metal_double_stage_command_buffer_error(std::int64_t code, const char *reason, int times) {
  const std::lock_guard lock(staged().mutex);
  staged().command_buffer_error = code;
  staged().command_buffers_that_fail = times;
  staged().command_buffer_reason = reason;
}
EXPORT void metal_double_set_machine(int has_device, int is_paravirtual, int torch_has_mps, int macos_version) {
  staged().no_device = has_device == 0;
  staged().is_paravirtual = is_paravirtual != 0;
  staged().torch_without_mps = torch_has_mps == 0;
  staged().macos_version = macos_version;
}

EXPORT void metal_double_torch_kernel(void (*work)(void *), void *context) {
  torch_kernel([work, context] { work(context); });
}
EXPORT void metal_double_torch_copy(void *destination, const void *source, std::size_t size) {
  torch_copy([=] { std::memcpy(destination, source, size); });
}
// One of torch's kernels: adds `value` to `count` floats.
EXPORT void metal_double_torch_add(float *floats, std::size_t count, float value) {
  torch_kernel([=] {
    for (std::size_t i = 0; i < count; ++i) floats[i] += value;
  });
}
EXPORT void metal_double_torch_commit() { torch_commit(); }
// What torch raises; empty where nothing failed.
EXPORT char *metal_double_torch_synchronize() { return give(torch_synchronize()); }
EXPORT void metal_double_set_torch_minor_version(int minor) { staged().torch_minor_version = minor; }
EXPORT void metal_double_set_current_stream(int stream) { set_current_stream(stream); }
// Runs `work` in a block on torch's queue.
EXPORT void metal_double_on_queue(void (*work)()) {
  dispatch_sync_f(stream_queue(), reinterpret_cast<void *>(work),
                  [](void *body) { reinterpret_cast<void (*)()>(body)(); });
}
// What captures are, and what torch's own profiler does with them.
EXPORT int metal_double_is_capturing() { return running_capture() != 0; }
EXPORT void metal_double_start_capture(const char *path) {
  @autoreleasepool {
    MTLCaptureDescriptor *descriptor = [[[MTLCaptureDescriptor alloc] init] autorelease];
    descriptor.captureObject = shared_device();
    descriptor.destination = MTLCaptureDestinationGPUTraceDocument;
    descriptor.outputURL = [NSURL fileURLWithPath:make_string(path)];
    [[MTLCaptureManager sharedCaptureManager] startCaptureWithDescriptor:descriptor error:NULL];
  }
}
EXPORT void metal_double_stop_capture() {
  @autoreleasepool {
    [[MTLCaptureManager sharedCaptureManager] stopCapture];
  }
}
EXPORT void metal_double_end_encoder() { end_encoder_of_torch(); }
