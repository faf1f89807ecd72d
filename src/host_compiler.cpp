#include "host_compiler.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <sstream>
#include <utility>
#include <variant>

#include "errors.h"
#include "fiber_stacks.h"
#include "host_cache.h"
#include "host_diagnostics.h"
#include "host_fingerprint.h"
#include "host_precompiled.h"
#include "host_process.h"
#include "msl_recursion.h"
#include "msl_scanner.h"
#include "msl_source.h"
#include "msl_tokens.h"

namespace helion_msl {
namespace {

using Arguments = std::vector<std::string>;

class ToolchainSource {
 public:
  void set_finder(std::function<Toolchain()> finder) {
    const std::lock_guard lock(mutex_);
    finder_ = std::move(finder);
    found_.reset();
  }

  std::shared_ptr<const Toolchain> get() {
    std::function<Toolchain()> finder;
    {
      const std::lock_guard lock(mutex_);
      if (found_) return found_;
      finder = finder_;
    }
    if (!finder) throw EngineUnavailableError("the host engine has not been told where its compiler is");
    // Without the lock: the finder takes Python's, and another thread may hold that and wait here. Two threads may
    // both look; they find the same.
    auto toolchain = std::make_shared<const Toolchain>(finder());
    if (toolchain->clang.empty() || toolchain->linker.empty()) {
      throw EngineUnavailableError("the compiler of the host engine has an empty command line");
    }
    const std::lock_guard lock(mutex_);
    if (!found_) found_ = std::move(toolchain);
    return found_;
  }

 private:
  std::mutex mutex_;
  std::function<Toolchain()> finder_;
  std::shared_ptr<const Toolchain> found_;
};

ToolchainSource &toolchain_source() {
  static ToolchainSource source;
  return source;
}

void append(Arguments &arguments, std::initializer_list<const char *> more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
}

// What both of clang's runs need to read the source alike.
Arguments language_arguments(const Toolchain &toolchain, MathMode math_mode) {
  Arguments arguments = toolchain.clang;
  append(arguments,
         {"-x", "c++", "-std=c++20", "-nostdinc", "-nostdinc++", "-fdeclspec", "-w", "-fno-caret-diagnostics",
          "-fno-color-diagnostics", "-ferror-limit=20", "-include", "helion_host/predefined.h"});
#if defined(__linux__) && defined(__x86_64__)
  // zig's clang makes code for musl by default.
  append(arguments, {"-target", "x86_64-linux-gnu"});
#elif defined(__linux__) && defined(__aarch64__)
  append(arguments, {"-target", "aarch64-linux-gnu"});
#endif
  if (math_mode == MathMode::fast) append(arguments, {"-D__FAST_MATH__=1"});
  for (const std::string &directory : toolchain.include_directories) arguments.push_back("-I" + directory);
  return arguments;
}

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

Arguments code_arguments(MathMode math_mode) {
  Arguments arguments;
  append(arguments, {"-c", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti",
                     "-fno-threadsafe-statics", "-fno-stack-protector", "-fno-stack-clash-protection", "-fstack-usage",
                     "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-ident"});
  // MSL: literals without a suffix are float, char is signed, and the GPU keeps no excess precision.
  append(arguments, {"-Xclang", "-cl-single-precision-constant", "-fsigned-char", "-fno-math-errno"});
  // Kernels reinterpret buffers freely. Signed integers do not wrap around (-fwrapv): "The result of signed integer
  // overflow is undefined" (Metal Shading Language Specification, "Scalar and Vector Operators"), and what clang
  // concludes from that makes addresses of ints cheap.
  append(arguments, {"-fno-strict-aliasing"});
  // A float out of an integer's range becomes its nearest end; for clang the conversion would be undefined.
  append(arguments, {"-fno-strict-float-cast-overflow"});
  // Undefined on the GPU, a signal that ends the process on x86: the headers turn it into an error of the launch.
  append(arguments, {"-fsanitize=integer-divide-by-zero", "-fno-sanitize-recover=integer-divide-by-zero"});
  // Which threads wait together is told by the address that a barrier returns to (helion_host/abi.h).
  append(arguments, {"-fno-optimize-sibling-calls"});
  // The functions that lead to a barrier must be as convergent as the barrier: two calls of one, in the branches of an
  // `if`, would otherwise be joined before they are inlined.
  append(arguments, {"-Xclang", "-fconvergent-functions"});
  // Which of several waiting calls goes first is told by their addresses too, so the blocks of a function stay in the
  // order of the program.
  append(arguments, {"-mllvm", "-disable-block-placement"});
#if defined(__x86_64__)
  append(arguments, {"-march=native", "-Xclang", "-ffloat16-excess-precision=none"});
  // Threadgroup memory is thread_local, and clang 22 keeps values in xmm16 to xmm31 across the calls of __tls_get_addr
  // that reach it. That function saves no vector registers where it has to allocate, so a kernel's first threadgroups
  // on a thread would lose values. Without AVX-512 there are no such registers. Plain kernels, which have no
  // threadgroup memory, use it all the same (HELION_HOST_PLAIN_LOOP).
  append(arguments, {"-mno-avx512f"});
  if (has_avx512()) append(arguments, {"-DHELION_HOST_AVX512"});
#elif defined(__APPLE__)
  // What every Mac with Apple silicon has; older clangs know no "native" here.
  append(arguments, {"-mcpu=apple-m1"});
#else
  append(arguments, {"-mcpu=native"});
#endif
  if (math_mode == MathMode::fast) {
    // Infinities and NaNs stay what they are: kernels test for them even in fast mode.
    append(arguments, {"-ffp-contract=fast", "-fassociative-math", "-freciprocal-math", "-fno-signed-zeros",
                       "-fno-trapping-math"});
  } else {
    append(arguments, {"-ffp-contract=off"});
  }
  return arguments;
}

// Everything the compiler did on the way from one request to one shared object.
class Compilation {
 public:
  Compilation(const Toolchain &toolchain, HostCache &cache, const CompileRequest &request)
      : toolchain_(toolchain),
        cache_(cache),
        request_(request),
        source_(request.source),
        surroundings_(cache.surroundings(toolchain)) {}

