// What a Metal engine must not do, done on purpose: tests plant each and expect the double to report it.
#include <functional>
#include <map>
#include <string>
#include <thread>

#import "double_commands.h"
#include "double_state.h"
#include "torch_stream.h"

using namespace metal_double;

namespace {

constexpr const char *source = R"(
#include <metal_stdlib>
using namespace metal;
kernel void scale(device float4 *x [[buffer(0)]], constant float &factor [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) { x[i] *= factor; })";

const MTLSize one = {1, 1, 1};

// A command buffer with an open encoder, a pipeline, and a buffer of 64 bytes.
struct Scene {
  DoubleCommandBuffer *commands = make_command_buffer();
  DoubleComputeCommandEncoder *encoder = [commands computeCommandEncoder];
  id<MTLDevice> device = shared_device();
  id<MTLBuffer> memory = [[device newBufferWithLength:64 options:MTLResourceStorageModeShared] autorelease];
  id<MTLComputePipelineState> pipeline = make_pipeline(device);
  float factor = 1;

  static DoubleCommandBuffer *make_command_buffer() {
    static GpuQueue &queue = make_gpu_queue();
    return [[[DoubleCommandBuffer alloc] initWithQueue:queue] autorelease];
  }
  static id<MTLComputePipelineState> make_pipeline(id<MTLDevice> device) {
    NSError *error = nil;
    id<MTLLibrary> library = [device newLibraryWithSource:make_string(source) options:nil error:&error];
    MTLComputePipelineDescriptor *descriptor = [[[MTLComputePipelineDescriptor alloc] init] autorelease];
    id<MTLFunction> function = [library newFunctionWithName:@"scale"];
    descriptor.computeFunction = function;
    [function release];
    [library release];
    return [[device newComputePipelineStateWithDescriptor:descriptor
                                                  options:MTLPipelineOptionNone
                                               reflection:nullptr
                                                    error:&error] autorelease];
  }
  void set_all() {
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:memory offset:0 atIndex:0];
    [encoder setBytes:&factor length:sizeof factor atIndex:1];
  }
  void dispatch(MTLSize grid = one, MTLSize threads = one) {
    [encoder dispatchThreadgroups:grid threadsPerThreadgroup:threads];
  }
  ~Scene() {
    if (![encoder hasEnded]) [encoder endEncoding];
  }
};

using Mistake = std::function<void(Scene &)>;

