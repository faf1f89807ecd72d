#include "msl_scanner.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "msl_call_graph.h"
#include "msl_declarations.h"
#include "msl_kernels.h"
#include "msl_rewrite.h"
#include "msl_tokens.h"

namespace helion_msl {
namespace {

// A C++ string literal of `text`.
std::string quoted(std::string_view text) {
  std::string literal = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') literal += '\\';
    literal += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return literal + "\"";
}

std::string joined(const std::vector<std::string> &parts) {
  std::string text;
  for (const std::string &part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

class Scanner {
 public:
  Scanner(const MslSource &source, const CompileRequest &request)
      : source_(source),
        request_(request),
        tokens_(source.flat()),
        declarations_(find_declarations(tokens_)),
        kernels_(find_kernels(tokens_, declarations_)),
        calls_(tokens_, declarations_) {}

  ScannedSource run() {
    rewrite_literals(tokens_, result_.edits);
    drop_address_space_overloads(tokens_, declarations_, source_, result_.edits);
    result_.undefined_constants = rewrite_function_constants(tokens_, declarations_, request_.constants, result_.edits);
    refuse_variables_outside_kernels();
    for (const std::size_t index : kernels_.forward_declarations) {
      rewrite_kernel_function(tokens_, declarations_[index], result_.edits);
    }
    for (std::size_t index = 0; index < kernels_.functions.size(); ++index) rewrite_function(index);
    for (const KernelInstantiation &instantiation : kernels_.instantiations) rewrite_instantiation(instantiation);
    if (table_.empty()) fail_without_kernels();
    result_.head = swizzle_macros(tokens_);
    result_.tail = tail();
    return std::move(result_);
  }

 private:
  void refuse_variables_outside_kernels() const {
    std::vector<bool> is_kernel(declarations_.size(), false);
    for (const KernelFunction &function : kernels_.functions) is_kernel[function.declaration] = true;
    for (std::size_t index = 0; index < declarations_.size(); ++index) {
      if (!is_kernel[index]) refuse_threadgroup_variables(tokens_, declarations_[index]);
    }
  }

  // The type with a kernel's parameters, declared right behind the kernel, where all names that its attributes use mean
  // what they mean in them.
  static std::string inputs_name(std::size_t function) { return "helion_host_inputs_" + std::to_string(function); }

  void rewrite_function(std::size_t index) {
    const KernelFunction &function = kernels_.functions[index];
    const Declaration &declaration = declarations_[function.declaration];
    rewrite_kernel_function(tokens_, declaration, result_.edits);
    rewrite_threadgroup_variables(tokens_, declaration, function_expression(function), result_.edits);
    std::vector<std::string> inputs;
    std::vector<std::string> names;
    for (const KernelParameter &parameter : function.parameters) {
      inputs.push_back(parameter.input);
      names.push_back(quoted(parameter.name));
    }
    std::string text = " struct " + inputs_name(index) + " { using inputs = helion_host::inputs<" + joined(inputs) +
                       ">; using limits = helion_host::limits<" + joined(function.limits) +
                       ">; static constexpr const char *names[] = {" + joined(names) + (names.empty() ? "\"\"" : "") +
                       "}; };";
    if (!function.is_template) {
      text += entry(index, function_expression(function), function.host_name, {}, declaration.scope);
    }
    const std::size_t end = tokens_[declaration.range.end - 1].end;
    result_.edits.push_back({end, end, text});
  }

  // How the kernel is named inside itself: with its own template parameters as arguments.
  std::string function_expression(const KernelFunction &function) {
    const Declaration &declaration = declarations_[function.declaration];
    if (!function.is_template) return one_line(tokens_, declaration.name, declaration.parameters);
    std::vector<std::string> arguments;
    const TokenRange list = declaration.template_lists.back();
    const std::vector<std::string> names = template_parameter_names(tokens_, list);
    const std::vector<TokenRange> parts = split_at_commas(tokens_, list.begin, list.end);
    for (std::size_t index = 0; index < names.size(); ++index) {
      if (names[index].empty()) {
        // A parameter without a name gets one, so that it can be passed on.
        const std::string name = "helion_host_parameter_" + std::to_string(index);
        std::size_t at = parts[index].begin;
        while (at < parts[index].end && !tokens_.is(at, "=")) ++at;
        const std::size_t offset = tokens_[at - 1].end;
        result_.edits.push_back({offset, offset, " " + name});
        arguments.push_back(name);
      } else {
        arguments.push_back(names[index]);
      }
    }
    return function.name + "<" + joined(arguments) + ">";
  }

  void rewrite_instantiation(const KernelInstantiation &instantiation) {
    const Declaration &declaration = declarations_[instantiation.declaration];
    const std::size_t begin = tokens_[declaration.range.begin].begin;
    const std::size_t end = tokens_[declaration.range.end - 1].end;
    std::vector<TokenRange> roots;
    if (!instantiation.arguments.empty()) roots.push_back(instantiation.arguments);
    result_.edits.push_back(
        {begin, end,
         entry(instantiation.function, instantiation.expression, instantiation.host_name, roots, declaration.scope)});
  }

  // Defines the table entry of one kernel, and notes its name for the tail.
  std::string entry(std::size_t function, const std::string &expression, const std::string &host_name,
                    std::vector<TokenRange> roots, const std::string &scope) {
    const KernelFunction &kernel = kernels_.functions[function];
    const Declaration &declaration = declarations_[kernel.declaration];
    if (std::find(result_.kernel_names.begin(), result_.kernel_names.end(), host_name) != result_.kernel_names.end()) {
      throw SourceError(tokens_[declaration.name].begin, "there are two kernels named '" + host_name + "'");
    }
    roots.push_back(declaration.range);
    const std::string name = "helion_host_kernel_" + std::to_string(table_.size());
    table_.push_back(scope + name);
    result_.kernel_names.push_back(host_name);
    const std::string stacks = calls_.needs_stacks(roots) ? "true" : "false";
    return " constexpr struct helion_host_kernel " + name + " = helion_host::kernel_entry<" + expression + ", " +
           declaration.scope + inputs_name(function) + ", " + stacks + ">::describe(" + quoted(host_name) + ");";
  }

  std::string tail() const {
    return "static const struct helion_host_kernel helion_host_kernels[] = {" + joined(table_) +
           "};\nHELION_HOST_LIBRARY(helion_host_kernels, " + std::to_string(table_.size()) + ")\n";
  }

  [[noreturn]] void fail_without_kernels() const {
    for (const KernelFunction &function : kernels_.functions) {
      throw SourceError(tokens_[declarations_[function.declaration].name].begin,
                        "the kernel template '" + function.name +
                            "' is never instantiated; add: template [[host_name(\"name\")]] [[kernel]] decltype(" +
                            function.name + "<...>) " + function.name + "<...>;");
    }
    throw SourceError(0, "the source has no kernel; declare one as: kernel void name(...)");
  }

  const MslSource &source_;
  const CompileRequest &request_;
  Tokens tokens_;
  std::vector<Declaration> declarations_;
  Kernels kernels_;
  CallGraph calls_;
  ScannedSource result_;
  std::vector<std::string> table_;  // qualified names of the entries
};

}  // namespace

ScannedSource scan_msl(const MslSource &source, const CompileRequest &request) {
  return Scanner(source, request).run();
}

}  // namespace helion_msl
