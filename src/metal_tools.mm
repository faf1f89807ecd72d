#include "metal_tools.h"

#include <iterator>

#include "autorelease_pool.h"
#include "errors.h"
#include "metal_library.h"
#include "metal_newer.h"
#include "metal_runtime.h"
#include "objective_c_text.h"
#include "objective_c_try.h"

namespace helion_msl {
namespace {

std::string family_of(id<MTLDevice> device) {
  struct Family {
    MTLGPUFamily family;
    const char *name;
  };
  static constexpr Family families[] = {
      {newer::MTLGPUFamilyApple10, "apple10"}, {MTLGPUFamilyApple9, "apple9"}, {MTLGPUFamilyApple8, "apple8"},
      {MTLGPUFamilyApple7, "apple7"},          {MTLGPUFamilyApple6, "apple6"},
  };
  for (const Family &family : families) {
    if ([device supportsFamily:family.family]) return family.name;
  }
  return {};
}

}  // namespace

MetalDeviceInfo metal_device_info() {
  const MetalEngine &engine = the_metal_engine();
  MetalDeviceInfo info;
  guard_objective_c<EngineUnavailableError>("describing the GPU", [&] {
    const AutoreleasePool pool;
    const id<MTLDevice> device = engine.metal_device();
    info.name = text_of(device.name);
    info.architecture = text_of(device.architecture.name);
    info.family = family_of(device);
    info.language_version = language_version_name(newest_language_version());
    info.system_version = text_of([NSProcessInfo processInfo].operatingSystemVersionString);
    info.max_buffer_length = device.maxBufferLength;
    info.recommended_working_set = device.recommendedMaxWorkingSetSize;
    info.max_threadgroup_memory = device.maxThreadgroupMemoryLength;
    info.max_threads_per_threadgroup = static_cast<std::uint32_t>(device.maxThreadsPerThreadgroup.width);
    info.has_unified_memory = device.hasUnifiedMemory;
    info.is_paravirtual = engine.is_paravirtual();
  });
  return info;
}

void metal_set_commit_every(std::uint32_t launches) { the_metal_engine().set_commit_every(launches); }

std::uint32_t metal_commit_every() { return the_metal_engine().commit_every(); }

void metal_set_labels(bool enabled) { the_metal_engine().set_labels(enabled); }

void metal_begin_capture(const std::string &path) {
  MetalEngine &engine = the_metal_engine();
  engine.commit();
  guard_objective_c<LaunchError>("starting a capture", [&] {
    const AutoreleasePool pool;
    MTLCaptureManager *manager = [MTLCaptureManager sharedCaptureManager];
    if (![manager supportsDestination:MTLCaptureDestinationGPUTraceDocument]) {
      throw LaunchError("Metal does not capture in this process: set MTL_CAPTURE_ENABLED=1 before it starts");
    }
    if (manager.isCapturing) throw LaunchError("a capture is running already; end that one first");
    const auto descriptor = Retained<MTLCaptureDescriptor *>::adopt([[MTLCaptureDescriptor alloc] init]);
    descriptor.get().captureObject = engine.metal_device();
    descriptor.get().destination = MTLCaptureDestinationGPUTraceDocument;
    descriptor.get().outputURL = make_file_url(path).get();
    NSError *error = nil;
    if (![manager startCaptureWithDescriptor:descriptor.get() error:&error]) {
      throw LaunchError("Metal cannot capture into " + path + ": " + describe(error) +
                        ". The path must end in .gputrace, and nothing may be there yet");
    }
  });
  engine.set_capturing(true);
}

void metal_end_capture() {
  MetalEngine &engine = the_metal_engine();
  std::exception_ptr failure;
  try {
    engine.synchronize();
  } catch (const KernelError &) {
    failure = std::current_exception();  // the document is closed all the same: it may show why
  }
  guard_objective_c<LaunchError>("ending a capture", [&] {
    const AutoreleasePool pool;
    MTLCaptureManager *manager = [MTLCaptureManager sharedCaptureManager];
    if (!manager.isCapturing) throw LaunchError("no capture is running");
    [manager stopCapture];
  });
  engine.set_capturing(false);
  if (failure) std::rethrow_exception(failure);
}

std::shared_ptr<GpuTimeRegion> metal_begin_gpu_time() { return the_metal_engine().begin_gpu_time(); }

double metal_end_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) {
  return the_metal_engine().end_gpu_time(region);
}

}  // namespace helion_msl
