#include "metal_library.h"

#include <algorithm>
#include <vector>

#include "compile_diagnostics.h"
#include "errors.h"
#include "metal_constants.h"
#include "metal_includes.h"
#include "metal_newer.h"
#include "objective_c_text.h"
#include "torch_mps.h"

namespace helion_msl {
namespace {

// How Metal's compiler calls a source that it got as text.
constexpr const char *source_name = "program_source";

Retained<MTLCompileOptions *> make_options(MathMode math_mode) {
  auto options = Retained<MTLCompileOptions *>::adopt([[MTLCompileOptions alloc] init]);
  options.get().languageVersion = newest_language_version();
  const bool is_fast = math_mode == MathMode::fast;
  if ([options.get() respondsToSelector:@selector(setMathMode:)]) {
    const auto math = (id<HelionMSLMathOptions>)options.get();
    [math setMathMode:is_fast ? newer::MTLMathModeFast : newer::MTLMathModeSafe];
    [math setMathFloatingPointFunctions:is_fast ? newer::MTLMathFloatingPointFunctionsFast
                                                : newer::MTLMathFloatingPointFunctionsPrecise];
  } else {
    options.get().fastMathEnabled = is_fast ? YES : NO;  // the one switch that macOS 14 has for both
  }
  return options;
}

// Names of the kernels in `library`, [[host_name]] respected. Libraries also hold functions of other kinds.
std::vector<std::string> kernel_names(id<MTLLibrary> library) {
  std::vector<std::string> names;
  NSArray *functions = library.functionNames;
  for (NSUInteger i = 0; i < functions.count; ++i) {
    NSString *name = [functions objectAtIndex:i];
    const auto function = Retained<id<MTLFunction>>::adopt([library newFunctionWithName:name]);
    if (function.get().functionType == MTLFunctionTypeKernel) names.push_back(text_of(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string list(const std::vector<std::string> &names) {
  std::string text;
  for (const auto &name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string pick_kernel(id<MTLLibrary> library, const std::string &wanted) {
  const std::vector<std::string> names = kernel_names(library);
  if (names.empty()) {
    throw UnknownKernelError("the source has no kernel: declare one as `kernel void name(...)`" +
                             std::string(wanted.empty() ? "" : ", or instantiate the template `" + wanted + "`"));
  }
  if (wanted.empty()) {
    if (names.size() == 1) return names.front();
    throw UnknownKernelError("the source has " + std::to_string(names.size()) +
                             " kernels, so name the one to use: " + list(names));
  }
  if (std::find(names.begin(), names.end(), wanted) == names.end()) {
    throw UnknownKernelError("the source has no kernel named " + wanted + "; it has: " + list(names));
  }
  return wanted;
}

}  // namespace

MTLLanguageVersion newest_language_version() {
  const NSInteger macos = [NSProcessInfo processInfo].operatingSystemVersion.majorVersion;
  // macOS 26 calls itself 16 in programs that were built with an older SDK, which Python may be.
  if (macos >= 16) return newer::MTLLanguageVersion4_0;
  return macos == 15 ? newer::MTLLanguageVersion3_2 : MTLLanguageVersion3_1;
}

std::string language_version_name(MTLLanguageVersion version) {
  const auto number = static_cast<NSUInteger>(version);
  return std::to_string(number >> 16) + "." + std::to_string(number & 0xffff);
}

std::string expand_includes(const std::string &source) {
  return inline_includes(source, find_torch_include_directory(), source_name);
}

Retained<id<MTLLibrary>> compile_library(id<MTLDevice> device, const std::string &source, const std::string &expanded,
                                         MathMode math_mode) {
  if (expanded.find('\0') != std::string::npos) {
    throw MetalCompileError("the source has a zero byte, which ends it for Metal's compiler");
  }
  const Retained<NSString *> text = make_string(expanded);
  if (!text) throw MetalCompileError("the source is not valid UTF-8");
  const auto options = make_options(math_mode);
  NSError *error = nil;
  // An error beside a library holds warnings only.
  auto library = Retained<id<MTLLibrary>>::adopt([device newLibraryWithSource:text.get()
                                                                      options:options.get()
                                                                        error:&error]);
  if (library) return library;
  throw MetalCompileError("Metal's compiler refuses the source (MSL " +
                          language_version_name(options.get().languageVersion) +
                          "): " + with_source_lines(text_of(error.localizedDescription), source, source_name));
}

Retained<id<MTLFunction>> find_function(id<MTLLibrary> library, const std::string &name, const Constants &constants) {
  const Retained<NSString *> kernel = make_string(pick_kernel(library, name));
  auto function = Retained<id<MTLFunction>>::adopt([library newFunctionWithName:kernel.get()]);
  const auto values = make_constant_values(library, function.get(), constants);
  if (!values) return function;
  NSError *error = nil;
  auto specialized = Retained<id<MTLFunction>>::adopt([library newFunctionWithName:kernel.get()
                                                                    constantValues:values.get()
                                                                             error:&error]);
  if (!specialized) {
    throw MetalCompileError("kernel " + text_of(kernel.get()) +
                            " cannot be specialized with its constants: " + describe(error));
  }
  return specialized;
}

}  // namespace helion_msl
