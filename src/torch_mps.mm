#include "torch_mps.h"

#include <dlfcn.h>

#include <filesystem>

#include "errors.h"
#include "loaded_image.h"

namespace helion_msl {
namespace {

// Pointers to members and to functions alike are plain addresses in the Itanium ABI that both platforms follow: `this`
// is the first argument.
template <class Function>
void resolve(void *image, const std::string &path, const char *name, const char *declaration, Function &function) {
  function = reinterpret_cast<Function>(dlsym(image, name));
  if (function == nullptr) {
    throw EngineUnavailableError(std::string("the loaded torch has no ") + declaration + " (looked for " + name +
                                 " in " + path +
                                 "). Metal kernels need torch 2.10 or later for macOS on Apple silicon");
  }
}

}  // namespace

TorchMps find_torch_mps() {
  TorchMps torch;
  torch.image_path = find_loaded_image(torch_image_name);
  if (torch.image_path.empty()) {
    throw EngineUnavailableError(
        "torch is not loaded, and Metal kernels run on its MPS stream: import torch before the first kernel");
  }
  // RTLD_NOLOAD: the image that torch has loaded, never a second one. It is not closed, as torch stays loaded.
  void *image = open_loaded_image(torch.image_path);
  if (image == nullptr) {
    const char *reason = dlerror();  // RTLD_NOLOAD need not leave one
    throw EngineUnavailableError("cannot open the loaded " + torch.image_path + ": " +
                                 (reason != nullptr ? reason : "it is loaded no more"));
  }
  const auto find = [&](const char *name, const char *declaration, auto &function) {
    resolve(image, torch.image_path, name, declaration, function);
  };
  find("_ZN5torch3mps12is_availableEv", "torch::mps::is_available()", torch.is_available);
  find("_ZN2at3mps19getCurrentMPSStreamEv", "at::mps::getCurrentMPSStream()", torch.current_stream);
  find("_ZN2at3mps9MPSStream14commandEncoderEv", "at::mps::MPSStream::commandEncoder()", torch.command_encoder);
  find("_ZN2at3mps9MPSStream13commandBufferEv", "at::mps::MPSStream::commandBuffer()", torch.command_buffer);
  find("_ZN2at3mps9MPSStream11synchronizeENS0_8SyncTypeE", "at::mps::MPSStream::synchronize(SyncType)",
       torch.synchronize);
  find("_ZNK2at3mps9MPSStream6deviceEv", "at::mps::MPSStream::device() const", torch.device);
  find("_ZN5torch3mps18get_dispatch_queueEv", "torch::mps::get_dispatch_queue()", torch.dispatch_queue);
  return torch;
}

std::string find_torch_include_directory() {
  for (const char *name : {"libtorch_cpu.dylib", "libtorch_cpu.so"}) {
    const std::string path = find_loaded_image(name);
    if (path.empty()) continue;
    const auto include = std::filesystem::path(path).parent_path().parent_path() / "include";
    std::error_code error;
    if (std::filesystem::is_directory(include, error)) return include.string();
  }
  return {};
}

}  // namespace helion_msl
