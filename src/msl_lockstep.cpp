#include "msl_lockstep.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "msl_lockstep_words.h"
#include "msl_statements.h"
#include "msl_token_copy.h"

namespace helion_msl {
namespace {

// Thrown where a kernel turns out to be of another kind.
struct NotLockstep {};

// A variable of a thread.
struct Variable {
  std::string_view name;
  std::string type;  // empty where it cannot be kept beyond its step
  bool is_const = false;
  bool is_pointer = false;
  bool is_kept = false;
  // Of a variable that every step can compute anew: its definition, and the words in that.
  std::string definition = {};
  Words words = {};
};

class LockstepWriter {
 public:
  LockstepWriter(const Tokens &tokens, const CallGraph &calls, const KernelFunction &kernel,
                 const Declaration &declaration, const std::vector<Edit> &edits, const std::string &function)
      : tokens_(tokens), calls_(calls), kernel_(kernel), declaration_(declaration), edits_(edits), function_(function) {
    end_ = tokens.partner(declaration.body);
  }

  std::string write() {
    check_parameters();
    check_words();
    find_last_synchronization();
    for (std::size_t at = declaration_.body + 1; at < end_;) {
      if (tokens_[at].kind == TokenKind::directive) {
        check_directive(at++);
        continue;
      }
      const std::size_t stop = statement_end(at);
      write_statement(at, stop);
      at = stop;
    }
    flush();
    check_indices();
    return text_;
  }

 private:
  // ---- What may be in the kernel ------------------------------------------------------------------------------------

  void check_parameters() {
    for (const KernelParameter &parameter : kernel_.parameters) {
      if (parameter.name.empty()) throw NotLockstep();
      const std::string &input = parameter.input;
      if (input.find("threadgroup_memory<") != std::string::npos) throw NotLockstep();
    }
    const std::size_t open = declaration_.parameters;
    for (const TokenRange &part : split_at_commas(tokens_, open + 1, tokens_.partner(open))) {
      if (!mentions(part, "&")) continue;
      for (std::size_t at = part.begin; at < part.end; ++at) references_.insert(tokens_.text(at));
    }
  }

  void check_words() const {
    for (std::size_t at = declaration_.body + 1; at < end_; ++at) {
      if (tokens_.is_identifier(at) && refused_words().contains(tokens_.text(at))) throw NotLockstep();
    }
  }

  void check_directive(std::size_t at) const {
    if (!is_hint_or_line(tokens_, at)) throw NotLockstep();
  }

  // Threads that return early are not there when others synchronize.
  void find_last_synchronization() {
    std::size_t last = no_token;
    for (std::size_t at = declaration_.body + 1; at < end_;) {
      const std::size_t stop = statement_end(at);
      if (calls_.synchronizes({at, stop})) last = stop;
      at = stop;
    }
    if (last == no_token) throw NotLockstep();
    for (std::size_t at = declaration_.body + 1; at < last; ++at) {
      if (tokens_.is(at, "return")) throw NotLockstep();
    }
  }

  std::size_t statement_end(std::size_t at) const {
    const std::size_t stop = after_statement(tokens_, at, end_);
    if (stop == no_token) throw NotLockstep();
    return stop;
  }

  // ---- Statements ---------------------------------------------------------------------------------------------------