  std::shared_ptr<const HostLibrary> run() {
    if (source_.needs_preprocessor()) preprocess();
    const CacheKey asked = request_key();
    if (auto found = load_requested(asked)) return found;
    const Unit unit(*this, scan(true));
    if (auto found = load_stored(unit, asked)) return found;
    if (!unit.scanned.has_lockstep) return build(unit, asked);
    const Unit with_stacks(*this, scan(false));
    if (auto found = load_stored(with_stacks, asked)) return found;
    try {
      return build(unit, asked);
    } catch (const MetalCompileError &) {
      // It may be the source that is wrong, or that what was made of it asks for too much: stacks will tell.
      return build(with_stacks, asked);
    }
  }

 private:
  // What is compiled, and the name under which the result is stored.
  struct Unit {
    ScannedSource scanned;
    RewrittenText rewritten;
    std::string text;
    Arguments arguments;
    CacheKey key{"library"};

    Unit(const Compilation &of, ScannedSource source)
        : scanned(std::move(source)),
          rewritten(of.source_.flat(), scanned.edits),
          text(of.translation_unit(scanned, rewritten)),
          arguments(language_arguments(of.toolchain_, of.request_.math_mode)) {
      const Arguments code = code_arguments(of.request_.math_mode);
      arguments.insert(arguments.end(), code.begin(), code.end());
      key.add("surroundings", of.surroundings_).add("arguments", arguments).add("text", text);
      key.add("undefined constants", scanned.undefined_constants);
    }
  };

  // All that decides what the scanner writes, beside the scanner: an equal request needs none of it.
  CacheKey request_key() const {
    CacheKey key("request");
    key.add("extension", extension_fingerprint()).add("surroundings", surroundings_);
    key.add("math mode", request_.math_mode == MathMode::fast ? "fast" : "safe").add("kernel", request_.name);
    for (const auto &constant : request_.constants) {
      std::visit(
          [&](auto number) {
            // By its bytes, which tell a NaN from another and -0.0 from 0.0.
            const std::string_view bytes(reinterpret_cast<const char *>(&number), sizeof(number));
            key.add("constant", constant.first).add(std::to_string(constant.second.index()), bytes);
          },
          constant.second);
    }
    key.add("source", source_.numbered_text()).add("preprocessed", preprocessed_);
    return key;
  }

