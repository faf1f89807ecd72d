// Rewrites that look at the whole program: function constants, overloads on address spaces, swizzles.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "msl_rewrite.h"
#include "msl_scanner.h"

namespace helion_msl {
namespace {

[[noreturn]] void fail(const Tokens &tokens, std::size_t token, const std::string &message) {
  throw SourceError(tokens[token].begin, message);
}

// ---- function constants -------------------------------------------------------------------------------------------

struct FunctionConstant {
  std::string name;
  TokenRange attribute;  // `[[ ... ]]`
  std::size_t semicolon;
  TokenRange index;
};

std::optional<FunctionConstant> read_function_constant(const Tokens &tokens, const Declaration &declaration) {
  FunctionConstant constant;
  for (std::size_t at = declaration.range.begin; at < declaration.range.end; at = tokens.after_group(at)) {
    if (tokens.is(at, ";")) constant.semicolon = at;
    if (!tokens.is_attribute(at) || !tokens.is(at + 2, "function_constant") || !tokens.is(at + 3, "(")) continue;
    constant.attribute = {at, tokens.partner(at) + 1};
    constant.index = {at + 4, tokens.partner(at + 3)};
    // `constant int n [[function_constant(0)]];`, or the attribute before the type.
    std::size_t name = at == declaration.range.begin ? no_token : at - 1;
    for (std::size_t ahead = at; ahead < declaration.range.end; ahead = tokens.after_group(ahead)) {
      if (tokens.is_identifier(ahead)) name = ahead;
    }
    if (name != no_token) constant.name = tokens.text(name);
  }
  if (constant.attribute.empty() || constant.name.empty()) return std::nullopt;
  return constant;
}

std::string literal(const ConstantValue &value) {
  if (const bool *truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const std::int64_t *integer = std::get_if<std::int64_t>(&value)) {
    if (*integer == INT64_MIN) return "(-9223372036854775807ll - 1)";
    return std::to_string(*integer) + "ll";
  }
  const double number = std::get<double>(value);
  if (number != number) return "__builtin_nanf(\"\")";
  if (number - number != 0) return number > 0 ? "__builtin_inff()" : "-__builtin_inff()";
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%a", number);  // exact, and the same in every locale but for the point
  return text.data();
}

}  // namespace

std::vector<std::string> rewrite_function_constants(const Tokens &tokens, const std::vector<Declaration> &declarations,
                                                    const Constants &constants, std::vector<Edit> &edits) {
  std::map<std::string, bool, std::less<>> is_defined;
  std::vector<std::string> undefined;
  for (const Declaration &declaration : declarations) {
    if (declaration.kind != DeclarationKind::other) continue;
    const std::optional<FunctionConstant> constant = read_function_constant(tokens, declaration);
    if (!constant) continue;
    auto value = constants.find(constant->name);
    if (value == constants.end()) value = constants.find(tokens.text(constant->index.begin, constant->index.end));
    const bool defined = value != constants.end();
    is_defined[constant->name] = defined;
    const std::size_t begin = tokens[constant->attribute.begin].begin;
    const std::size_t end = tokens[constant->attribute.end - 1].end;
    edits.push_back({begin, end, std::string(end - begin, ' ')});
    const std::size_t semicolon = tokens[constant->semicolon].begin;
    if (defined) {
      edits.push_back(
          {semicolon, semicolon, " = static_cast<decltype(" + constant->name + ")>(" + literal(value->second) + ")"});
    } else {
      // A declaration only: its symbol shows up in the object file when code that can run uses the constant.
      undefined.push_back(constant->name);
      for (std::size_t at = declaration.range.begin; at < constant->attribute.begin; ++at) {
        if (tokens.is(at, "static") || tokens.is(at, "constexpr"))
          edits.push_back({tokens[at].begin, tokens[at].end, ""});
      }
      const std::size_t start = tokens[declaration.range.begin].begin;
      edits.push_back({start, start, "extern \"C\" "});
      edits.push_back(
          {semicolon, semicolon, " __asm__(\"" + std::string(undefined_constant_symbol) + constant->name + "\")"});
    }
  }
  for (std::size_t at = 0; at + 2 < tokens.size(); ++at) {
    if (!tokens.is(at, "is_function_constant_defined") || !tokens.is(at + 1, "(")) continue;
    const std::size_t close = tokens.partner(at + 1);
    const auto known = is_defined.find(tokens.text(close - 1));
    if (known == is_defined.end()) {
      fail(tokens, at, "'" + std::string(tokens.text(at + 2, close)) + "' is not a function constant");
    }
    edits.push_back({tokens[at].begin, tokens[close].end, known->second ? "true" : "false"});
  }
  return undefined;
}

// ---- overloads on address spaces ------------------------------------------------------------------------------------

namespace {

// Tokens [begin, end) as they compare after the address spaces are gone.
std::string erased(const Tokens &tokens, std::size_t begin, std::size_t end) {
  std::string text;
  bool after_const = false;
  for (std::size_t at = begin; at < end; ++at) {
    std::string_view word = tokens.text(at);
    if (word == "device" || word == "thread" || word == "threadgroup") continue;
    if (word == "constant") word = "const";
    if (word == "const" && after_const) continue;
    after_const = word == "const";
    text += word;
    text += ' ';
  }
  return text;
}

class OverloadFilter {
 public:
  OverloadFilter(const Tokens &tokens, const MslSource &source, std::vector<Edit> &edits)
      : tokens_(tokens), source_(source), edits_(edits) {}