  void write_statement(std::size_t begin, std::size_t end) {
    for (std::size_t at = begin; at < end; ++at) {
      if (tokens_[at].kind == TokenKind::directive) check_directive(at);
    }
    const bool is_compound = tokens_.is(begin, "{") || tokens_.is(begin, "if") || tokens_.is(begin, "for") ||
                             tokens_.is(begin, "while") || tokens_.is(begin, "do") || tokens_.is(begin, "switch");
    const bool synchronizes = calls_.synchronizes({begin, end});
    if (is_compound) {
      if (synchronizes || mentions({begin, end}, "threadgroup")) throw NotLockstep();
      if (tokens_.is(begin, "for") && write_loop(begin, end)) return;
      return add(begin, end, {});
    }
    if (tokens_.is(begin, "return") && begin + 2 == end && end == end_) return;
    if (tokens_.is(begin, ";")) return;
    if (!tokens_.is_identifier(begin) && !tokens_.is(begin, "++") && !tokens_.is(begin, "--") &&
        !tokens_.is(begin, "*") && !tokens_.is(begin, "::")) {
      throw NotLockstep();
    }
    if (refused_beginnings().contains(tokens_.text(begin))) throw NotLockstep();
    if (write_threadgroup_variable(begin, end)) return;
    if (synchronizes) return write_synchronization(begin, end);
    if (tokens_.is(begin, "constexpr")) {
      text_ += copy(begin, end, {});
      return;
    }
    const std::size_t known = variables_.size();
    declare(begin, end);
    if (variables_.size() > known && define_fixed(known)) return;
    add(begin, end, {});
  }

  bool mentions(TokenRange range, std::string_view word) const { return helion_msl::mentions(tokens_, range, word); }

  // Adds a statement to the step that is being collected.
  void add(std::size_t begin, std::size_t end, const std::vector<Substitute> &substitutes) {
    step_ += copy(begin, end, substitutes);
    note_words(begin, end);
    step_end_ = end;
  }

  void note_words(std::size_t begin, std::size_t end) {
    for (std::size_t at = begin; at < end; ++at) {
      if (tokens_.is_identifier(at)) step_words_.insert(tokens_.text(at));
    }
  }

  // `threadgroup float tile[32];`: one for all threads.
  bool write_threadgroup_variable(std::size_t begin, std::size_t end) {
    if (!tokens_.is(begin, "threadgroup")) return false;
    std::size_t type = begin;
    while (is_qualifier(tokens_, type)) ++type;
    std::size_t declarator = after_type(tokens_, type, end);
    while (is_qualifier(tokens_, declarator)) ++declarator;
    if (tokens_.is(declarator, "*")) return false;
    if (mentions({begin, end}, "=") || mentions({begin, end}, "&")) throw NotLockstep();
    text_ += " alignas(128)" + copy(begin + 1, end, {});
    for (const TokenRange &part : split_at_commas(tokens_, begin + 1, end - 1)) {
      std::size_t name = part.end - 1;
      while (name > part.begin && tokens_.is(name, "]")) name = tokens_.partner(name) - 1;
      if (!tokens_.is_identifier(name)) throw NotLockstep();
      const std::string word(tokens_.text(name));
      text_ += " helion_host::share(" + word + "); HELION_HOST_THREADGROUP_VARIABLE(" + word + ", " + function_ + ");";
      shared_.insert(tokens_.text(name));
    }
    return true;
  }

  // ---- Declarations -------------------------------------------------------------------------------------------------

  // Notes the variables that a statement declares, if it is a declaration.
  void declare(std::size_t begin, std::size_t end) {
    const std::optional<LocalDeclaration> declaration = read_local_declaration(tokens_, {begin, end});
    if (!declaration) {
      // References keep addresses, and so may what begins like a declaration and is not understood.
      const std::size_t behind = after_type(tokens_, begin, end);
      if (is_qualifier(tokens_, begin) || tokens_.is(behind, "&") || tokens_.is(behind, "&&")) throw NotLockstep();
      return;
    }
    const TokenRange &specifiers = declaration->specifiers;
    const bool has_space =
        mentions(specifiers, "device") || mentions(specifiers, "constant") || mentions(specifiers, "threadgroup");
    const bool is_pointer = declaration->stars > 0;
    if (is_pointer && (declaration->declarators.size() > 1 || declaration->is_const_pointer || !has_space)) {
      throw NotLockstep();
    }
    if (!is_pointer && mentions(specifiers, "threadgroup")) throw NotLockstep();
    const TokenRange &type = is_pointer ? specifiers : declaration->type;
    declared_ = declaration->declarators;
    for (const TokenRange &part : declared_) {
      if (!tokens_.is_identifier(part.begin)) throw NotLockstep();
      Variable variable{tokens_.text(part.begin), copy(type.begin, type.end, {}), !is_pointer && declaration->is_const};
      variable.is_pointer = is_pointer;
      if (tokens_.is(part.begin + 1, "[")) throw NotLockstep();
      variables_.push_back(std::move(variable));
    }
  }