  std::shared_ptr<const HostLibrary> build(const Unit &unit, const CacheKey &asked) {
    compile(unit.scanned, unit.rewritten, unit.text, unit.arguments);
    check_undefined_constants(unit.scanned);
    check_stack_usage();
    link();
    auto library = std::make_shared<const HostLibrary>(path("kernel.so"));
    if (is_cachable()) {
      cache_.store_library(unit.key, path("kernel.so"));
      cache_.store_request(asked, unit.key);
    }
    return library;
  }

  // Of the temporary directory, which is made when it is needed.
  std::string path(const char *name) const {
    if (!directory_) directory_.emplace();
    return (directory_->path() / name).string();
  }

  // Asked anew after each run of the compiler: an upgrade may have come in between.
  bool is_cachable() const { return !surroundings_.empty() && cache_.surroundings(toolchain_) == surroundings_; }

  // As an earlier process stored it; null where there is nothing, or nothing that can be used.
  std::shared_ptr<const HostLibrary> load_stored(const Unit &unit, const CacheKey &asked) const {
    if (surroundings_.empty()) return nullptr;
    const std::string stored = cache_.find_library(unit.key);
    if (stored.empty()) return nullptr;
    auto library = load(stored);
    if (library != nullptr) {
      cache_.store_request(asked, unit.key);
    } else {
      // Another process has just removed it, or the file system lets nothing be executed.
      cache_.remove_library(unit.key);
    }
    return library;
  }

  std::shared_ptr<const HostLibrary> load_requested(const CacheKey &asked) const {
    if (surroundings_.empty() || extension_fingerprint().empty()) return nullptr;
    return load(cache_.find_requested(asked));
  }

  // Null where there is no path, and where the file cannot be loaded.
  static std::shared_ptr<const HostLibrary> load(const std::string &path) {
    if (path.empty()) return nullptr;
    try {
      return std::make_shared<const HostLibrary>(path);
    } catch (const EngineUnavailableError &) {
      return nullptr;
    }
  }

  void preprocess() {
    Arguments arguments = language_arguments(toolchain_, request_.math_mode);
    append(arguments, {"-E", "-DHELION_MSL_SCAN"});
    CacheKey key("preprocessed");
    key.add("surroundings", surroundings_).add("arguments", arguments).add("text", source_.numbered_text());
    std::optional<std::string> output;
    if (!surroundings_.empty()) output = cache_.find_preprocessed(key);
    if (!output) {
      const auto started = std::filesystem::file_time_type::clock::now();
      output = run_preprocessor(std::move(arguments));
      if (is_cachable()) cache_.store_preprocessed(key, source_.numbered_text(), *output, started);
    }
    source_.set_preprocessed(*output);
    preprocessed_ = std::move(*output);
  }

  std::string run_preprocessor(Arguments arguments) const {
    write_file(path("kernel.cpp"), source_.numbered_text());
    arguments.insert(arguments.end(), {"-o", path("kernel.ii"), path("kernel.cpp")});
    const ProcessResult result = run_process(arguments, path("log"));
    if (!result.succeeded() || !std::filesystem::exists(path("kernel.ii"))) {
      // Nothing has been rewritten yet: clang's positions are the user's.
      const RewrittenText unchanged(source_.flat(), {});
      fail(result, parse_diagnostics(renamed(result.output), unchanged));
    }
    return renamed(read_file(path("kernel.ii")));
  }

  // With the temporary path of the source replaced by the name that stands for it.
  std::string renamed(std::string text) const {
    const std::string from = path("kernel.cpp");
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
      text.replace(at, from.size(), rewritten_file_name);
      at += rewritten_file_name.size();
    }
    return text;
  }

  ScannedSource scan(bool may_use_lockstep) {
    try {
      return scan_msl(source_, request_, may_use_lockstep);
    } catch (const SourceError &error) {
      throw MetalCompileError(source_.report({{Diagnostic::Severity::error, error.what(), error.offset, ""}}));
    }
  }

