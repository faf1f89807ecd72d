"""Calls that stand in generated code for what only the complete kernel decides how to do."""

from __future__ import annotations

# _helion_matmul(left, right, rows, columns, inner, dtype): an element of a matrix product. `rows`, `columns` and
# `inner` are block ids, None for a dimension of one element; `dtype` is the type of the operands.
MATMUL_MARKER = "_helion_matmul"
# _helion_reduce(kind, dtype, value, axis, span): the reduction of `value` over `span` threads along a thread axis. In
# kernels whose threads work together, `axis` is the block id of the dimension, and `span` is BLOCK.
VALUE_MARKER = "_helion_reduce"
# _helion_reduce_index(kind, dtype, value, index, axis, span): the index that belongs to the extreme value.
INDEX_MARKER = "_helion_reduce_index"
# _helion_scan(texts, types, values, block, is_reverse, number, mask): the running result of a function along a
# dimension. `texts` are the results of the function (combine.py), `number` says which of them is wanted, `mask` is None
# or true for elements that exist.
SCAN_MARKER = "_helion_scan"
# _helion_fold(...): the last result of such a scan.
FOLD_MARKER = "_helion_fold"
# _helion_at(value, block, place): a value of another element, the one at `place` of the tile along a dimension.
AT_MARKER = "_helion_at"
# In the place of a number of threads.
BLOCK = -1
