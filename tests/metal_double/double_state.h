// What the Metal double keeps about a run: broken rules, counts, and the failures it was asked to stage.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace metal_double {

// Broken rules of Metal, of torch's stream or of memory management. A test that leaves one behind has failed.
void report_violation(const std::string &text);
std::string take_violations();  // one a line

// Everything counted since the start; a test compares two readings.
struct Counters {
  std::atomic<std::int64_t> encoder_messages{0};
  std::atomic<std::int64_t> dispatches{0};
  std::atomic<std::int64_t> dispatch_syncs{0};
  std::atomic<std::int64_t> torch_calls{0};  // of at::mps and torch::mps, by the engine
  std::atomic<std::int64_t> command_buffers_committed{0};
  std::atomic<std::int64_t> libraries_compiled{0};
  std::atomic<std::int64_t> pipelines_compiled{0};
  std::atomic<std::int64_t> pipelines_from_archives{0};
  std::atomic<std::int64_t> engine_locks{0};        // mutexes that the extension has locked outside of the double
  std::atomic<std::int64_t> engine_allocations{0};  // by threads inside of the extension, where it can be counted
};
Counters &counters();

// Marks the double's own work on a thread, which is not the engine's.
class InDouble {
 public:
  InDouble();
  ~InDouble();
  InDouble(const InDouble &) = delete;
  InDouble &operator=(const InDouble &) = delete;
};
bool is_in_double();

// The value of MTLCommandBufferErrorDomain.
inline constexpr const char *command_buffer_error_domain = "MTLCommandBufferErrorDomain";

// Failures to stage. Each is used up by the first message that it fits, but for the persistent ones.
struct Staged {
  std::mutex mutex;
  std::string compile_error;              // newLibraryWithSource fails with this text
  std::string compile_warning;            // newLibraryWithSource succeeds, with this text in its error
  std::string pipeline_error;             // newComputePipelineState fails with this text
  std::string archive_error;              // adding to a binary archive fails with this text
  std::string exception;                  // newLibraryWithSource raises an NSException with this reason
  std::string launch_exception;           // dispatchThreadgroups raises one
  std::string launch_object;              // dispatchThreadgroups throws an NSString, which is no NSException
  std::string error_exception;            // a command buffer raises an NSException when it is asked for its error
  std::string no_reflection;              // newComputePipelineState tells nothing of the arguments
  std::string capture_error;              // a capture does not start, with this text
  std::string archive_write_error;        // writing a binary archive fails with this text
  std::string no_memory;                  // newBufferWithLength returns nil
  std::string no_command_buffer;          // torch's stream has none to give
  std::string no_encoder;                 // torch's stream has none to give
  std::string torch_error;                // torch throws this when it next waits for the GPU
  std::int64_t command_buffer_error = 0;  // MTLCommandBufferError of the next buffers to run
  int command_buffers_that_fail = 0;
  std::string command_buffer_reason;
  std::string command_buffer_domain = command_buffer_error_domain;
  // Persistent. There is no MPS until a test process asks for it: the programs that tests start are without.
  std::atomic<bool> no_device{false};
  std::atomic<bool> is_paravirtual{false};
  std::atomic<bool> torch_without_mps{true};
  std::atomic<int> macos_version{15};
  std::atomic<int> torch_minor_version{13};  // of torch 2
};
Staged &staged();
std::string take_staged(std::string Staged::*member);

// The capture that records: command buffers that are made from now on. 0 where none does.
std::atomic<std::int64_t> &running_capture();
// A dispatch that a capture has recorded, by its debug groups.
void record_dispatch(const std::string &debug_groups);

// Whether dispatches run when they are encoded. Off, they run on the GPU's thread after their buffer's commit.
std::atomic<bool> &eager();

// Holds up whoever comes to it while it is closed, but not for ever: a test that deadlocks is to fail.
class Gate {
 public:
  void close(bool closed);
  void pass();

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_closed_ = false;
};
Gate &gpu_gate();       // before a committed command buffer runs
Gate &compiler_gate();  // inside newLibraryWithSource

// Objects of the double by class, and torch's buffers.
void object_born(const char *class_name);
void object_died(const char *class_name);
std::string describe_living_objects();  // "DoubleDevice 1", one a line

}  // namespace metal_double