  void compile(const ScannedSource &scanned, const RewrittenText &rewritten, const std::string &text,
               Arguments arguments) const {
    const ProcessResult result = run_compiler(scanned.head, text, std::move(arguments));
    if (!result.succeeded() || !std::filesystem::exists(path("kernel.o"))) {
      std::vector<Diagnostic> diagnostics = parse_diagnostics(renamed(result.output), rewritten);
      name_undefined_constants(scanned, diagnostics);
      fail(result, diagnostics);
    }
  }

  ProcessResult run_compiler(const std::string &head, const std::string &text, Arguments arguments) const {
    std::optional<PrecompiledHeaders> headers;
    if (!surroundings_.empty() && PrecompiledHeaders::fit(head)) {
      headers.emplace(cache_, surroundings_, toolchain_.include_directories.front(), arguments);
    }
    const std::string precompiled = headers ? headers->find() : std::string();
    arguments.insert(arguments.end(), {"-o", path("kernel.o"), path("kernel.cpp")});
    if (!precompiled.empty()) {
      write_file(path("kernel.cpp"), PrecompiledHeaders::head_after_them(head) + text.substr(head.size()));
      Arguments with_headers = arguments;
      with_headers.insert(with_headers.end(), {"-include-pch", precompiled});
      ProcessResult result = run_process(with_headers, path("log"));
      if (result.succeeded() && std::filesystem::exists(path("kernel.o"))) return result;
    } else if (headers) {
      headers->start_making();
    }
    write_file(path("kernel.cpp"), text);
    ProcessResult result = run_process(arguments, path("log"));
    // Not the text's fault, then.
    if (!precompiled.empty() && result.succeeded()) headers->refuse();
    return result;
  }

  std::string translation_unit(const ScannedSource &scanned, const RewrittenText &rewritten) const {
    std::string text = scanned.head;
    // Preprocessing has taken the user's own #include lines away with what they brought: this header brings whatever a
    // word of the text asks for.
    text += "#include <metal_stdlib>\n#include <helion_host/kernel_entry.h>\n";
    // Functions are inlined as Metal inlines them: a barrier in a helper is a place of its own for each call of the
    // helper. And none is kept but for the kernels in the table.
    text +=
        "#pragma clang attribute push(__attribute__((always_inline, internal_linkage)), apply_to = function)\n"
        "#line 1 \"" +
        std::string(rewritten_file_name) + "\"\n";
    text += rewritten.text();
    text += "\n#pragma clang attribute pop\n#line 1 \"<kernel table>\"\n";
    return text + scanned.tail;
  }

