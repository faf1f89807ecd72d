// The Metal engine, for its own parts. Others see engine.h and engine_tools.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "disk_cache.h"
#include "engine.h"
#include "engine_tools.h"
#include "gpu_time.h"
#include "metal_command_buffer.h"
#import "metal_platform.h"
#include "retained.h"
#include "torch_mps.h"

namespace helion_msl {

class MetalKernel;

// A stream of torch's, and what the engine has encoded into it. Only work on `queue` touches the lower part.
struct MetalStream {
  at::mps::MPSStream *stream = nullptr;
  dispatch_queue_t queue = nullptr;  // torch's, as is `stream`: both live as long as the process

  id<MTLCommandBuffer> command_buffer = nil;    // torch's; only compared, never sent a message
  std::shared_ptr<CommandBufferRecord> record;  // of `command_buffer`, while its `finished` is false
  std::vector<std::shared_ptr<CommandBufferRecord>> unfinished;
  std::uint32_t launches_since_commit = 0;
};

class MetalEngine final : public Engine, public EngineTools {
 public:
  // Throws EngineUnavailableError.
  MetalEngine();

  DeviceKind device() const override { return DeviceKind::mps; }
  std::string description() override;
  std::shared_ptr<const CompiledKernel> compile(const CompileRequest &request) override;
  void launch(const CompiledKernel &kernel, std::span<const BoundArgument> arguments, Dimensions grid,
              Dimensions threads) override;
  void launch_all(std::span<const PreparedLaunch> launches, std::span<const BoundArgument> arguments) override;
  bool launch_is_long(const CompiledKernel &, Dimensions, Dimensions) const override { return false; }
  void synchronize() override;
  void commit() override;

  // The tools, in metal_tools.mm.
  DeviceInfo device_info() override;
  std::uint32_t commit_every() const override { return commit_every_.load(std::memory_order_relaxed); }
  void set_commit_every(std::uint32_t launches) override { commit_every_.store(launches, std::memory_order_relaxed); }
  void set_labels(bool wanted) override { are_labels_wanted_.store(wanted, std::memory_order_relaxed); }
  void begin_capture(const std::string &path) override;
  void end_capture() override;
  std::shared_ptr<GpuTimeRegion> begin_gpu_time() override;
  double end_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) override;
  void cancel_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) override { region_.close(region); }

 private:
  MetalStream &current_stream();
  std::vector<MetalStream *> all_streams();
  CommandBufferRecord &record_of_current_buffer(MetalStream &stream);
  // Where launches go until the next commit. Both belong to the stream.
  struct Encoding {
    CommandBufferRecord *record = nullptr;
    id<MTLComputeCommandEncoder> encoder = nil;
  };
  Encoding begin_encoding(MetalStream &stream);
  void encode(const Encoding &encoding, const MetalKernel &kernel, std::span<const BoundArgument> arguments,
              MTLSize grid, MTLSize threads);
  void send_launch(id<MTLComputeCommandEncoder> encoder, const MetalKernel &kernel,
                   std::span<const BoundArgument> arguments, MTLSize grid, MTLSize threads);
  void commit_stream(MetalStream &stream);
  std::string archive_key(const std::string &expanded, const CompileRequest &request, const std::string &kernel) const;

  TorchMps torch_;
  Retained<id<MTLDevice>> device_;
  Retained<id<MTLBuffer>> placeholder_;  // bound where a tensor has no elements and so no memory
  bool is_paravirtual_ = false;
  CommandBufferMonitor &monitor_;
  DiskCache archives_;
  std::atomic<std::uint32_t> commit_every_ = 64;
  std::atomic<bool> are_labels_wanted_ = false;
  std::atomic<bool> is_capturing_ = false;

  std::mutex mutex_;                                   // never held while messages are sent
  std::vector<std::unique_ptr<MetalStream>> streams_;  // guarded by mutex_
  OpenGpuTimeRegion region_;
};

}  // namespace helion_msl
