#include "msl_kernels.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace helion_msl {
namespace {

// MSL specification, "Attributes for Kernel Function Input Arguments".
constexpr std::array<std::string_view, 20> position_attributes = {
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "thread_index_in_threadgroup",
    "threadgroup_position_in_grid",
    "threads_per_threadgroup",
    "dispatch_threads_per_threadgroup",
    "threadgroups_per_grid",
    "threads_per_grid",
    "grid_size",
    "grid_origin",
    "thread_index_in_simdgroup",
    "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup",
    "dispatch_simdgroups_per_threadgroup",
    "threads_per_simdgroup",
    "thread_execution_width",
    "thread_index_in_quadgroup",
    "quadgroup_index_in_threadgroup",
    "quadgroups_per_threadgroup",
    "dispatch_quadgroups_per_threadgroup",
};

struct Refusal {
  std::string_view word;
  std::string_view reason;
};

// Attributes of kernel parameters that the CPU has no counterpart for, and what to do.
constexpr std::array<Refusal, 6> refused_attributes = {{
    {"texture", "textures are not supported; pass the data in a buffer"},
    {"sampler", "samplers are not supported; compute the interpolation in the kernel"},
    {"stage_in", "stage-in data is not supported; read the values from a buffer"},
    {"imageblock_data", "imageblocks are not supported; use threadgroup memory"},
    {"payload", "object and mesh payloads are not supported"},
    {"color", "render targets are not supported"},
}};

// The same for types, by the beginning of their names.
constexpr std::array<Refusal, 9> refused_types = {{
    {"texture", "textures are not supported; pass the data in a buffer"},
    {"depth2d", "depth textures are not supported; pass the data in a buffer"},
    {"depthcube", "depth textures are not supported; pass the data in a buffer"},
    {"sampler", "samplers are not supported; compute the interpolation in the kernel"},
    {"imageblock", "imageblocks are not supported; use threadgroup memory"},
    {"visible_function_table", "function tables are not supported; call the functions by name"},
    {"intersection_function_table", "ray tracing is not supported"},
    {"acceleration_structure", "ray tracing is not supported"},
    {"instance_acceleration_structure", "ray tracing is not supported"},
}};

bool contains(const auto &list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// One attribute of a `[[a(x), b]]` list.
struct Attribute {
  std::size_t name;      // token
  TokenRange arguments;  // between its parentheses
};

void append_attributes(const Tokens &tokens, std::size_t open, std::vector<Attribute> &attributes) {
  for (const TokenRange &part : split_at_commas(tokens, open + 2, tokens.partner(open + 1))) {
    if (part.empty()) continue;
    Attribute attribute = {part.begin, {}};
    if (tokens.is(part.begin + 1, "(")) attribute.arguments = {part.begin + 2, tokens.partner(part.begin + 1)};
    attributes.push_back(attribute);
  }
}

// All attributes in [begin, end), at any place between the other tokens but not inside brackets.
std::vector<Attribute> attributes_in(const Tokens &tokens, std::size_t begin, std::size_t end) {
  std::vector<Attribute> attributes;
  for (std::size_t at = begin; at < end; at = tokens.after_group(at)) {
    if (tokens.is_attribute(at)) append_attributes(tokens, at, attributes);
  }
  return attributes;
}

std::string expression(const Tokens &tokens, TokenRange range) {
  return "(" + one_line(tokens, range.begin, range.end) + ")";
}

// Name of the parameter declared by [begin, end): in the parentheses of `device T (&x)[4]`, otherwise the last
// identifier that is not inside brackets.
std::string parameter_name(const Tokens &tokens, std::size_t begin, std::size_t end) {
  std::string name;
  for (std::size_t at = begin; at < end; at = tokens.after_group(at)) {
    if (tokens.is(at, "=")) break;
    if (tokens.is(at, "<")) {
      const std::size_t close = tokens.closing_angle(at, end);
      if (close != no_token) at = close;
    } else if (tokens.is(at, "(") && (tokens.is(at + 1, "&") || tokens.is(at + 1, "*"))) {
      return parameter_name(tokens, at + 1, tokens.partner(at));
    } else if (tokens.is_identifier(at)) {
      name = tokens.text(at);
    }
  }
  return name;
}

class KernelFinder {
 public:
  KernelFinder(const Tokens &tokens, const std::vector<Declaration> &declarations)
      : tokens_(tokens), declarations_(declarations) {}

  Kernels run() {
    for (std::size_t index = 0; index < declarations_.size(); ++index) {
      const Declaration &declaration = declarations_[index];
      if (declaration.kind == DeclarationKind::function && is_kernel(declaration)) {
        if (declaration.body == no_token) {
          kernels_.forward_declarations.push_back(index);
        } else {
          read_function(index);
        }
      }
    }
    for (std::size_t index = 0; index < declarations_.size(); ++index) {
      const Declaration &declaration = declarations_[index];
      if (declaration.kind == DeclarationKind::explicit_instantiation && is_kernel(declaration))
        read_instantiation(index);
    }
    return std::move(kernels_);
  }

 private:
  bool is_kernel(const Declaration &declaration) const {
    for (std::size_t at = declaration.header.begin; at < declaration.header.end; at = tokens_.after_group(at)) {
      if (tokens_.is(at, "kernel")) return true;
      if (!tokens_.is_attribute(at)) continue;
      std::vector<Attribute> attributes;
      append_attributes(tokens_, at, attributes);
      for (const Attribute &attribute : attributes) {
        if (tokens_.is(attribute.name, "kernel")) return true;
      }
    }
    return false;
  }

  void read_function(std::size_t index) {
    const Declaration &declaration = declarations_[index];
    KernelFunction function;
    function.declaration = index;
    function.name = tokens_.text(declaration.name);
    function.host_name = function.name;
    // `template <>` heads an explicit specialization, which is one function.
    function.is_template = std::any_of(declaration.template_lists.begin(), declaration.template_lists.end(),
                                       [](const TokenRange &list) { return !list.empty(); });
    if (return_type_of(tokens_, declaration) == no_token) {
      fail(declaration.name, "the kernel '" + function.name + "' must return void");
    }
    read_function_attributes(declaration, function.host_name, &function.limits);
    try {
      int threadgroup_parameters = 0;
      const std::size_t open = declaration.parameters;
      for (const TokenRange &range : split_at_commas(tokens_, open + 1, tokens_.partner(open))) {
        const bool is_void = range.end == range.begin + 1 && tokens_.is(range.begin, "void");
        if (!range.empty() && !is_void) function.parameters.push_back(read_parameter(range, threadgroup_parameters));
      }
    } catch (const SourceError &refusal) {
      function.refusal = refusal;
    }
    kernels_.functions.push_back(std::move(function));
  }

  void read_function_attributes(const Declaration &declaration, std::string &host_name,
                                std::vector<std::string> *limits) const {
    for (const Attribute &attribute : attributes_in(tokens_, declaration.header.begin, declaration.header.end)) {
      const std::string_view word = tokens_.text(attribute.name);
      if (word == "host_name") {
        host_name = string_literal_value(tokens_, attribute.arguments.begin, attribute.arguments.end);
        if (attribute.arguments.empty() || host_name.empty()) {
          fail(attribute.name, "host_name takes a string that is not empty");
        }
      } else if (limits && word == "max_total_threads_per_threadgroup") {
        limits->push_back("helion_host::max_total_threads<" + expression(tokens_, attribute.arguments) + ">");
      } else if (limits && word == "required_threads_per_threadgroup") {
        std::string sizes;
        for (const TokenRange &part : split_at_commas(tokens_, attribute.arguments.begin, attribute.arguments.end)) {
          sizes += (sizes.empty() ? "" : ", ") + expression(tokens_, part);
        }
        limits->push_back("helion_host::required_threads<" + sizes + ">");
      }
    }
  }

  bool is_threadgroup_memory(TokenRange range) const {
    for (std::size_t at = range.begin; at < range.end; at = tokens_.after_group(at)) {
      if (tokens_.is(at, "threadgroup")) return true;
    }
    return false;
  }

  // `threadgroup_parameters` counts the ones before.
  KernelParameter read_parameter(TokenRange range, int &threadgroup_parameters) const {
    KernelParameter parameter;
    parameter.name = parameter_name(tokens_, range.begin, range.end);
    std::string index;
    std::string condition;
    std::string threadgroup_index;
    for (const Attribute &attribute : attributes_in(tokens_, range.begin, range.end)) {
      const std::string_view word = tokens_.text(attribute.name);
      if (word == "buffer") {
        if (attribute.arguments.empty()) fail(attribute.name, "buffer takes an index");
        index = expression(tokens_, attribute.arguments);
      } else if (word == "function_constant") {
        condition = expression(tokens_, attribute.arguments);
      } else if (word == "threadgroup") {
        if (attribute.arguments.empty()) fail(attribute.name, "threadgroup takes an index");
        threadgroup_index = expression(tokens_, attribute.arguments);
      } else if (contains(position_attributes, word)) {
        parameter.input = "helion_host::position<helion_host::position_kind::" + std::string(word) + ">";
      } else {
        refuse_attribute(parameter, attribute);
      }
    }
    if (!parameter.input.empty()) return parameter;
    refuse_type(parameter, range);
    if (is_threadgroup_memory(range)) {
      // Without an index it has the number of those before it.
      if (threadgroup_index.empty()) threadgroup_index = std::to_string(threadgroup_parameters);
      ++threadgroup_parameters;
      parameter.input = "helion_host::threadgroup_memory<" + threadgroup_index + ">";
    } else if (!threadgroup_index.empty()) {
      fail(range.begin, "parameter '" + parameter.name + "' has a threadgroup index, but is no threadgroup memory");
    } else {
      parameter.input = index.empty() ? "helion_host::next_buffer" : "helion_host::buffer<" + index + ">";
    }
    for (std::size_t at = range.begin; at < range.end; ++at) {
      if (!tokens_.is(at, "constant")) continue;
      parameter.input = "helion_host::in_constant_memory<" + parameter.input + ">";
      break;
    }
    if (!condition.empty()) parameter.input = "helion_host::optional<" + parameter.input + ", " + condition + ">";
    return parameter;
  }

  void refuse_attribute(const KernelParameter &parameter, const Attribute &attribute) const {
    for (const Refusal &refusal : refused_attributes) {
      if (tokens_.is(attribute.name, refusal.word)) {
        fail(attribute.name, "parameter '" + parameter.name + "': " + std::string(refusal.reason));
      }
    }
    // A misspelled position would otherwise become a buffer.
    constexpr std::array<std::string_view, 6> harmless = {"maybe_unused",       "clang", "gnu",
                                                          "raster_order_group", "id",    "access"};
    if (contains(harmless, tokens_.text(attribute.name))) return;
    fail(attribute.name, "parameter '" + parameter.name + "': kernels have no attribute '" +
                             std::string(tokens_.text(attribute.name)) + "'");
  }

  void refuse_type(const KernelParameter &parameter, TokenRange range) const {
    for (std::size_t at = range.begin; at < range.end; at = tokens_.after_group(at)) {
      for (const Refusal &refusal : refused_types) {
        if (tokens_.text(at).starts_with(refusal.word) && tokens_.text(at) != parameter.name) {
          fail(at, "parameter '" + parameter.name + "': " + std::string(refusal.reason));
        }
      }
    }
  }

  // What `f<float>` in `template ... f<float>(...);` consists of.
  struct NamedFunction {
    std::size_t first;     // of its qualified name
    std::size_t name;      // token
    TokenRange arguments;  // between < and >
    std::size_t end;       // one after
  };

  NamedFunction read_named_function(const Declaration &declaration) const {
    NamedFunction named = {};
    named.end = declaration.parameters != no_token ? declaration.parameters : declaration.header.end;
    while (named.end > declaration.header.begin && tokens_.is(named.end - 1, "]")) {
      named.end = tokens_.partner(named.end - 1);  // attributes behind the name
    }
    named.name = named.end - 1;
    if (tokens_.is(named.name, ">")) {
      for (std::size_t at = declaration.header.begin; at < named.end; at = tokens_.after_group(at)) {
        if (!tokens_.is(at, "<") || tokens_.closing_angle(at, named.end) != named.end - 1) continue;
        named.arguments = {at + 1, named.end - 1};
        named.name = at - 1;
        break;
      }
    }
    if (!tokens_.is_identifier(named.name)) fail(declaration.header.begin, "no kernel template is named here");
    named.first = named.name;
    // A qualified name may begin with `::`, and then the word before it is the return type.
    while (named.first >= 2 && tokens_.is(named.first - 1, "::")) {
      const bool is_scope = tokens_.is_identifier(named.first - 2) && !tokens_.is(named.first - 2, "void");
      named.first -= is_scope ? 2 : 1;
      if (!is_scope) break;
    }
    return named;
  }

  void read_instantiation(std::size_t index) {
    const Declaration &declaration = declarations_[index];
    const NamedFunction named = read_named_function(declaration);
    KernelInstantiation instantiation;
    instantiation.declaration = index;
    instantiation.function = find_template(declaration, named.name, named.first);
    instantiation.arguments = named.arguments;
    instantiation.host_name = tokens_.text(named.name);
    read_function_attributes(declaration, instantiation.host_name, nullptr);
    instantiation.expression = one_line(tokens_, named.first, named.end);
    if (declaration.parameters != no_token) {
      // The parameters choose between overloads, and fill in template arguments that are left out.
      const std::size_t open = declaration.parameters;
      instantiation.expression = "static_cast<helion_host::thread_end (*)" +
                                 one_line(tokens_, open, tokens_.partner(open) + 1) + ">(" + instantiation.expression +
                                 ")";
    }
    kernels_.instantiations.push_back(std::move(instantiation));
  }

  // The kernel template that an instantiation names: of the same name, best in the same namespace and with as many
  // parameters.
  std::size_t find_template(const Declaration &instantiation, std::size_t name, std::size_t first) const {
    std::string scope = tokens_.is(first, "::") ? "" : instantiation.scope;
    for (std::size_t at = first; at < name; ++at) scope += tokens_.text(at);
    std::size_t best = no_token;
    int best_score = -1;
    for (std::size_t index = 0; index < kernels_.functions.size(); ++index) {
      const KernelFunction &function = kernels_.functions[index];
      if (function.name != tokens_.text(name)) continue;
      const bool same_count =
          instantiation.parameters == no_token ||
          split_at_commas(tokens_, instantiation.parameters + 1, tokens_.partner(instantiation.parameters)).size() ==
              function.parameters.size();
      const int score = (declarations_[function.declaration].scope == scope ? 2 : 0) + (same_count ? 1 : 0);
      if (score > best_score) {
        best = index;
        best_score = score;
      }
    }
    if (best == no_token) {
      fail(name, "there is no kernel template '" + std::string(tokens_.text(name)) + "' with a body to instantiate");
    }
    return best;
  }

  [[noreturn]] void fail(std::size_t token, const std::string &message) const {
    throw SourceError(tokens_[token].begin, message);
  }

  const Tokens &tokens_;
  const std::vector<Declaration> &declarations_;
  Kernels kernels_;
};

}  // namespace

Kernels find_kernels(const Tokens &tokens, const std::vector<Declaration> &declarations) {
  return KernelFinder(tokens, declarations).run();
}

std::size_t return_type_of(const Tokens &tokens, const Declaration &declaration) {
  for (std::size_t at = declaration.header.begin; at < declaration.header.end; at = tokens.after_group(at)) {
    if (at == declaration.parameters) break;
    if (tokens.is(at, "void")) return tokens.is(at + 1, "*") ? no_token : at;
  }
  return no_token;
}

std::vector<TokenRange> split_at_commas(const Tokens &tokens, std::size_t begin, std::size_t end) {
  std::vector<TokenRange> parts;
  TokenRange part = {begin, begin};
  for (std::size_t at = begin; at < end; at = tokens.after_group(at)) {
    if (tokens.is(at, ",")) {
      part.end = at;
      parts.push_back(part);
      part.begin = at + 1;
    } else if (tokens.is(at, "<")) {
      const std::size_t close = tokens.closing_angle(at, end);
      if (close != no_token) at = close;
    }
  }
  part.end = end;
  if (!part.empty() || !parts.empty()) parts.push_back(part);
  return parts;
}

std::string one_line(const Tokens &tokens, std::size_t begin, std::size_t end) {
  std::string line;
  for (std::size_t at = begin; at < end; ++at) {
    if (tokens.is_attribute(at)) {
      at = tokens.partner(at);
      continue;
    }
    if (!line.empty()) line += ' ';
    line += tokens.text(at);
  }
  return line;
}

std::vector<std::string> template_parameter_names(const Tokens &tokens, TokenRange list) {
  std::vector<std::string> names;
  for (const TokenRange &part : split_at_commas(tokens, list.begin, list.end)) {
    std::string name;
    bool is_pack = false;
    std::size_t words = 0;
    for (std::size_t at = part.begin; at < part.end && !tokens.is(at, "="); at = tokens.after_group(at)) {
      if (tokens.is(at, "<")) {
        const std::size_t close = tokens.closing_angle(at, part.end);
        if (close != no_token) at = close;
      } else if (tokens.is(at, "(") && (tokens.is(at + 1, "*") || tokens.is(at + 1, "&"))) {
        // `void (*f)(int)`: what stands in the parentheses of the declarator.
        const std::size_t declared = tokens.partner(at) - 1;
        name = tokens.is_identifier(declared) ? tokens.text(declared) : "";
        words = 2;
        break;
      } else if (tokens.is(at, "...")) {
        is_pack = true;
      } else if (tokens.is_identifier(at)) {
        name = tokens.text(at);
        ++words;
      }
    }
    // `typename` or `int` alone has no name.
    if (words < 2) name.clear();
    names.push_back(is_pack && !name.empty() ? name + "..." : name);
  }
  return names;
}

}  // namespace helion_msl
