// What a person asks of the Metal engine besides launching kernels.
#include <exception>

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

void require_that_a_capture_can_start(MTLCaptureManager *manager) {
  if (![manager supportsDestination:MTLCaptureDestinationGPUTraceDocument]) {
    throw LaunchError("Metal does not capture in this process: set MTL_CAPTURE_ENABLED=1 before it starts");
  }
  if (manager.isCapturing) throw LaunchError("a capture is running already; end that one first");
}

void start_capture(MTLCaptureManager *manager, id<MTLDevice> device, const std::string &path) {
  const auto descriptor = Retained<MTLCaptureDescriptor *>::adopt([[MTLCaptureDescriptor alloc] init]);
  descriptor.get().captureObject = device;
  descriptor.get().destination = MTLCaptureDestinationGPUTraceDocument;
  descriptor.get().outputURL = make_file_url(path).get();
  NSError *error = nil;
  if (![manager startCaptureWithDescriptor:descriptor.get() error:&error]) {
    throw LaunchError("Metal cannot capture into " + path + ": " + describe(error) +
                      ". The path must end in .gputrace, and nothing may be there yet");
  }
}

}  // namespace

DeviceInfo MetalEngine::device_info() {
  DeviceInfo info;
  guard_objective_c<EngineUnavailableError>("describing the GPU", [&] {
    const AutoreleasePool pool;
    const id<MTLDevice> device = device_.get();
    info.name = text_of(device.name);
    info.architecture = text_of(device.architecture.name);
    info.family = family_of(device);
    info.language_version = language_version_name(newest_language_version());
    info.compiler = "Metal";
    info.system = text_of([NSProcessInfo processInfo].operatingSystemVersionString);
    info.max_threads_per_threadgroup = static_cast<std::uint32_t>(device.maxThreadsPerThreadgroup.width);
    info.max_threadgroup_memory = device.maxThreadgroupMemoryLength;
    info.max_buffer_length = device.maxBufferLength;
    info.recommended_working_set = device.recommendedMaxWorkingSetSize;
    info.has_unified_memory = device.hasUnifiedMemory;
    info.is_paravirtual = is_paravirtual_;
  });
  return info;
}

void MetalEngine::begin_capture(const std::string &path) {
  guard_objective_c<LaunchError>("starting a capture", [] {
    const AutoreleasePool pool;
    require_that_a_capture_can_start([MTLCaptureManager sharedCaptureManager]);
  });
  // Metal captures "only commands within MTLCommandBuffer objects that are created after the capture starts and are
  // committed before the capture stops". A commit alone has torch create the next one at once; after a wait it has
  // none.
  synchronize();
  guard_objective_c<LaunchError>("starting a capture", [&] {
    const AutoreleasePool pool;
    start_capture([MTLCaptureManager sharedCaptureManager], device_.get(), path);
  });
  is_capturing_.store(true, std::memory_order_relaxed);
}

void MetalEngine::end_capture() {
  if (!is_capturing_.exchange(false)) throw LaunchError("no capture is running");
  std::exception_ptr failure;
  try {
    synchronize();
  } catch (const std::exception &) {
    failure = std::current_exception();  // the document is closed all the same: it may show why
  }
  try {
    guard_objective_c<LaunchError>("ending a capture", [] {
      const AutoreleasePool pool;
      MTLCaptureManager *manager = [MTLCaptureManager sharedCaptureManager];
      if (!manager.isCapturing) throw LaunchError("the capture was ended by other code");
      [manager stopCapture];
    });
  } catch (const std::exception &) {
    if (!failure) throw;  // what failed on the GPU is told once, so it goes first
  }
  if (failure) std::rethrow_exception(failure);
}

std::shared_ptr<GpuTimeRegion> MetalEngine::begin_gpu_time() {
  auto region = region_.open();
  try {
    commit();  // launches from before stay in buffers without the region
  } catch (...) {
    region_.close(region);
    throw;
  }
  return region;
}

double MetalEngine::end_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) {
  region_.close(region);
  synchronize();
  return region->total();
}

}  // namespace helion_msl