  // `record` names the record that the declarations are members of, empty at namespace scope.
  void filter(const std::vector<Declaration> &declarations, std::string_view record) {
    std::map<std::string, const Declaration *> first;
    for (const Declaration &declaration : declarations) {
      if (declaration.name == no_token) continue;
      const bool is_constructor = !record.empty() && tokens_.is(declaration.name, record);
      if (is_constructor) erase_constructor_qualifiers(declaration);
      if (declaration.body == no_token && !is_defaulted(declaration)) continue;
      const auto [known, is_new] = first.try_emplace(signature(declaration, is_constructor), &declaration);
      if (!is_new) {
        drop(*known->second, declaration);
      } else if (declaration.kind == DeclarationKind::record) {
        filter(members_of(tokens_, declaration), tokens_.text(declaration.name));
      }
    }
  }

 private:
  // `S(const device S &) = default;`, or deleted.
  bool is_defaulted(const Declaration &declaration) const {
    const std::size_t at = declaration.header.end;
    return declaration.kind == DeclarationKind::function && tokens_.is(at, "=") &&
           (tokens_.is(at + 1, "default") || tokens_.is(at + 1, "delete"));
  }

  // `S() constant {}` makes an object in constant memory. Elsewhere `constant` stands for const, which no constructor
  // takes.
  void erase_constructor_qualifiers(const Declaration &declaration) {
    if (declaration.parameters == no_token) return;
    for (std::size_t at = tokens_.partner(declaration.parameters) + 1; at < declaration.header.end; ++at) {
      if (tokens_.is(at, "constant")) edits_.push_back({tokens_[at].begin, tokens_[at].end, "        "});
    }
  }

  std::string signature(const Declaration &declaration, bool is_constructor) const {
    const std::size_t end = is_constructor && declaration.parameters != no_token
                                ? tokens_.partner(declaration.parameters) + 1
                                : declaration.header.end;
    return declaration.scope + ' ' + erased(tokens_, declaration.range.begin, end);
  }

  void drop(const Declaration &kept, const Declaration &dropped) {
    // The same definition twice is an error of the user's, and clang says so best.
    if (tokens_.text(kept.range.begin, kept.range.end) == tokens_.text(dropped.range.begin, dropped.range.end)) return;
    if (definition(kept) != definition(dropped)) {
      fail(tokens_, dropped.name,
           "'" + std::string(tokens_.text(dropped.name)) + "' and its overload at " +
               source_.place_of(tokens_[kept.name].begin) +
               " differ in address spaces only, and their bodies are different; the CPU has one address space, so give "
               "them different names");
    }
    edits_.push_back({tokens_[dropped.range.begin].begin, tokens_[dropped.range.end - 1].end, ""});
  }

  // What follows the signature: initializers or bases, and the body.
  std::string definition(const Declaration &declaration) const {
    return erased(tokens_, declaration.header.end, declaration.range.end);
  }

  const Tokens &tokens_;
  const MslSource &source_;
  std::vector<Edit> &edits_;
};

}  // namespace

void drop_address_space_overloads(const Tokens &tokens, const std::vector<Declaration> &declarations,
                                  const MslSource &source, std::vector<Edit> &edits) {
  OverloadFilter(tokens, source, edits).filter(declarations, "");
}

// ---- swizzles
// ---------------------------------------------------------------------------------------------------------

std::string swizzle_macros(const Tokens &tokens) {
  std::array<std::set<std::string>, 5> entries;  // by length
  for (std::size_t at = 1; at < tokens.size(); ++at) {
    const std::string_view name = tokens.text(at);
    if (name.size() < 2 || name.size() > 4 || !tokens.is_identifier(at) || tokens.is(at + 1, "(")) continue;
    if (!tokens.is(at - 1, ".") && !tokens.is(at - 1, "->")) continue;
    for (const std::string_view letters : {"xyzw", "rgba"}) {
      if (name.find_first_not_of(letters) != std::string_view::npos) continue;
      std::string entry = "S(" + std::string(name);
      for (const char letter : name) entry += "," + std::to_string(letters.find(letter));
      entries[name.size()].insert(entry + ")");
    }
  }
  std::string macros;
  for (std::size_t length = 2; length <= 4; ++length) {
    macros += "#define HELION_MSL_SWIZZLES_" + std::to_string(length) + "(S)";
    for (const std::string &entry : entries[length]) macros += " " + entry;
    macros += "\n";
  }
  return macros;
}

// ---- words ---------------------------------------------------------------------------------------------------------

std::string word_macros(const Tokens &tokens) {
  std::set<std::string_view> words;
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    const std::string_view word = tokens.text(at);
    const bool is_ascii = std::all_of(word.begin(), word.end(), [](char c) { return static_cast<signed char>(c) > 0; });
    if (tokens.is_identifier(at) && is_ascii) words.insert(word);
  }
  std::string macros = "#define HELION_MSL_SELECTS\n";
  for (const std::string_view word : words) {
    macros += "#define HELION_MSL_USES_";
    macros += word;
    macros += '\n';
  }
  return macros;
}

}  // namespace helion_msl