const std::map<std::string, Mistake> &mistakes() {
  static const std::map<std::string, Mistake> all = {
      {"none",
       [](Scene &scene) {
         scene.set_all();
         scene.dispatch();
         [scene.encoder endEncoding];
         [scene.commands commit];
         [scene.commands waitUntilCompleted];
       }},
      {"dispatch without a pipeline", [](Scene &scene) { scene.dispatch(); }},
      {"missing argument",
       [](Scene &scene) {
         [scene.encoder setComputePipelineState:scene.pipeline];
         [scene.encoder setBuffer:scene.memory offset:0 atIndex:0];
         scene.dispatch();
       }},
      {"buffer index above 30", [](Scene &scene) { [scene.encoder setBuffer:scene.memory offset:0 atIndex:31]; }},
      {"bytes index above 30", [](Scene &scene) { [scene.encoder setBytes:&scene.factor length:4 atIndex:31]; }},
      {"bytes above 4096",
       [](Scene &scene) {
         const std::string bytes(4097, 'x');
         [scene.encoder setBytes:bytes.data() length:bytes.size() atIndex:1];
       }},
      {"no bytes", [](Scene &scene) { [scene.encoder setBytes:&scene.factor length:0 atIndex:1]; }},
      {"threadgroup memory of 20 bytes", [](Scene &scene) { [scene.encoder setThreadgroupMemoryLength:20 atIndex:0]; }},
      {"bytes for a written argument",
       [](Scene &scene) {
         scene.set_all();
         const float vector[4] = {};
         [scene.encoder setBytes:vector length:sizeof vector atIndex:0];
         scene.dispatch();
       }},
      {"offset behind the buffer", [](Scene &scene) { [scene.encoder setBuffer:scene.memory offset:64 atIndex:0]; }},
      {"misaligned offset",
       [](Scene &scene) {
         scene.set_all();
         [scene.encoder setBuffer:scene.memory offset:4 atIndex:0];
         scene.dispatch();
       }},
      {"too few bytes",
       [](Scene &scene) {
         scene.set_all();
         [scene.encoder setBytes:&scene.factor length:2 atIndex:1];
         scene.dispatch();
       }},
      {"object that is no buffer",
       [](Scene &scene) { [scene.encoder setBuffer:(id<MTLBuffer>)scene.pipeline offset:0 atIndex:0]; }},
      {"oversized threadgroup",
       [](Scene &scene) {
         scene.set_all();
         scene.dispatch(one, MTLSizeMake(1025, 1, 1));
       }},
      {"empty grid",
       [](Scene &scene) {
         scene.set_all();
         scene.dispatch(MTLSizeMake(0, 1, 1));
       }},
      {"empty threadgroup",
       [](Scene &scene) {
         scene.set_all();
         scene.dispatch(one, MTLSizeMake(1, 0, 1));
       }},
      {"encoding after endEncoding",
       [](Scene &scene) {
         [scene.encoder endEncoding];
         [scene.encoder setComputePipelineState:scene.pipeline];
       }},
      {"endEncoding twice",
       [](Scene &scene) {
         [scene.encoder endEncoding];
         [scene.encoder endEncoding];
       }},
      {"open debug group", [](Scene &scene) { [scene.encoder pushDebugGroup:@"group"]; }},
      {"debug group closed twice", [](Scene &scene) { [scene.encoder popDebugGroup]; }},
      {"two open encoders", [](Scene &scene) { [[scene.commands computeCommandEncoder] endEncoding]; }},
      {"commit with an open encoder", [](Scene &scene) { [scene.commands commit]; }},
      {"commit twice",
       [](Scene &scene) {
         [scene.encoder endEncoding];
         [scene.commands commit];
         [scene.commands commit];
       }},
      {"wait before commit", [](Scene &scene) { [scene.commands waitUntilCompleted]; }},
      {"handler after commit",
       [](Scene &scene) {
         [scene.encoder endEncoding];
         [scene.commands commit];
         [scene.commands addCompletedHandler:^(id<MTLCommandBuffer>){
         }];
       }},
      {"message after the last release",
       [](Scene &scene) {
         id<MTLBuffer> gone = [scene.device newBufferWithLength:16 options:MTLResourceStorageModeShared];
         [gone release];
         (void)[gone length];
       }},
      {"released once too often",
       [](Scene &scene) {
         id<MTLBuffer> gone = [scene.device newBufferWithLength:16 options:MTLResourceStorageModeShared];
         [gone release];
         [gone release];
       }},
      {"no autorelease pool",
       [](Scene &scene) {
         id<MTLDevice> device = scene.device;
         std::thread([device] {
           NSError *error = nil;
           [[device newLibraryWithSource:@"kernel void f() {}" options:nil error:&error] release];
         }).join();
       }},
      {"empty buffer", [](Scene &scene) { [scene.device newBufferWithLength:0 options:MTLResourceStorageModeShared]; }},
      {"pipeline without a function",
       [](Scene &scene) {
         MTLComputePipelineDescriptor *descriptor = [[[MTLComputePipelineDescriptor alloc] init] autorelease];
         NSError *error = nil;
         [scene.device newComputePipelineStateWithDescriptor:descriptor
                                                     options:MTLPipelineOptionNone
                                                  reflection:nullptr
                                                       error:&error];
       }},
      {"stream off its queue", [](Scene &) { require_queue(stream_queue(), "the test"); }},
      {"nested dispatch_sync",
       [](Scene &) {
         dispatch_sync_f(stream_queue(), nullptr,
                         [](void *) { dispatch_sync_f(stream_queue(), nullptr, [](void *) {}); });
       }},
  };
  return all;
}

}  // namespace

// Whether there is such a mistake.
extern "C" __attribute__((visibility("default"))) int metal_double_make_mistake(const char *name) {
  const auto found = mistakes().find(name);
  if (found == mistakes().end()) return 0;
  const InDouble inside;
  @autoreleasepool {
    Scene scene;
    found->second(scene);
  }
  return 1;
}
