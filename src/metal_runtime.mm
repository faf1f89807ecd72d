// The Metal engine: compiles MSL with Metal and encodes launches into the command encoder that torch itself is using,
// on torch's queue. docs/metal_runtime.md says why each message is sent where it is sent.
#include "metal_runtime.h"

#include <pthread.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "autorelease_pool.h"
#include "errors.h"
#include "metal_library.h"
#include "metal_newer.h"
#include "metal_pipeline.h"
#include "objective_c_text.h"
#include "objective_c_try.h"

namespace helion_msl {
namespace {

constexpr NSUInteger placeholder_bytes = 256;  // the largest alignment of a buffer argument

const char queue_key = 0;  // only its address counts

// In a child of fork(), where the parent's threads and its connections to the GPU's driver are missing, Apple's
// frameworks end the process or wait for ever.
std::atomic<bool> is_forked_child = false;

void refuse_in_forked_child() {
  if (!is_forked_child.load(std::memory_order_relaxed)) return;
  throw EngineUnavailableError(
      "this process was forked from one that had used the GPU, and Apple's frameworks do not work in it. Start the "
      "process with multiprocessing's \"spawn\" method, or use CPU tensors in it");
}

// Lets run_on() know the queue when it runs the caller. Allocates, once for each queue.
void mark_queue(dispatch_queue_t queue) { dispatch_queue_set_specific(queue, &queue_key, (void *)queue, nullptr); }

// Runs `body` on `queue` and passes its exception on: none may cross libdispatch's frames. Nothing is allocated.
template <class Body>
void run_on(dispatch_queue_t queue, const char *doing, Body &&body) {
  // libdispatch ends the process where dispatch_sync would wait for the block that calls it.
  if (dispatch_get_specific(&queue_key) == (void *)queue) {
    throw LaunchError(std::string(doing) +
                      ": called from a block on torch's own MPS queue, which would have to wait for itself. Let the "
                      "block return first");
  }
  struct Call {
    const char *doing;
    std::remove_reference_t<Body> &body;
    std::exception_ptr error;
  } call{doing, body, nullptr};
  dispatch_sync_f(queue, &call, [](void *context) {
    auto &running = *static_cast<Call *>(context);
    try {
      guard_objective_c<LaunchError>(running.doing, [&running] {
        const AutoreleasePool pool;
        running.body();
      });
    } catch (const std::exception &) {
      running.error = std::current_exception();
    }
  });
  if (call.error) std::rethrow_exception(std::move(call.error));
}

// torch appends a C++ backtrace to what it throws.
std::string message_of_torch(const std::exception &error) {
  const std::string text = error.what();
  return text.substr(0, text.find("\nException raised from"));
}

// From 2.15 on torch reports failed command buffers too, when it next waits: a launch may have thrown the same before.
bool is_known(std::string_view torch_error, std::string_view thrown) {
  constexpr std::string_view prefix = "MPS command buffer execution failed: ";
  return torch_error.starts_with(prefix) && thrown.find(torch_error.substr(prefix.size())) != thrown.npos;
}

// Why there is no GPU to use, for a torch that says that it has no MPS device.
std::string reason_for_no_device() {
  const AutoreleasePool pool;
  const NSInteger macos = [NSProcessInfo processInfo].operatingSystemVersion.majorVersion;
  if (macos < 14) return "this is macOS " + std::to_string(macos) + ", and torch's MPS needs macOS 14 or later";
  // As torch does. MTLCreateSystemDefaultDevice() would need CoreGraphics in the process.
  const auto devices = Retained<NSArray *>::adopt(MTLCopyAllDevices());
  if (devices.get().count == 0) {
    return "Metal finds no GPU in this session. Sessions without a graphics login, sandboxes, containers and some "
           "virtual machines have none: log in to the desktop, or run on a physical Mac";
  }
  const id<MTLDevice> device = [devices.get() objectAtIndex:0];
  return "torch's MPS does not take the GPU " + text_of(device.name);
}

TorchMps find_available_torch() {
  TorchMps torch = find_torch_mps();
  if (!torch.is_available()) {
    throw EngineUnavailableError("torch has no MPS device: " + reason_for_no_device() +
                                 ". CPU tensors run on this machine's cores");
  }
  return torch;
}

// Closes the group whatever happens in it: the encoder is torch's, and Metal refuses to end one inside of a group.
template <class Body>
void in_debug_group(id<MTLComputeCommandEncoder> encoder, NSString *label, Body &&body) {
  [encoder pushDebugGroup:label];
  try {
    guard_objective_c<LaunchError>("launching a kernel", body);
  } catch (const std::exception &) {
    [encoder popDebugGroup];
    throw;
  }
  [encoder popDebugGroup];
}

// Lives as long as the process, since Metal's threads may call a handler after everything else has ended.
CommandBufferMonitor &command_buffer_monitor() {
  static auto *monitor = new CommandBufferMonitor;
  return *monitor;
}

std::string from_environment(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// MetalValidation(1): any value but 0 turns it on.
bool is_shader_validation_on() {
  const std::string value = from_environment("MTL_SHADER_VALIDATION");
  return !value.empty() && value != "0";
}

std::string text_of(const ConstantValue &value) {
  if (const bool *boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
  if (const auto *integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  char text[40];
  std::snprintf(text, sizeof text, "%a", std::get<double>(value));  // every bit of it
  return text;
}

std::uint32_t commit_every_from_environment(std::uint32_t otherwise) {
  const std::string text = from_environment("HELION_MSL_COMMIT_EVERY");
  if (text.empty()) return otherwise;
  char *end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (*end != '\0' || text[0] == '-' || value > UINT32_MAX) {
    throw EngineUnavailableError(
        "HELION_MSL_COMMIT_EVERY is \"" + text +
        "\"; it takes the number of launches after which to commit, or 0 to leave it to torch");
  }
  return static_cast<std::uint32_t>(value);
}

}  // namespace

MetalEngine::MetalEngine()
    : torch_(find_available_torch()),
      monitor_(command_buffer_monitor()),
      archives_(cache_directory_from_environment(), "metal", cache_limits_from_environment()),
      commit_every_(commit_every_from_environment(64)) {
  // Not current_stream(), which remembers a stream of this object: the constructor may yet throw.
  const at::mps::MPSStream *stream = torch_.current_stream();
  const dispatch_queue_t queue = torch_.dispatch_queue();
  mark_queue(queue);
  run_on(queue, "looking for the GPU", [&] {
    device_ = Retained<id<MTLDevice>>::retain(torch_.device(stream));
    placeholder_ = Retained<id<MTLBuffer>>::adopt([device_.get() newBufferWithLength:placeholder_bytes
                                                                             options:MTLResourceStorageModeShared]);
    is_paravirtual_ = helion_msl::text_of(device_.get().name).find("Paravirtual") != std::string::npos;
  });
  if (!device_ || !placeholder_) throw EngineUnavailableError("torch's MPS stream has no usable Metal device");
  // Once: this constructor is not run again after it has returned.
  pthread_atfork(nullptr, nullptr, [] { is_forked_child.store(true, std::memory_order_relaxed); });
}

std::string MetalEngine::description() {
  std::string text;
  guard_objective_c<EngineUnavailableError>("describing the GPU", [&] {
    const AutoreleasePool pool;
    text = "metal: " + helion_msl::text_of(device_.get().name) + ", MSL " +
           language_version_name(newest_language_version());
  });
  return text;
}

// Everything that can change the pipeline's code. Empty where it cannot be told: shader validation puts checks into the
// code, and which ones depends on variables that differ from one macOS to the next. Nor on a paravirtual GPU, which has
// no architecture to compile for: Metal ends the process that opens an archive there.
std::string MetalEngine::archive_key(const std::string &expanded, const CompileRequest &request,
                                     const std::string &kernel) const {
  if (is_paravirtual_ || is_shader_validation_on()) return {};
  std::string key = "metal pipeline 1\n";
  key += helion_msl::text_of([NSProcessInfo processInfo].operatingSystemVersionString) + "\n";
  key += helion_msl::text_of(device_.get().name) + " " + helion_msl::text_of(device_.get().architecture.name) + "\n";
  key += std::string(request.math_mode == MathMode::fast ? "fast" : "safe") + " math\n" + kernel + "\n";
  for (const auto &[name, value] : request.constants) key += name + "=" + text_of(value) + "\n";
  return key + "\n" + expanded;
}

std::shared_ptr<const CompiledKernel> MetalEngine::compile(const CompileRequest &request) {
  refuse_in_forked_child();
  std::shared_ptr<const CompiledKernel> kernel;
  guard_objective_c<MetalCompileError>("compiling", [&] {
    const AutoreleasePool pool;
    const std::string expanded = expand_includes(request.source);
    const auto library = compile_library(device_.get(), request.source, expanded, request.math_mode);
    const auto function = find_function(library.get(), request.name, request.constants);
    const std::string name = helion_msl::text_of(function.get().name);
    kernel = make_kernel(device_.get(), function.get(), archives_, archive_key(expanded, request, name));
  });
  return kernel;
}

// The stream of this thread. Before torch 2.15 there is one for all.
MetalStream &MetalEngine::current_stream() {
  struct Last {
    at::mps::MPSStream *stream = nullptr;
    MetalStream *state = nullptr;
  };
  static thread_local Last last;
  at::mps::MPSStream *stream = torch_.current_stream();
  if (stream == last.stream) return *last.state;
  const std::lock_guard lock(mutex_);
  for (const auto &known : streams_) {
    if (known->stream == stream) {
      last = {stream, known.get()};
      return *known;
    }
  }
  auto made = std::make_unique<MetalStream>();
  made->stream = stream;
  made->queue = torch_.dispatch_queue();
  mark_queue(made->queue);
  streams_.push_back(std::move(made));
  last = {stream, streams_.back().get()};
  return *last.state;
}

std::vector<MetalStream *> MetalEngine::all_streams() {
  current_stream();  // so that what torch alone has encoded on this thread's stream is waited for too
  const std::lock_guard lock(mutex_);
  std::vector<MetalStream *> streams;
  for (const auto &stream : streams_) streams.push_back(stream.get());
  return streams;
}

// On the queue. torch may have committed its buffer since the last launch, and hides the new one in the same wrapper,
// so the buffer below is what tells. A finished record means that its address may have been given to a new buffer.
CommandBufferRecord &MetalEngine::record_of_current_buffer(MetalStream &stream) {
  id<MTLCommandBuffer> buffer = torch_.command_buffer(stream.stream);
  if (buffer == nil) throw LaunchError("torch's MPS stream has no command buffer");
  static const bool is_wrapped = [buffer respondsToSelector:@selector(rootCommandBuffer)];
  if (is_wrapped) buffer = [(id<HelionMSLCommandBufferWrapper>)buffer rootCommandBuffer];
  if (stream.command_buffer == buffer && !stream.record->finished.load(std::memory_order_acquire)) {
    return *stream.record;
  }
  stream.record = monitor_.follow(buffer, region_.current());
  stream.command_buffer = buffer;
  stream.launches_since_commit = 0;
  std::erase_if(stream.unfinished, [](const auto &record) { return record->finished.load(std::memory_order_acquire); });
  stream.unfinished.push_back(stream.record);
  return *stream.record;
}

// On the queue.
MetalEngine::Encoding MetalEngine::begin_encoding(MetalStream &stream) {
  CommandBufferRecord &record = record_of_current_buffer(stream);
  const id<MTLComputeCommandEncoder> encoder = torch_.command_encoder(stream.stream);
  if (encoder == nil) throw LaunchError("torch's MPS stream has no command encoder");
  return {&record, encoder};
}

// On the queue.
void MetalEngine::encode(const Encoding &encoding, const MetalKernel &kernel, std::span<const BoundArgument> arguments,
                         MTLSize grid, MTLSize threads) {
  const auto send = [&] { send_launch(encoding.encoder, kernel, arguments, grid, threads); };
  if (are_labels_wanted_.load(std::memory_order_relaxed) || is_capturing_.load(std::memory_order_relaxed)) {
    in_debug_group(encoding.encoder, kernel.label(), send);
  } else {
    send();
  }
  ++encoding.record->launches;
  if (kernel.is_first_in(encoding.record->serial)) encoding.record->add_kernel(kernel.name());
}

// Two messages and one more for each argument.
void MetalEngine::send_launch(id<MTLComputeCommandEncoder> encoder, const MetalKernel &kernel,
                              std::span<const BoundArgument> arguments, MTLSize grid, MTLSize threads) {
  [encoder setComputePipelineState:kernel.state()];
  const std::vector<ArgumentInfo> &declared = kernel.info().arguments;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const BoundArgument &argument = arguments[i];
    const NSUInteger index = declared[i].index;
    if (declared[i].is_threadgroup_memory) {
      // "The length must be a multiple of 16 bytes" (setThreadgroupMemoryLength:atIndex:).
      [encoder setThreadgroupMemoryLength:(argument.byte_count + 15) / 16 * 16 atIndex:index];
    } else if (argument.byte_count > 0) {
      [encoder setBytes:argument.address length:argument.byte_count atIndex:index];
    } else if (argument.address != nullptr) {
      [encoder setBuffer:(id<MTLBuffer>)argument.address offset:argument.offset atIndex:index];
    } else {
      [encoder setBuffer:placeholder_.get() offset:0 atIndex:index];
    }
  }
  [encoder dispatchThreadgroups:grid threadsPerThreadgroup:threads];
}

void MetalEngine::launch(const CompiledKernel &kernel, std::span<const BoundArgument> arguments, Dimensions grid,
                         Dimensions threads) {
  const PreparedLaunch only{&kernel, grid, threads};
  launch_all({&only, 1}, arguments);
}

void MetalEngine::launch_all(std::span<const PreparedLaunch> launches, std::span<const BoundArgument> arguments) {
  if (launches.empty()) return;
  refuse_in_forked_child();
  monitor_.throw_failures();
  MetalStream &stream = current_stream();
  run_on(stream.queue, "launching a kernel", [&] {
    Encoding encoding;
    for (const auto &[kernel, grid, threads] : launches) {
      // Nobody else ends torch's encoder, or commits, while the queue is held.
      if (encoding.encoder == nil) encoding = begin_encoding(stream);
      const std::size_t count = kernel->info().arguments.size();
      encode(encoding, static_cast<const MetalKernel &>(*kernel), arguments.first(count),
             MTLSizeMake(grid.x, grid.y, grid.z), MTLSizeMake(threads.x, threads.y, threads.z));
      arguments = arguments.subspan(count);
      const std::uint32_t limit = commit_every();
      if (++stream.launches_since_commit < limit || limit == 0) continue;
      commit_stream(stream);
      encoding = {};
    }
  });
}

// On the queue.
void MetalEngine::commit_stream(MetalStream &stream) {
  stream.launches_since_commit = 0;
  try {
    torch_.synchronize(stream.stream, TorchSync::commit);
  } catch (const std::exception &error) {
    throw KernelError(message_of_torch(error));
  }
}

void MetalEngine::commit() {
  for (MetalStream *stream : all_streams()) {
    run_on(stream->queue, "committing", [&] { commit_stream(*stream); });
  }
}

void MetalEngine::synchronize() {
  std::vector<std::string> torch_errors;
  for (MetalStream *stream : all_streams()) {
    const std::size_t errors_before = torch_errors.size();
    std::vector<std::shared_ptr<CommandBufferRecord>> encoded;
    run_on(stream->queue, "waiting for the GPU", [&] {
      stream->launches_since_commit = 0;
      encoded.swap(stream->unfinished);
      try {
        torch_.synchronize(stream->stream, TorchSync::commit_and_wait);
      } catch (const std::exception &error) {
        // torch reports failed buffers too, without the kernels' names: what the monitor knows goes first.
        torch_errors.push_back(message_of_torch(error));
      }
    });
    // torch waits before it throws, but a record of a buffer that it did not commit would never be finished.
    const bool has_thrown = torch_errors.size() > errors_before;
    monitor_.wait(encoded, has_thrown ? std::chrono::seconds(1) : CommandBufferMonitor::forever);
  }
  const std::string thrown_by_launches = monitor_.take_thrown();
  if (const std::string failures = monitor_.take_failures(); !failures.empty()) throw KernelError(failures);
  for (const std::string &error : torch_errors) {
    if (!is_known(error, thrown_by_launches)) throw KernelError(error);
  }
}

namespace {

MetalEngine &the_metal_engine() {
  // Where this throws, the next call tries again: torch may be imported by then. Never destroyed, as the process's end
  // may find torch's stream gone.
  static auto *engine = new MetalEngine;
  refuse_in_forked_child();
  return *engine;
}

}  // namespace

Engine &metal_engine() { return the_metal_engine(); }

EngineTools &metal_engine_tools() { return the_metal_engine(); }

}  // namespace helion_msl
