"""Kernels whose threads work together: the code of a whole threadgroup from the code of one element.

Helion generates the work of one element of a tile. Here every thread of a threadgroup takes part in everything:

- what is the same for all elements stays where it is;
- what differs between elements is kept until something needs it, and then computed there, in a loop over elements;
- a *region* stands for a matrix product: the threads fill the operands into threadgroup memory, evaluating for each
  element of an operand the statements that it depends on, and multiply them;
- a reduction, a scan, and what a loop or a branch leaves behind lie in threadgroup memory;
- a store is done in a loop over the elements of its tile.

Where a tile is too large for threadgroup memory, it is done in parts, one after the other. That is possible along
dimensions over which the kernel neither reduces nor multiplies.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from helion import exc

from helion_msl._helion import slices
from helion_msl._helion.elements import WHOLE, Limits
from helion_msl._helion.markers import MATMUL_MARKER
from helion_msl._helion.memory import THREADGROUP_BYTES
from helion_msl._helion.tile_program import Scope, TileProgram

if TYPE_CHECKING:
    import ast

    from helion._compiler.device_function import DeviceFunction

_MATRICES = ((64, 32), (64, 16), (32, 32), (32, 16), (64, 8), (32, 8), (16, 16), (16, 8), (8, 8))


def cooperate(fn: DeviceFunction, statements: list[ast.stmt]) -> tuple[list[ast.stmt], int]:
    """Return the statements of a threadgroup's threads for the `statements` of an element, and how many threads.

    Raises:
        helion.exc.BackendUnsupported: the tiles do not fit in threadgroup memory, or the kernel does something that
            this model has no place for.
    """
    has_products = any(next(slices.calls(statement, MATMUL_MARKER), None) is not None for statement in statements)
    others = (1024, 256, 64, 16, 8, 4, 2, 1)
    choices = (
        [Limits(matrix, inner, 1) for matrix, inner in _MATRICES]
        if has_products
        else [Limits(WHOLE, 1, other) for other in (WHOLE, *others)]
    )
    smallest = 0
    names = fn.namespace
    for limits in choices:
        # A choice that does not fit leaves no gaps in the numbers of names.
        fn.namespace = copy.copy(names)
        fn.namespace._used_names = names._used_names.copy()
        fn.namespace._base_count = names._base_count.copy()
        program = TileProgram(fn, statements, limits)
        body = program.block(statements, Scope([]), set())
        memory = program.elements.memory
        if memory.size <= THREADGROUP_BYTES:
            return slices.extended([*memory.declarations, *body]), program.elements.threads
        smallest = memory.size
    raise exc.BackendUnsupported(
        "metal",
        f"tiles that take {smallest} bytes together where a threadgroup has {THREADGROUP_BYTES}: choose smaller "
        "block_sizes for the dimensions that the kernel reduces or multiplies over, and loop over whole "
        "dimensions with hl.tile",
    )
