// What a person asks of an engine besides running kernels: what the device is, how long it worked, a capture of what it
// did. Plain C++, as engine.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gpu_time.h"

namespace helion_msl {

// A text is empty, and a number missing, where the device has nothing of the kind or does not tell.
struct DeviceInfo {
  std::string name;                                // "Apple M3 Pro", "AMD EPYC 7R13"
  std::string architecture;                        // "applegpu_g15s", "x86_64"
  std::string family;                              // "apple9": the highest family of Apple's GPUs that it supports
  std::string language_version;                    // "3.2": newest version of MSL that kernels are compiled as
  std::string compiler;                            // what compiles them: "Metal", "clang 22"
  std::string system;                              // "Version 15.5 (Build 24F74)", "Linux 6.1.0"
  std::optional<std::uint32_t> threads;            // of the CPU that run kernels
  std::uint32_t max_threads_per_threadgroup = 0;   // along x; a kernel may allow fewer
  std::uint64_t max_threadgroup_memory = 0;        // bytes
  std::optional<std::uint64_t> max_buffer_length;  // bytes
  std::optional<std::uint64_t> recommended_working_set;  // bytes that all buffers should have together at most
  bool has_unified_memory = true;                        // shared by the processor and the device
  bool is_paravirtual = false;  // the GPU of a virtual machine, which differs from the physical one
};

class EngineTools {
 public:
  virtual ~EngineTools() = default;
  virtual DeviceInfo device_info() = 0;

  // After how many launches of a stream the engine commits them, so that the device starts early. 0: never by itself.
  virtual std::uint32_t commit_every() const = 0;
  virtual void set_commit_every(std::uint32_t launches) = 0;
  // Whether launches are bracketed by debug groups with the kernel's name, for profilers. Always on during captures.
  virtual void set_labels(bool wanted) = 0;

  // Starts to record all work for the device into a new .gputrace document. Work from before the call is committed
  // first and is not in the document. Throws LaunchError with the reason where it cannot.
  virtual void begin_capture(const std::string &path) = 0;
  // Waits for the work and closes the document. Throws LaunchError where no capture runs, and the errors of
  // Engine::synchronize() after the document is closed.
  virtual void end_capture() = 0;

  // Begins to sum the time that the device spends on launches. Throws LaunchError while another region is open.
  virtual std::shared_ptr<GpuTimeRegion> begin_gpu_time() = 0;
  // Waits for the work and returns its time in seconds; what ran at the same time counts once. The region is closed
  // whatever happens.
  virtual double end_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) = 0;
  // Closes the region without waiting.
  virtual void cancel_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) = 0;
};

// Of the engines in engine.h, and with their errors.
EngineTools &host_engine_tools();
EngineTools &metal_engine_tools();

}  // namespace helion_msl
