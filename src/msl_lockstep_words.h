// The words by which msl_lockstep.cpp knows what it may write anew.
#pragma once

#include <set>
#include <string_view>

namespace helion_msl {

using Words = std::set<std::string_view>;

// Operations that helion_host/lockstep.h has.
const Words &operations();
// Words of a body that could keep an address of a variable, or do what a loop over threads cannot.
const Words &refused_words();
// Words at the beginning of a statement that is not an expression, and that a copy of the statement does not stand for.
const Words &refused_beginnings();
// Operators that change what stands before them.
const Words &assignments();
// Types of loop variables.
const Words &integer_types();
// Types that convert a number as `int(x)`.
const Words &number_types();

}  // namespace helion_msl
