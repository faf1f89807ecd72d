#include "msl_scanner.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "errors.h"
#include "msl_call_graph.h"
#include "msl_declarations.h"
#include "msl_expansion.h"
#include "msl_kernels.h"
#include "msl_lockstep.h"
#include "msl_operators.h"
#include "msl_reconvergence.h"
#include "msl_rewrite.h"
#include "msl_statements.h"
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
  Scanner(const MslSource &source, const CompileRequest &request, bool may_use_lockstep)
      : source_(source),
        request_(request),
        may_use_lockstep_(may_use_lockstep),
        tokens_(source.flat()),
        declarations_(find_declarations(tokens_)),
        kernels_(find_kernels(tokens_, declarations_)),
        calls_(tokens_, declarations_) {}

  ScannedSource run() {
    collect_entries();
    rewrite_literals(tokens_, result_.edits);
    erase_keyword_attributes(tokens_, result_.edits);
    drop_unroll_hints_of_macros(tokens_, result_.edits);
    drop_address_space_overloads(tokens_, declarations_, source_, result_.edits);
    const std::vector<std::string> undefined =
        rewrite_function_constants(tokens_, declarations_, request_.constants, result_.edits);
    refuse_variables_outside_kernels();
    choose_entries(undefined);
    for (const std::size_t index : kernels_.forward_declarations) {
      rewrite_kernel_function(tokens_, declarations_[index], result_.edits);
    }
    for (std::size_t index = 0; index < kernels_.functions.size(); ++index) rewrite_function(index);
    mark_reconvergence_of_lanes();
    for (const Entry &entry : entries_) insert(entry);
    result_.head = swizzle_macros(tokens_) + word_macros(tokens_);
    if (rewrite_integer_operators(tokens_, declarations_, result_.edits)) {
      result_.head += "#define HELION_MSL_USES_metal_rules\n";
    }
    result_.has_lockstep = !lockstep_functions_.empty();
    if (result_.has_lockstep) result_.head += "#define HELION_MSL_USES_lockstep\n";
    result_.tail = tail();
    return std::move(result_);
  }

 private:
  // A kernel that the table may have.
  struct Entry {
    std::size_t function;
    std::size_t declaration;  // of the function, or of the instantiation
    std::string expression;   // C++ expression of the function
    std::string host_name;
    TokenRange arguments;  // of the template
    CallGraph::Node reached;
    bool is_chosen = false;
  };

  void collect_entries() {
    for (std::size_t index = 0; index < kernels_.functions.size(); ++index) {
      const KernelFunction &function = kernels_.functions[index];
      if (function.is_template) continue;
      const Declaration &declaration = declarations_[function.declaration];
      add_entry({index, function.declaration, function_reference(declaration), function.host_name, {}, {}});
    }
    for (const KernelInstantiation &instantiation : kernels_.instantiations) {
      add_entry({instantiation.function,
                 instantiation.declaration,
                 instantiation.expression,
                 instantiation.host_name,
                 instantiation.arguments,
                 {}});
    }
    if (entries_.empty()) fail_without_kernels();
    const bool is_known = std::any_of(entries_.begin(), entries_.end(),
                                      [&](const Entry &entry) { return entry.host_name == request_.name; });
    if (request_.name.empty() ? entries_.size() > 1 : !is_known) fail_unknown_kernel();
  }

  // A kernel may share its name with a function, and then its type says which is meant.
  std::string function_reference(const Declaration &kernel) const {
    std::string name = one_line(tokens_, kernel.name, kernel.parameters);
    const auto namesakes = std::count_if(declarations_.begin(), declarations_.end(), [&](const Declaration &other) {
      return other.kind == DeclarationKind::function && other.scope == kernel.scope &&
             tokens_.text(other.name) == tokens_.text(kernel.name);
    });
    if (namesakes == 1) return name;
    return "static_cast<helion_host::thread_end (*)" +
           one_line(tokens_, kernel.parameters, tokens_.partner(kernel.parameters) + 1) + ">(" + name + ")";
  }

  void add_entry(Entry entry) {
    for (const Entry &other : entries_) {
      if (other.host_name != entry.host_name) continue;
      throw SourceError(tokens_[declarations_[entry.declaration].header.begin].begin,
                        "there are two kernels named '" + entry.host_name + "'");
    }
    entries_.push_back(std::move(entry));
  }

  void choose_entries(const std::vector<std::string> &undefined_constants) {
    std::set<std::string_view> mentioned;
    for (Entry &entry : entries_) {
      const bool is_requested = request_.name.empty() || entry.host_name == request_.name;
      const std::optional<SourceError> &refusal = kernels_.functions[entry.function].refusal;
      if (is_requested && refusal) throw *refusal;
      if (!is_requested && (refusal || entries_.size() > max_kernels_per_library)) continue;
      std::vector<TokenRange> roots = {declarations_[kernels_.functions[entry.function].declaration].range};
      if (!entry.arguments.empty()) roots.push_back(entry.arguments);
      entry.reached = calls_.reach(roots);
      const auto is_reached = [&](const std::string &name) { return entry.reached.names.contains(name); };
      entry.is_chosen =
          is_requested || std::none_of(undefined_constants.begin(), undefined_constants.end(), is_reached);
      if (entry.is_chosen) mentioned.insert(entry.reached.names.begin(), entry.reached.names.end());
    }
    for (const std::string &name : undefined_constants) {
      if (mentioned.contains(name)) result_.undefined_constants.push_back(name);
    }
  }

  void refuse_variables_outside_kernels() const {
    std::vector<bool> is_kernel(declarations_.size(), false);
    for (const KernelFunction &function : kernels_.functions) is_kernel[function.declaration] = true;
    for (std::size_t index = 0; index < declarations_.size(); ++index) {
      if (!is_kernel[index]) refuse_threadgroup_variables(tokens_, declarations_[index]);
    }
  }

  // Kernels whose threads wait for nobody have no lanes to bring together.
  void mark_reconvergence_of_lanes() {
    const bool any_waits = std::any_of(entries_.begin(), entries_.end(), [](const Entry &entry) {
      return entry.is_chosen && entry.reached.synchronizes;
    });
    if (!any_waits) return;
    for (const Declaration &declaration : declarations_) {
      mark_reconvergence(tokens_, calls_, declaration, result_.edits);
    }
  }

  // The type that tells a kernel's parameters and limits, declared right behind the kernel, where all names that its
  // attributes use mean what they mean in them.
  void rewrite_function(std::size_t index) {
    const KernelFunction &function = kernels_.functions[index];
    const Declaration &declaration = declarations_[function.declaration];
    if (function.refusal) {
      // Not the one that was asked for, and made of types that the headers do not have.
      result_.edits.push_back({tokens_[declaration.range.begin].begin, tokens_[declaration.range.end - 1].end, ""});
      return;
    }
    rewrite_kernel_function(tokens_, declaration, result_.edits);
    const std::string expression = function_expression(function);
    rewrite_threadgroup_variables(tokens_, declaration, expression, result_.edits);
    const bool is_chosen = std::any_of(entries_.begin(), entries_.end(),
                                       [&](const Entry &entry) { return entry.function == index && entry.is_chosen; });
    if (!is_chosen) return;
    std::vector<std::string> inputs;
    std::vector<std::string> names;
    for (const KernelParameter &parameter : function.parameters) {
      inputs.push_back(parameter.input);
      names.push_back(quoted(parameter.name));
    }
    std::string text = " ";
    if (is_dependent(function)) {
      const TokenRange list = declaration.template_lists.back();
      text += "template <" + one_line(tokens_, list.begin, list.end) + "> ";
    }
    text += "struct " + inputs_name(index) + " { using inputs = helion_host::inputs<" + joined(inputs) +
            ">; using limits = helion_host::limits<" + joined(function.limits) +
            ">; static constexpr const char *names[] = {" + joined(names) + (names.empty() ? "\"\"" : "") + "}; };";
    text += lockstep_definition(index, expression);
    const std::size_t end = tokens_[declaration.range.end - 1].end;
    result_.edits.push_back({end, end, text, tokens_[declaration.name].begin});
  }

  // Empty where the kernel waits for nobody, or needs stacks.
  std::string lockstep_definition(std::size_t index, const std::string &expression) {
    const KernelFunction &function = kernels_.functions[index];
    const Declaration &declaration = declarations_[function.declaration];
    const bool is_wanted = std::any_of(entries_.begin(), entries_.end(), [&](const Entry &entry) {
      return entry.function == index && entry.is_chosen && entry.reached.synchronizes &&
             (!function.is_template || !entry.arguments.empty());
    });
    if (!may_use_lockstep_ || !is_wanted || may_keep_addresses()) return {};
    std::optional<std::string> body = lockstep_body(tokens_, declarations_, kernels_, calls_, index, expression);
    if (!body) body = expanded_lockstep_body(index, expression);
    if (!body) return {};
    lockstep_functions_.insert(index);
    std::string text;
    if (function.is_template) {
      const TokenRange list = declaration.template_lists.back();
      text += " template <" + one_line(tokens_, list.begin, list.end) + ">";
    }
    return text + " struct " + lockstep_name(index) +
           " { template <class HelionArguments> static void run(const HelionArguments &helion_arguments, "
           "const helion_host::place &helion_first) { const helion_host::threadgroup_lanes "
           "helion_lanes(helion_first);" +
           *body + " } };";
  }

  static std::optional<std::string> lockstep_body(const Tokens &tokens, const std::vector<Declaration> &declarations,
                                                  const Kernels &kernels, const CallGraph &calls, std::size_t index,
                                                  const std::string &expression) {
    std::vector<Edit> edits;
    rewrite_literals(tokens, edits);
    erase_keyword_attributes(tokens, edits);
    rewrite_integer_operators(tokens, declarations, edits);
    const KernelFunction &function = kernels.functions[index];
    return write_lockstep(tokens, calls, function, declarations[function.declaration], edits, expression);
  }

  // The same, with the functions that synchronize in place of their calls: where a thread goes over many elements,
  // because clang takes twice to three times as long for lockstep.
  std::optional<std::string> expanded_lockstep_body(std::size_t index, const std::string &expression) const {
    const Declaration &declaration = declarations_[kernels_.functions[index].declaration];
    if (!has_strided_loop(tokens_, {declaration.body, declaration.range.end})) return std::nullopt;
    const std::optional<std::string> text = expand_calls(tokens_, calls_, declarations_, declaration);
    if (!text) return std::nullopt;
    const Tokens tokens(*text);
    const std::vector<Declaration> declarations = find_declarations(tokens);
    const CallGraph calls(tokens, declarations);
    return lockstep_body(tokens, declarations, find_kernels(tokens, declarations), calls, index, expression);
  }

  // Whether a type may hold the address of a thread's variable.
  bool may_keep_addresses() const {
    return std::any_of(declarations_.begin(), declarations_.end(), [&](const Declaration &declaration) {
      return declaration.kind != DeclarationKind::function && mentions(tokens_, declaration.range, "thread");
    });
  }

  static std::string lockstep_name(std::size_t function) { return "helion_host_lockstep_" + std::to_string(function); }

  static std::string inputs_name(std::size_t function) { return "helion_host_inputs_" + std::to_string(function); }

  // Whether the attributes of a kernel template use its template parameters.
  bool is_dependent(const KernelFunction &function) const {
    const Declaration &declaration = declarations_[function.declaration];
    if (!function.is_template) return false;
    const std::vector<std::string> names = template_parameter_names(tokens_, declaration.template_lists.back());
    const auto is_parameter = [&](std::string_view word) {
      return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
        return name.ends_with("...") ? name.substr(0, name.size() - 3) == word : name == word;
      });
    };
    bool in_attribute = false;
    for (std::size_t at = declaration.header.begin, end = 0; at < declaration.header.end; ++at) {
      if (tokens_.is_attribute(at)) end = tokens_.partner(at);
      in_attribute = at < end;
      if (in_attribute && tokens_.is_identifier(at) && is_parameter(tokens_.text(at))) return true;
    }
    return false;
  }

  // How the kernel is named inside itself: with its own template parameters as arguments.
  std::string function_expression(const KernelFunction &function) {
    const Declaration &declaration = declarations_[function.declaration];
    if (!function.is_template) return function_reference(declaration);
    std::vector<std::string> arguments;
    const TokenRange list = declaration.template_lists.back();
    const std::vector<std::string> names = template_parameter_names(tokens_, list);
    const std::vector<TokenRange> parts = split_at_commas(tokens_, list.begin, list.end);
    for (std::size_t index = 0; index < names.size(); ++index) {
      if (names[index].empty()) {
        // A parameter without a name gets one, so that it can be passed on.
        const std::string name = "helion_host_parameter_" + std::to_string(index);
        std::size_t at = parts[index].begin;
        while (at < parts[index].end && !tokens_.is(at, "=") && !(tokens_.is(at, "*") && tokens_.is(at + 1, ")"))) {
          ++at;
        }
        // `void (*)(int)` is named inside its parentheses.
        const std::size_t offset = tokens_[tokens_.is(at, "*") ? at : at - 1].end;
        result_.edits.push_back({offset, offset, " " + name});
        arguments.push_back(name);
      } else {
        arguments.push_back(names[index]);
      }
    }
    return function.name + "<" + joined(arguments) + ">";
  }

  // Defines the table entry of one kernel: behind its body, or in place of its instantiation.
  void insert(const Entry &entry) {
    const Declaration &declaration = declarations_[entry.declaration];
    const bool is_instantiation = declaration.kind == DeclarationKind::explicit_instantiation;
    const std::size_t end = tokens_[declaration.range.end - 1].end;
    const std::size_t begin = is_instantiation ? tokens_[declaration.range.begin].begin : end;
    const std::size_t subject = is_instantiation ? begin : tokens_[declaration.name].begin;
    result_.edits.push_back({begin, end, entry.is_chosen ? definition(entry) : "", subject});
  }

  std::string definition(const Entry &entry) {
    const KernelFunction &function = kernels_.functions[entry.function];
    const std::string name = "helion_host_kernel_" + std::to_string(table_.size());
    table_.push_back(declarations_[entry.declaration].scope + name);
    std::string inputs = declarations_[function.declaration].scope + inputs_name(entry.function);
    if (is_dependent(function)) {
      inputs += "<" + one_line(tokens_, entry.arguments.begin, entry.arguments.end) + ">";
    }
    std::string lockstep;
    if (lockstep_functions_.contains(entry.function) && (!function.is_template || !entry.arguments.empty())) {
      lockstep = ", " + declarations_[function.declaration].scope + lockstep_name(entry.function);
      if (function.is_template) lockstep += "<" + one_line(tokens_, entry.arguments.begin, entry.arguments.end) + ">";
    }
    return " constexpr struct helion_host_kernel " + name + " = helion_host::kernel_entry<" + entry.expression + ", " +
           inputs + ", " + (entry.reached.synchronizes ? "true" : "false") + lockstep + ">::describe(" +
           quoted(entry.host_name) + ");";
  }

  std::string tail() const {
    return "static const struct helion_host_kernel helion_host_kernels[] = {" + joined(table_) +
           "};\nHELION_HOST_LIBRARY(helion_host_kernels, " + std::to_string(table_.size()) + ")\n";
  }

  [[noreturn]] void fail_unknown_kernel() const {
    std::string names;
    for (const Entry &entry : entries_) names += (names.empty() ? "'" : ", '") + entry.host_name + "'";
    if (request_.name.empty()) {
      throw UnknownKernelError("the source has several kernels: " + names + "; say which with name=");
    }
    throw UnknownKernelError("the source has no kernel '" + request_.name + "'; it has " + names);
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
  const bool may_use_lockstep_;
  Tokens tokens_;
  std::vector<Declaration> declarations_;
  Kernels kernels_;
  CallGraph calls_;
  std::vector<Entry> entries_;
  ScannedSource result_;
  std::set<std::size_t> lockstep_functions_;
  std::vector<std::string> table_;  // qualified names of the entries that are chosen
};

}  // namespace

ScannedSource scan_msl(const MslSource &source, const CompileRequest &request, bool may_use_lockstep) {
  return Scanner(source, request, may_use_lockstep).run();
}

std::string rewrite_msl(const std::string &text, bool may_use_lockstep) {
  CompileRequest request;
  request.source = text;
  const MslSource source(request.source);
  try {
    return RewrittenText(source.flat(), scan_msl(source, request, may_use_lockstep).edits).text();
  } catch (const SourceError &error) {
    throw MetalCompileError(source.report({{Diagnostic::Severity::error, error.what(), error.offset, ""}}));
  }
}

}  // namespace helion_msl