  // Where the variables from `first` on, which a statement has just declared, never change and depend on nothing that
  // does, each step defines those that it needs: their values cost less than the memory to keep them, and clang sees
  // how the addresses of neighbours follow each other.
  bool define_fixed(std::size_t first) {
    std::vector<std::string> definitions;
    for (std::size_t index = first; index < variables_.size(); ++index) {
      const TokenRange part = declared_[index - first];
      const std::string_view name = variables_[index].name;
      if (variables_[index].type.empty() || !tokens_.is(part.begin + 1, "=") ||
          is_changed(tokens_, {declaration_.body, end_}, name) || !is_fixed(part.begin + 2, part.end)) {
        return false;
      }
      definitions.push_back(variables_[index].type + " const " + std::string(name) + " =" +
                            copy(part.begin + 2, part.end, {}) + ";");
    }
    for (std::size_t index = first; index < variables_.size(); ++index) {
      Variable &variable = variables_[index];
      variable.definition = definitions[index - first];
      variable.is_const = true;
      const TokenRange part = declared_[index - first];
      for (std::size_t at = part.begin; at < part.end; ++at) variable.words.insert(tokens_.text(at));
      variable.words.erase(variable.name);
    }
    return true;
  }

  // A vector whose components are chosen at run time lies in memory, where the turns of a vectorized loop would share
  // it. What is indexed so has to be a pointer, or an array of all threads.
  void check_indices() const {
    for (std::size_t at = declaration_.body + 1; at < end_; ++at) {
      const std::string_view name = tokens_.text(at);
      if (!is_indexed_at_run_time(tokens_, at) || shared_.contains(name)) continue;
      if (tokens_.is(at - 1, ".") || tokens_.is(at - 1, "->") || !is_pointer(name)) throw NotLockstep();
    }
  }

  // Also a constant of the program, which the body does not declare.
  bool is_pointer(std::string_view name) const {
    for (const Variable &variable : variables_) {
      if (variable.name == name) return variable.is_pointer;
    }
    for (const KernelParameter &parameter : kernel_.parameters) {
      if (parameter.name == name) return parameter.input.find("position<") == std::string::npos;
    }
    for (std::size_t at = declaration_.body + 1; at < end_; ++at) {
      if (tokens_.is(at, name) && tokens_.is_identifier(at - 1) && !tokens_.is(at - 1, "return")) return false;
    }
    return true;
  }

  // ---- Steps --------------------------------------------------------------------------------------------------------

  // What the statements of a step need: parameters, and variables of earlier steps.
  std::string bindings(Words words) const {
    std::string text;
    // Later definitions may use earlier ones.
    for (std::size_t index = variables_.size(); index-- > 0;) {
      const Variable &variable = variables_[index];
      if (words.contains(variable.name)) words.insert(variable.words.begin(), variable.words.end());
    }
    for (std::size_t index = 0; index < kernel_.parameters.size(); ++index) {
      const KernelParameter &parameter = kernel_.parameters[index];
      if (!words.contains(parameter.name)) continue;
      // By the type that the parameter is declared with; a step cannot change it for later ones.
      text += " decltype(auto) helion_parameter_" + std::to_string(index) + " = helion_arguments.template parameter<" +
              std::to_string(index) + ">(helion_at); const auto &" + parameter.name + " = helion_parameter_" +
              std::to_string(index) + ";";
    }
    for (const Variable &variable : variables_) {
      if (!words.contains(variable.name)) continue;
      text += variable.definition;
      if (!variable.is_kept) continue;
      const std::string name(variable.name);
      text += variable.is_const ? " const auto &" : " auto &";
      text += name + " = helion_kept_" + name + "[helion_t];";
    }
    return text;
  }

  static std::string lambda(const std::string &body) {
    return "[&](const helion_host::place &helion_at, helion_host::uint32 helion_t) __attribute__((always_inline)) {" +
           body + " }";
  }

