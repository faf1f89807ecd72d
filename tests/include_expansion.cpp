// The expansion of #include that the Metal engine does, as a program: tests/test_include_expansion.py builds it.
// usage: include_expansion DIRECTORY NAME < SOURCE
#include <iostream>
#include <iterator>
#include <string>

#include "metal_includes.h"

int main(int count, char **arguments) {
  if (count != 3) return 2;
  const std::string source{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  std::cout << helion_msl::inline_includes(source, arguments[1], arguments[2]);
  return std::cout.good() ? 0 : 1;
}
