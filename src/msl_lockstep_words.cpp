#include "msl_lockstep_words.h"

namespace helion_msl {

const Words &operations() {
  static const Words words = {"simd_sum",          "simd_product",    "simd_and",     "simd_or",
                              "simd_xor",          "simd_max",        "simd_min",     "simd_any",
                              "simd_all",          "simd_broadcast",  "simd_shuffle", "simd_shuffle_up",
                              "simd_shuffle_down", "simd_shuffle_xor"};
  return words;
}

const Words &refused_words() {
  static const Words words = {"thread", "goto", "asm", "__asm__", "static", "volatile", "typedef", "thread_local"};
  return words;
}

const Words &refused_beginnings() {
  static const Words words = {"auto",     "struct",        "class",    "union",   "enum",   "using",
                              "decltype", "alignas",       "case",     "default", "break",  "continue",
                              "goto",     "static_assert", "template", "else",    "return", "namespace"};
  return words;
}

const Words &assignments() {
  static const Words words = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="};
  return words;
}

const Words &integer_types() {
  static const Words words = {"int", "uint", "long", "ulong", "size_t", "int32_t", "uint32_t", "int64_t", "uint64_t"};
  return words;
}

const Words &number_types() {
  static const Words words = {"int",   "uint", "long", "ulong",  "short",   "ushort",   "char",    "uchar",
                              "float", "half", "bool", "size_t", "int32_t", "uint32_t", "int64_t", "uint64_t"};
  return words;
}

}  // namespace helion_msl