  // Ends the step that is being collected.
  void flush() {
    if (step_.empty()) return;
    const std::string known = bindings(step_words_);
    const std::string statements = take_step({step_end_, step_end_});
    text_ += " helion_lanes.each(" + lambda(known + " {" + statements + " }") + ");";
  }

  // Ends the step with an expression, of which each thread puts its value in an array of this name.
  void flush_with(const TokenRange &expression, const std::vector<Substitute> &substitutes, const std::string &name) {
    for (std::size_t at = expression.begin; at < expression.end; ++at) step_words_.insert(tokens_.text(at));
    const std::string known = bindings(step_words_);
    const std::string statements = take_step(expression);
    text_ +=
        " const auto " + name + " = helion_lanes.values(" +
        lambda(known + " {" + statements + " return (" + copy(expression.begin, expression.end, substitutes) + "); }") +
        ");";
  }

  // The statements of the step, and what keeps the variables that later steps need. `last` is what the step ends with.
  std::string take_step(TokenRange last) {
    std::string stores;
    for (Variable &variable : variables_) {
      if (variable.is_kept || !variable.definition.empty() || !step_words_.contains(variable.name) ||
          !(mentions({step_end_, last.begin}, variable.name) || mentions({last.end, end_}, variable.name))) {
        continue;
      }
      if (variable.type.empty()) throw NotLockstep();
      check_address_is_not_taken(variable.name);
      const std::string name(variable.name);
      text_ += " helion_host::lane_values<" + variable.type + "> helion_kept_" + name + ";";
      stores += " helion_kept_" + name + "[helion_t] = " + name + ";";
      variable.is_kept = true;
    }
    step_words_.clear();
    return std::exchange(step_, {}) + stores;
  }

  // A variable that is kept has another address in the step that declares it.
  void check_address_is_not_taken(std::string_view name) const {
    for (std::size_t at = declaration_.body + 1; at + 1 < end_; ++at) {
      if (!tokens_.is(at, "&") || !tokens_.is(at + 1, name)) continue;
      const bool is_binary = tokens_.is_identifier(at - 1) || tokens_.is(at - 1, ")") || tokens_.is(at - 1, "]") ||
                             tokens_[at - 1].kind == TokenKind::number;
      if (!is_binary || tokens_.is(at - 1, "return")) throw NotLockstep();
    }
  }

  // ---- Synchronization ----------------------------------------------------------------------------------------------

  void write_synchronization(std::size_t begin, std::size_t end) {
    std::size_t name = begin;
    if (tokens_.is(name, "metal") && tokens_.is(name + 1, "::")) name += 2;
    if (tokens_.is(name, "threadgroup_barrier") || tokens_.is(name, "simdgroup_barrier")) {
      if (!tokens_.is(name + 1, "(") || tokens_.partner(name + 1) + 2 != end) throw NotLockstep();
      return flush();
    }
    std::size_t assigned = 0;
    for (std::size_t at = begin; at < end; ++at) {
      if (tokens_.is(at, "++") || tokens_.is(at, "--") || tokens_.is(at, "{")) throw NotLockstep();
      assigned += assignments().contains(tokens_.text(at));
    }
    if (assigned > 1 || tokens_.is(begin, "constexpr")) throw NotLockstep();
    const std::vector<Substitute> results = write_operations(begin, end);
    declare(begin, end);
    add(begin, end, results);
  }

  // The operations in a range of tokens, each of which runs before the step that uses its result.
  std::vector<Substitute> write_operations(std::size_t begin, std::size_t end) {
    std::vector<Substitute> results;
    for (std::size_t at = begin; at < end; ++at) {
      if (!tokens_.is_identifier(at) || !calls_.synchronizes({at, std::min(at + 2, end)})) continue;
      if (!operations().contains(tokens_.text(at)) || !tokens_.is(at + 1, "(")) throw NotLockstep();
      std::size_t first = at;
      if (tokens_.is(at - 1, "::")) {
        if (!tokens_.is(at - 2, "metal") || tokens_.is(at - 3, "::")) throw NotLockstep();
        first = at - 2;
      } else if (tokens_.is(at - 1, ".") || tokens_.is(at - 1, "->") || calls_.defines(tokens_.text(at))) {
        throw NotLockstep();
      }
      // No lane may go around the operation.
      if (!is_always_reached(tokens_, begin, first)) throw NotLockstep();
      const std::size_t close = tokens_.partner(at + 1);
      results.push_back({first, close + 1, write_operation(at, close)});
      at = close;
    }
    return results;
  }