  // A parameter that is there only where a function constant is true: clang complains of an expression that is not
  // constant, and the reason is that the constant has no value.
  void name_undefined_constants(const ScannedSource &scanned, std::vector<Diagnostic> &diagnostics) const {
    const bool is_not_constant = std::any_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic &diagnostic) {
      return diagnostic.message.find("not a constant expression") != std::string::npos;
    });
    if (!is_not_constant || scanned.undefined_constants.empty()) return;
    diagnostics.clear();
    for (const std::string &name : scanned.undefined_constants) diagnostics.push_back(undefined_constant(name));
  }

  Diagnostic undefined_constant(const std::string &name) const {
    return {Diagnostic::Severity::error,
            "the function constant '" + name + "' is used but has no value; pass one in constants", offset_of(name),
            ""};
  }

  // A constant without a value may be named in code that cannot run; where a kernel can use it, the object file has a
  // reference to its symbol.
  void check_undefined_constants(const ScannedSource &scanned) const {
    if (scanned.undefined_constants.empty()) return;
    const std::string object = read_file(path("kernel.o"));
    std::vector<Diagnostic> diagnostics;
    for (const std::string &name : scanned.undefined_constants) {
      const std::string symbol = std::string(undefined_constant_symbol) + name + '\0';
      if (object.find(symbol) == std::string::npos) continue;
      diagnostics.push_back(undefined_constant(name));
    }
    if (!diagnostics.empty()) throw MetalCompileError(source_.report(diagnostics));
  }

  // Each line of -fstack-usage is a function, the bytes of its frame, and how they are known, separated by tabs.
  void check_stack_usage() const {
    std::istringstream functions(read_file(path("kernel.su")));
    for (std::string function, bytes, kind; std::getline(functions, function, '\t');) {
      std::getline(functions, bytes, '\t');
      std::getline(functions, kind);
      refuse_recursion(function);
      if (kind == "dynamic") {
        throw MetalCompileError(
            "an array's length is not known when the kernel is compiled, which Metal does not have; make it a "
            "constant");
      }
      if (std::strtoull(bytes.c_str(), nullptr, 10) <= FiberStacks::max_frame_size) continue;
      const std::string kernel =
          request_.name.empty() ? "a kernel" : "a kernel of the source of '" + request_.name + "'";
      throw MetalCompileError(kernel + " needs " + bytes + " bytes of memory for the variables of one thread, and " +
                              std::to_string(FiberStacks::max_frame_size) +
                              " are the most; make its thread arrays smaller, or keep them in a device buffer");
    }
  }

  // Every function is inlined but those that call themselves, and those that the source wants apart. Headers of others
  // are trusted to end: Metal's compiler takes torch's c10/metal/special_math.h, where bessel_j1_forward calls itself
  // once with the opposite sign.
  void refuse_recursion(const std::string &function) const {
    const std::string symbol = function.substr(function.rfind(':') + 1);
    if (!symbol.starts_with("_Z") || symbol.find("helion_host") != std::string::npos) return;
    const Tokens tokens(source_.flat());
    const std::size_t name = find_recursive_function(tokens, symbol);
    if (name == no_token || source_.is_in_header(tokens[name].begin)) return;
    const std::string message =
        "'" + std::string(tokens.text(name)) + "' calls itself, and Metal has no recursion; write it as a loop";
    throw MetalCompileError(source_.report({{Diagnostic::Severity::error, message, tokens[name].begin, ""}}));
  }

  std::size_t offset_of(const std::string &identifier) const {
    const Tokens tokens(source_.flat());
    for (std::size_t index = 0; index < tokens.size(); ++index) {
      if (tokens.is(index, identifier)) return tokens[index].begin;
    }
    return 0;
  }

  void link() const {
    Arguments arguments = toolchain_.linker;
    arguments.insert(arguments.end(), {"-o", path("kernel.so"), path("kernel.o")});
    const ProcessResult result = run_process(arguments, path("log"));
    if (!result.succeeded() || !std::filesystem::exists(path("kernel.so"))) {
      throw EngineUnavailableError("the linker " + toolchain_.linker.front() + " failed with " + result.how_it_ended() +
                                   ":\n" + result.output);
    }
  }

  [[noreturn]] void fail(const ProcessResult &result, const std::vector<Diagnostic> &diagnostics) const {
    const bool has_errors = std::any_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic &diagnostic) {
      return diagnostic.severity == Diagnostic::Severity::error;
    });
    if (has_errors && result.signal == 0) throw MetalCompileError(source_.report(diagnostics));
    throw EngineUnavailableError("the compiler " + toolchain_.clang.front() + " failed with " + result.how_it_ended() +
                                 ":\n" + result.output);
  }

  const Toolchain &toolchain_;
  HostCache &cache_;
  const CompileRequest &request_;
  MslSource source_;
  const std::string surroundings_;
  std::string preprocessed_;
  mutable std::optional<TemporaryDirectory> directory_;
};

}  // namespace

void set_toolchain_finder(std::function<Toolchain()> finder) {
  toolchain_source().set_finder(std::move(finder));
}

std::string HostCompiler::description() {
  return toolchain_source().get()->description;
}

HostCompiler::HostCompiler() : cache_(std::make_unique<HostCache>()) {}
HostCompiler::~HostCompiler() = default;

std::shared_ptr<const HostLibrary> HostCompiler::compile(const CompileRequest &request) {
  const std::shared_ptr<const Toolchain> toolchain = toolchain_source().get();
  return Compilation(*toolchain, *cache_, request).run();
}

}  // namespace helion_msl
