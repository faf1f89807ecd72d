// The double as the tests see it: C functions for ctypes.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#import "double_object.h"
#include "double_state.h"
#include "torch_stream.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace metal_double;

namespace {

// The caller frees it with metal_double_free.
char *give(const std::string &text) { return strdup(text.c_str()); }

std::atomic<std::int64_t> *counter(const std::string &name) {
  Counters &all = counters();
  if (name == "encoder_messages") return &all.encoder_messages;
  if (name == "dispatches") return &all.dispatches;
  if (name == "dispatch_syncs") return &all.dispatch_syncs;
  if (name == "command_buffers_committed") return &all.command_buffers_committed;
  if (name == "libraries_compiled") return &all.libraries_compiled;
  if (name == "pipelines_compiled") return &all.pipelines_compiled;
  if (name == "pipelines_from_archives") return &all.pipelines_from_archives;
  if (name == "engine_locks") return &all.engine_locks;
  if (name == "engine_allocations") return &all.engine_allocations;
  return nullptr;
}

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
EXPORT void metal_double_hold_gpu(int on) { hold_gpu(on != 0); }

// Whether there is such a failure to stage.
EXPORT int metal_double_stage(const char *failure, const char *text) {
  const std::string name = failure;
  const std::lock_guard lock(staged().mutex);
  if (name == "compile_error")
    staged().compile_error = text;
  else if (name == "compile_warning")
    staged().compile_warning = text;
  else if (name == "pipeline_error")
    staged().pipeline_error = text;
  else if (name == "exception")
    staged().exception = text;
  else if (name == "launch_exception")
    staged().launch_exception = text;
  else if (name == "archive_error")
    staged().archive_error = text;
  else if (name == "archive_write_error")
    staged().archive_write_error = text;
  else
    return 0;
  return 1;
}
EXPORT void metal_double_stage_command_buffer_error(std::int64_t code, const char *reason) {
  const std::lock_guard lock(staged().mutex);
  staged().command_buffer_error = code;
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
EXPORT void metal_double_torch_synchronize() { torch_synchronize(); }
EXPORT void metal_double_end_encoder() { end_encoder_of_torch(); }
