// What a person asks of the Metal engine besides launching kernels. Plain C++, so that the bindings can offer it; each
// function throws EngineUnavailableError where there is no Metal engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace helion_msl {

struct MetalDeviceInfo {
  std::string name;                           // "Apple M3 Pro"
  std::string architecture;                   // "applegpu_g15s"
  std::string family;                         // "apple9": the highest family of Apple's GPUs that it supports, or ""
  std::string language_version;               // "3.2": newest version of MSL that this macOS compiles
  std::string system_version;                 // "Version 15.5 (Build 24F74)"
  std::uint64_t max_buffer_length = 0;        // bytes
  std::uint64_t recommended_working_set = 0;  // bytes
  std::uint64_t max_threadgroup_memory = 0;   // bytes
  std::uint32_t max_threads_per_threadgroup = 0;  // along x; a pipeline may allow fewer
  bool has_unified_memory = false;
  bool is_paravirtual = false;  // the GPU of a virtual machine, which differs from the physical one
};

MetalDeviceInfo metal_device_info();

// After how many launches of a stream the engine commits them, so that the GPU starts early. 0 leaves it to torch.
void metal_set_commit_every(std::uint32_t launches);
std::uint32_t metal_commit_every();

// Whether launches are bracketed by debug groups with the kernel's name. Two messages more a launch; on during
// captures.
void metal_set_labels(bool enabled);

// Starts to record all work for the GPU into a new .gputrace document, which Xcode opens. Throws LaunchError where
// Metal cannot, with the reason. Work from before the call is committed first and is not in the document.
void metal_begin_capture(const std::string &path);
// Waits for the work and closes the document. Throws LaunchError where no capture runs.
void metal_end_capture();

class GpuTimeRegion;
// Begins to sum the GPU time of command buffers with launches of this package. Regions of several threads would share
// command buffers, so there is one at a time: throws LaunchError while another is open.
std::shared_ptr<GpuTimeRegion> metal_begin_gpu_time();
// Waits for the work and returns its GPU time in seconds; overlapping buffers count once.
double metal_end_gpu_time(const std::shared_ptr<GpuTimeRegion> &region);

}  // namespace helion_msl