  std::string write_operation(std::size_t name, std::size_t close) {
    const std::string number = std::to_string(operation_count_++);
    std::string call = "helion_host::lockstep_" + std::string(tokens_.text(name)) + "(helion_lanes";
    int index = 0;
    for (const TokenRange &argument : split_at_commas(tokens_, name + 2, close)) {
      const std::vector<Substitute> inner = write_operations(argument.begin, argument.end);
      if (argument.begin + 1 == argument.end && tokens_.is_identifier(argument.begin)) {
        flush();
        if (is_kept(tokens_.text(argument.begin))) {
          call += ", helion_kept_" + std::string(tokens_.text(argument.begin));
          continue;
        }
      }
      const std::string variable = "helion_operand_" + number + "_" + std::to_string(index++);
      if (step_.empty()) step_end_ = argument.begin;
      flush_with(argument, inner, variable);
      call += ", " + variable;
    }
    text_ += " const auto helion_result_" + number + " = " + call + ");";
    return " helion_result_" + number + "[helion_t]";
  }

  bool is_kept(std::string_view name) const {
    return std::any_of(variables_.begin(), variables_.end(),
                       [&](const Variable &variable) { return variable.name == name && variable.is_kept; });
  }

  // ---- Loops --------------------------------------------------------------------------------------------------------

  // `for (uint i = thread; i < count; i += threads) ...`: where all threads take a turn together, neighbours read and
  // write neighbouring elements. False for any other loop.
  bool write_loop(std::size_t begin, std::size_t end) {
    const std::size_t open = begin + 1, close = tokens_.partner(open), type = open + 1;
    const std::size_t name = after_type(tokens_, type, close);
    if (name != type + 1 || !integer_types().contains(tokens_.text(type)) || !tokens_.is_identifier(name) ||
        !tokens_.is(name + 1, "=")) {
      return false;
    }
    const std::string_view variable = tokens_.text(name);
    const std::size_t first = name + 2, first_end = next(first, close, ";");
    const std::size_t condition = first_end + 1, condition_end = next(condition, close, ";");
    const std::size_t advance = condition_end + 1;
    if (!tokens_.is(condition, variable) || !tokens_.is(condition + 1, "<") || !tokens_.is(advance, variable) ||
        !tokens_.is(advance + 1, "+=")) {
      return false;
    }
    if (!is_fixed(first, first_end) || !is_fixed(condition + 2, condition_end) || !is_fixed(advance + 2, close)) {
      return false;
    }
    for (std::size_t at = close + 1; at < end; ++at) {
      if (tokens_.is(at, "break") || tokens_.is(at, "continue") || tokens_.is(at, "return")) return false;
    }
    // A thread that has returned would have to be left out of the turns.
    if (mentions({declaration_.body, end_ - 2}, "return")) return false;
    flush();
    Words words;
    for (std::size_t at = begin; at < end; ++at) words.insert(tokens_.text(at));
    const std::string start = std::string(tokens_.text(type)) + "(" + copy(first, first_end, {}) + ")";
    const std::string bound = "(" + copy(condition + 2, condition_end, {}) + ")";
    const std::string distance = "(" + copy(advance + 2, close, {}) + ")";
    Words control;
    for (std::size_t at = begin; at < close; ++at) control.insert(tokens_.text(at));
    const std::string turn = "helion_host::in_turn(" + start + ", " + distance + ", helion_turn)";
    text_ +=
        " helion_lanes.turns(" +
        lambda(bindings(control) + " return helion_host::goes_up(" + start + ", " + bound + ", " + distance + ");") +
        ", [&](const helion_host::place &helion_at, helion_host::uint32 helion_t, helion_host::uint64 helion_turn) "
        "__attribute__((always_inline)) {" +
        bindings(words) + " const auto " + std::string(variable) + " = " + turn + "; if (!(" + std::string(variable) +
        " < " + bound + ")) return false; {" + copy(close + 1, end, {}) + " } return true; });";
    return true;
  }

