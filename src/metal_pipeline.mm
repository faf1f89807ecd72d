#include "metal_pipeline.h"

#include <algorithm>

#include "errors.h"
#include "metal_newer.h"
#include "metal_types.h"
#include "objective_c_text.h"

namespace helion_msl {
namespace {

constexpr MTLPipelineOption reflection_options =
    static_cast<MTLPipelineOption>(newer::MTLPipelineOptionBindingInfo | MTLPipelineOptionBufferTypeInfo);

struct Pipeline {
  Retained<id<MTLComputePipelineState>> state;
  Retained<MTLComputePipelineReflection *> reflection;
};

// Without reflection nobody knows which arguments to set.
bool is_usable(const Pipeline &pipeline) { return pipeline.state && pipeline.reflection; }

Pipeline make_pipeline(id<MTLDevice> device, MTLComputePipelineDescriptor *descriptor, MTLPipelineOption options,
                       NSError **error) {
  MTLComputePipelineReflection *reflection = nil;  // autoreleased
  Pipeline pipeline;
  pipeline.state =
      Retained<id<MTLComputePipelineState>>::adopt([device newComputePipelineStateWithDescriptor:descriptor
                                                                                         options:options
                                                                                      reflection:&reflection
                                                                                           error:error]);
  pipeline.reflection = Retained<MTLComputePipelineReflection *>::retain(reflection);
  return pipeline;
}

// An empty archive where `path` is empty. Nil where Metal cannot make one, or cannot read the file.
Retained<id<MTLBinaryArchive>> open_archive(id<MTLDevice> device, const std::string &path) {
  const auto descriptor = Retained<MTLBinaryArchiveDescriptor *>::adopt([[MTLBinaryArchiveDescriptor alloc] init]);
  if (!path.empty()) descriptor.get().url = make_file_url(path).get();
  NSError *error = nil;
  return Retained<id<MTLBinaryArchive>>::adopt([device newBinaryArchiveWithDescriptor:descriptor.get() error:&error]);
}

// The pipeline as an earlier process stored it; empty where there is none that this Metal can use.
Pipeline load_pipeline(id<MTLDevice> device, MTLComputePipelineDescriptor *descriptor, DiskCache &archives,
                       const std::string &key) {
  if (key.empty()) return {};
  const std::string path = archives.find(key);
  if (path.empty()) return {};
  const auto archive = open_archive(device, path);
  Pipeline pipeline;
  if (archive) {
    descriptor.binaryArchives = [NSArray arrayWithObject:archive.get()];
    NSError *error = nil;
    const auto options = static_cast<MTLPipelineOption>(reflection_options | MTLPipelineOptionFailOnBinaryArchiveMiss);
    pipeline = make_pipeline(device, descriptor, options, &error);
    descriptor.binaryArchives = nil;
  }
  if (is_usable(pipeline)) return pipeline;
  archives.remove(key);
  return {};
}

// Compiles the pipeline into an archive first, so that it is compiled once and not once for each.
Pipeline build_pipeline(id<MTLDevice> device, MTLComputePipelineDescriptor *descriptor, DiskCache &archives,
                        const std::string &key, NSError **error) {
  const bool is_to_be_stored = archives.is_on() && !key.empty();
  const auto archive = is_to_be_stored ? open_archive(device, {}) : Retained<id<MTLBinaryArchive>>();
  NSError *refusal = nil;
  const bool is_archived = archive && [archive.get() addComputePipelineFunctionsWithDescriptor:descriptor
                                                                                         error:&refusal];
  if (is_archived) descriptor.binaryArchives = [NSArray arrayWithObject:archive.get()];
  Pipeline pipeline = make_pipeline(device, descriptor, reflection_options, error);
  if (is_archived && is_usable(pipeline)) {
    archives.store(key, [&](const std::string &path) {
      NSError *unwritten = nil;
      return [archive.get() serializeToURL:make_file_url(path).get() error:&unwritten] == YES;
    });
  }
  return pipeline;
}

// What Metal's reflection calls them, for kernels that this package cannot launch.
const char *kind_of_binding(MTLBindingType type) {
  switch (type) {
    case MTLBindingTypeTexture:
      return "a texture; pass a tensor as a buffer instead";
    case MTLBindingTypeSampler:
      return "a sampler; declare it inside the kernel instead, `constexpr sampler s(...);`";
    default:
      return "neither a tensor nor a number";
  }
}

ArgumentInfo read_argument(id<MTLBufferBinding> binding) {
  const ElementType type = element_type(binding.bufferDataType);
  ArgumentInfo argument;
  argument.name = text_of(binding.name);
  argument.index = static_cast<std::uint32_t>(binding.index);
  argument.scalar = type.scalar;
  argument.lanes = type.lanes;
  argument.element_size = static_cast<std::uint32_t>(binding.bufferDataSize);
  argument.alignment = static_cast<std::uint32_t>(binding.bufferAlignment);
  argument.is_writable = binding.access != MTLBindingAccessReadOnly;
  return argument;
}

// The type is not told, only its size.
ArgumentInfo read_threadgroup_memory(id<MTLThreadgroupBinding> binding) {
  ArgumentInfo argument;
  argument.name = text_of(binding.name);
  argument.index = static_cast<std::uint32_t>(binding.index);
  argument.element_size = static_cast<std::uint32_t>(binding.threadgroupMemoryDataSize);
  argument.alignment = static_cast<std::uint32_t>(binding.threadgroupMemoryAlignment);
  argument.is_writable = true;
  argument.is_threadgroup_memory = true;
  return argument;
}

std::vector<ArgumentInfo> read_arguments(MTLComputePipelineReflection *reflection, const std::string &kernel) {
  std::vector<ArgumentInfo> arguments;
  NSArray *bindings = reflection.bindings;
  for (NSUInteger i = 0; i < bindings.count; ++i) {
    const id<MTLBinding> binding = [bindings objectAtIndex:i];
    if (binding.type == MTLBindingTypeBuffer) {
      arguments.push_back(read_argument((id<MTLBufferBinding>)binding));
    } else if (!binding.argument) {  // threadgroup memory that the kernel declares inside
      continue;
    } else if (binding.type == MTLBindingTypeThreadgroupMemory) {
      arguments.push_back(read_threadgroup_memory((id<MTLThreadgroupBinding>)binding));
    } else {
      throw MetalCompileError("argument " + text_of(binding.name) + " of kernel " + kernel + " is " +
                              kind_of_binding(binding.type));
    }
  }
  std::sort(arguments.begin(), arguments.end(), [](const ArgumentInfo &a, const ArgumentInfo &b) {
    return std::pair(a.is_threadgroup_memory, a.index) < std::pair(b.is_threadgroup_memory, b.index);
  });
  return arguments;
}

}  // namespace

MetalKernel::MetalKernel(Retained<id<MTLComputePipelineState>> state, MTLComputePipelineReflection *reflection,
                         const std::string &name)
    : state_(std::move(state)), label_(make_string(name)), name_(std::make_shared<const std::string>(name)) {
  info_.name = name;
  info_.arguments = read_arguments(reflection, name);
  info_.max_total_threads_per_threadgroup = static_cast<std::uint32_t>(state_.get().maxTotalThreadsPerThreadgroup);
  info_.thread_execution_width = static_cast<std::uint32_t>(state_.get().threadExecutionWidth);
  info_.static_threadgroup_memory = state_.get().staticThreadgroupMemoryLength;
  if ([state_.get() respondsToSelector:@selector(requiredThreadsPerThreadgroup)]) {
    const MTLSize required = [(id<HelionMSLRequiredThreads>)state_.get() requiredThreadsPerThreadgroup];
    info_.required_threads_per_threadgroup = {static_cast<std::uint32_t>(required.width),
                                              static_cast<std::uint32_t>(required.height),
                                              static_cast<std::uint32_t>(required.depth)};
  }
}

std::shared_ptr<const MetalKernel> make_kernel(id<MTLDevice> device, id<MTLFunction> function, DiskCache &archives,
                                               const std::string &key) {
  const std::string name = text_of(function.name);
  const auto descriptor = Retained<MTLComputePipelineDescriptor *>::adopt([[MTLComputePipelineDescriptor alloc] init]);
  descriptor.get().label = function.name;
  descriptor.get().computeFunction = function;
  NSError *error = nil;
  Pipeline pipeline = load_pipeline(device, descriptor.get(), archives, key);
  if (!pipeline.state) pipeline = build_pipeline(device, descriptor.get(), archives, key, &error);
  if (!pipeline.state) {
    throw MetalCompileError("Metal cannot make a pipeline of kernel " + name + " for " + text_of(device.name) + ": " +
                            describe(error));
  }
  if (!pipeline.reflection) {
    throw MetalCompileError("Metal does not tell which arguments kernel " + name + " has, so it cannot be launched");
  }
  return std::make_shared<const MetalKernel>(std::move(pipeline.state), pipeline.reflection.get(), name);
}

}  // namespace helion_msl
