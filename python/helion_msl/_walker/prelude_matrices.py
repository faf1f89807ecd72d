"""MSL helpers that yield simdgroup matrices, which Metal's own functions write through a reference."""

from __future__ import annotations


def _load(space: str) -> str:
    return f"""
template <typename T>
inline metal::simdgroup_matrix<T, 8, 8> load_matrix({space} const T* source, ulong stride, bool is_transposed) {{
  metal::simdgroup_matrix<T, 8, 8> matrix;
  metal::simdgroup_load(matrix, source, stride, ulong2(0), is_transposed);
  return matrix;
}}"""


SNIPPETS = {
    "load_matrix": _load("device") + _load("threadgroup"),
    "multiply_matrices": """
template <typename T>
inline metal::simdgroup_matrix<T, 8, 8> multiply_matrices(
    metal::simdgroup_matrix<T, 8, 8> left, metal::simdgroup_matrix<T, 8, 8> right) {
  metal::simdgroup_matrix<T, 8, 8> product;
  metal::simdgroup_multiply(product, left, right);
  return product;
}""",
}