  std::size_t next(std::size_t at, std::size_t end, std::string_view word) const {
    while (at < end && !tokens_.is(at, word)) at = tokens_.after_group(at);
    return at;
  }

  // Whether an expression has the same value whenever a thread evaluates it: numbers, parameters, constants and
  // arithmetic, but nothing from memory.
  bool is_fixed(std::size_t begin, std::size_t end) const {
    if (begin >= end) return false;
    for (std::size_t at = begin; at < end; ++at) {
      const std::string_view word = tokens_.text(at);
      constexpr std::array<std::string_view, 20> operators = {"+",  "-", ")", "<", ">", "<=", ">=", "==", "!=", "&&",
                                                              "||", "!", "?", ":", "|", "^",  "~",  "<<", "&",  "*"};
      if (tokens_[at].kind == TokenKind::number) continue;
      if (std::find(operators.begin(), operators.end(), word) != operators.end()) {
        // Not a pointer's target, nor an address.
        const bool is_unary = at == begin || !(tokens_.is_identifier(at - 1) || tokens_.is(at - 1, ")") ||
                                               tokens_[at - 1].kind == TokenKind::number);
        if (is_unary && (word == "*" || word == "&")) return false;
        continue;
      }
      if ((word == "/" || word == "%") && at + 1 < end && tokens_[at + 1].kind == TokenKind::number) continue;
      if (word == "(") {
        if (at > begin && tokens_.is_identifier(at - 1) && !number_types().contains(tokens_.text(at - 1))) return false;
        continue;
      }
      if (word == ".") {
        ++at;  // a component
        continue;
      }
      if (!tokens_.is_identifier(at) || tokens_.is(at + 1, "[")) return false;
      if (!number_types().contains(word) && !is_fixed_name(word)) return false;
    }
    return true;
  }

  bool is_fixed_name(std::string_view name) const {
    for (const Variable &variable : variables_) {
      if (variable.name == name) return variable.is_const && (variable.is_kept || !variable.definition.empty());
    }
    for (const KernelParameter &parameter : kernel_.parameters) {
      if (parameter.name != name) continue;
      return parameter.input.find("in_constant_memory<") != std::string::npos || !references_.contains(name);
    }
    // A constexpr of the body, or a constant of the program; both cannot change.
    return !shared_.contains(name);
  }

  // ---- Text ---------------------------------------------------------------------------------------------------------

  std::string copy(std::size_t begin, std::size_t end, const std::vector<Substitute> &substitutes) const {
    return copy_tokens(tokens_, {begin, end}, edits_, substitutes);
  }

  const Tokens &tokens_;
  const CallGraph &calls_;
  const KernelFunction &kernel_;
  const Declaration &declaration_;
  const std::vector<Edit> &edits_;
  const std::string &function_;
  std::size_t end_;  // of the body

  std::string text_;  // what is written so far
  std::string step_;  // the statements of the step that is being collected
  Words step_words_;
  std::size_t step_end_ = 0;
  std::vector<Variable> variables_;
  Words shared_;
  Words references_;                  // words of parameters that are references
  std::vector<TokenRange> declared_;  // the declarators of the last declaration
  int operation_count_ = 0;
};

}  // namespace

std::optional<std::string> write_lockstep(const Tokens &tokens, const CallGraph &calls, const KernelFunction &kernel,
                                          const Declaration &declaration, const std::vector<Edit> &edits,
                                          const std::string &function) {
  try {
    return LockstepWriter(tokens, calls, kernel, declaration, edits, function).write();
  } catch (const NotLockstep &) {
    return std::nullopt;
  }
}

}  // namespace helion_msl
