// The statements of a function, as token ranges.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "msl_declarations.h"
#include "msl_tokens.h"

namespace helion_msl {

struct LocalDeclaration {
  TokenRange specifiers;  // all before the first name: `device const float *`
  TokenRange type;        // of these, without qualifiers and `*`: `float`
  bool is_const = false;  // what the type stands for: the variable, or what a pointer points to
  std::size_t stars = 0;  // of the first declarator
  bool is_const_pointer = false;
  std::vector<TokenRange> declarators;  // each from its name on: `x = 1`
};

// What the statement `range`, its semicolon included, declares; nothing for other statements, and for references.
std::optional<LocalDeclaration> read_local_declaration(const Tokens &tokens, TokenRange range);

bool mentions(const Tokens &tokens, TokenRange range, std::string_view word);

// Whether `name[index]` stands at `at`, with an index that is no number. What is indexed so lies in memory.
bool is_indexed_at_run_time(const Tokens &tokens, std::size_t at);

// Whether an assignment to a variable stands anywhere in `range` behind its definition, which is there too. What
// changes it through a reference is not seen.
bool is_changed(const Tokens &tokens, TokenRange range, std::string_view name);

// Whether what stands at `operation` runs whenever its statement, which begins at `begin`, does: nothing before it in
// its brackets decides that, or only a vote of its simdgroup does, which all lanes follow.
bool is_always_reached(const Tokens &tokens, std::size_t begin, std::size_t operation);

// Whether a loop stands in `range` that advances by more than one: `for (uint i = thread; i < count; i += threads)`.
bool has_strided_loop(const Tokens &tokens, TokenRange range);

// Whether a directive only hints at how to compile a loop, or says where a line comes from: a copy does without it.
bool is_hint_or_line(const Tokens &tokens, std::size_t directive);

// The token behind the statement that begins at `at`, in a block that ends at `end`; `no_token` for an `if constexpr`,
// whose branches need not be code.
std::size_t after_statement(const Tokens &tokens, std::size_t at, std::size_t end);

// The token behind the type that begins at `at`, without `*`; `at` itself where no type can stand there.
std::size_t after_type(const Tokens &tokens, std::size_t at, std::size_t end);

// Whether the word may stand before or behind a type: `const` or an address space.
bool is_qualifier(const Tokens &tokens, std::size_t at);

}  // namespace helion_msl
