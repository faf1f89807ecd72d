"""Matrix products in the dialect of Helion's own Metal backend, which writes them with five markers.

    _setup = _metal_mpp_setup("x", "y", M, N, K, TILE_M, TILE_N, TILE_K, ...)
    for offset_2 in tl.range(0, K, TILE_K):
        _metal_mpp_k_step(_setup, offset_2)
    for _it in _coop_iter(_setup):          # with an epilogue only
        v_0 = acc * 2
        _coop_writeback(v_0)
    _metal_mpp_coop_store(_setup, "out", "float")
    _metal_mpp_threadgroup_barrier()        # where the product is read again

Here they become products of the language: all threads of the threadgroup fill the operands into threadgroup memory,
multiply, and do the epilogue in a loop over the elements. Tiles that are too large for the memory are done in parts.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .types import BY_MSL_NAME

if TYPE_CHECKING:
    from .source import Source

# The name under which expanded kernels know helion_msl.language.
LANGUAGE = "_ml"
_THREADGROUP_BYTES = 32768
# Extents of a part of a tile, and of a slice of the inner dimension.
_PARTS = ((64, 32), (64, 16), (32, 32), (32, 16), (16, 16), (8, 8))


@dataclass(frozen=True)
class _Setup:
    """The arguments of ``_metal_mpp_setup``, in its order."""

    left: str
    right: str
    rows: int
    columns: int
    inner: int
    tile_rows: int
    tile_columns: int
    tile_inner: int
    simdgroups: int
    operand_type: str
    sum_type: str
    bias: str
    bias_type: str
    element: str
    is_left_transposed: int
    is_right_transposed: int
    left_width: int
    right_width: int
    row_offset: str
    column_offset: str


def expand(source: Source, threads: int | None) -> ast.FunctionDef:
    """Return the kernel with its markers written out; the kernel itself where it has none.

    Args:
        source: the kernel.
        threads: threads of a threadgroup; None where launches may differ in it.

    Raises:
        TranslationError: the markers are not those that Helion emits.
    """
    if not any(
        isinstance(node, ast.Name) and node.id.startswith("_metal_mpp_") for node in ast.walk(source.definition)
    ):
        return source.definition
    if threads is None or threads % 32:
        raise source.error(
            source.definition,
            "a kernel of Helion's that multiplies matrices needs a threadgroup of whole simdgroups",
            "translate it for its launch: block_dims=(x, y, z) with a multiple of 32 threads",
        )
    expanded = _Expansion(source, threads).visit(source.definition)
    assert isinstance(expanded, ast.FunctionDef)
    return expanded


class _Expansion(ast.NodeTransformer):
    def __init__(self, source: Source, threads: int) -> None:
        self.source = source
        self.threads = threads

    def generic_visit(self, node: ast.AST) -> ast.AST:
        fields: dict[str, Any] = {}
        for name, value in ast.iter_fields(node):
            is_block = isinstance(value, list) and bool(value) and isinstance(value[0], ast.stmt)
            fields[name] = self._block(value) if is_block else value
        return ast.copy_location(type(node)(**fields), node)

    def _block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        rest = list(statements)
        while rest:
            statement = rest.pop(0)
            if isinstance(statement, ast.Assign) and _called(statement.value) == "_metal_mpp_setup":
                count = 3 if len(rest) > 1 and _called(_iterated(rest[1])) == "_coop_iter" else 2
                result += self._product(statement, rest[:count])
                del rest[:count]
            elif _called(_value(statement)) == "_metal_mpp_threadgroup_barrier":
                result += self._statements(f'{LANGUAGE}.barrier("device")', statement)
            else:
                result.append(self.visit(statement))
        return result

    def _statements(self, text: str, place: ast.AST) -> list[ast.stmt]:
        body = ast.parse(text).body
        for statement in body:
            for node in ast.walk(statement):
                if "lineno" in node._attributes:
                    ast.copy_location(node, place)
        return body

    def _product(self, start: ast.Assign, following: list[ast.stmt]) -> list[ast.stmt]:
        """The statements for a setup and what belongs to it: the loop, the epilogue and the store."""
        setup = self._setup(start)
        placeholders: list[ast.stmt] = [start, start]
        loop, *epilogue, end = following if len(following) > 1 else placeholders
        store = _value(end)
        if not (isinstance(loop, ast.For) and _called(_value(loop.body[0])) == "_metal_mpp_k_step") or not (
            isinstance(store, ast.Call) and _called(store) == "_metal_mpp_coop_store"
        ):
            raise self.source.error(start, "a matrix product of Helion's without its loop and its store")
        name = ast.unparse(start.targets[0])
        height, width, depth = self._extents(setup, start)
        out, out_type = (ast.literal_eval(argument) for argument in store.args[1:3])
        text = _text(setup, name, (height, width, depth), self.threads)
        begin, stop, _ = (ast.unparse(argument) for argument in loop.iter.args)  # type: ignore[attr-defined]
        text = text.replace("@bounds", f"{begin}, {stop}, {depth}").replace("@k", ast.unparse(loop.target))
        statements = self._statements(text, start)
        elements = statements[-1]
        while isinstance(elements.body[-1], ast.For):  # type: ignore[attr-defined]
            elements = elements.body[-1]  # type: ignore[attr-defined]
        assert isinstance(elements, ast.For)
        self._finish(setup, elements, epilogue, f"tl.store({out} + @place, {out_type}(@value), @mask)", name, end)
        return statements

    def _finish(
        self, setup: _Setup, elements: ast.For, epilogue: list[ast.stmt], store: str, name: str, place: ast.AST
    ) -> None:
        """Puts the epilogue and the store into the loop over the elements."""
        value = setup.element or f"{name}_value"
        for statement in epilogue:
            assert isinstance(statement, ast.For)
            for part in statement.body:
                call = _value(part)
                if isinstance(call, ast.Call) and _called(call) == "_coop_writeback":
                    value = ast.unparse(call.args[0])
                else:
                    elements.body.append(part)
        place_text = f"({name}_index * {setup.columns} + {name}_index_1)"
        store = store.replace("@place", place_text).replace("@value", value).replace("@mask", f"{name}_inside")
        elements.body += self._statements(store, place)

    def _setup(self, node: ast.Assign) -> _Setup:
        assert isinstance(node.value, ast.Call)
        arguments = [
            argument.id if isinstance(argument, ast.Name) else getattr(argument, "value", None)
            for argument in node.value.args
        ]
        names = list(_Setup.__annotations__)
        if len(arguments) != len(names) or None in arguments:
            raise self.source.error(node, f"_metal_mpp_setup takes {len(names)} arguments", "use Helion 1.5.1")
        return _Setup(**dict(zip(names, arguments, strict=True)))  # type: ignore[arg-type]

    def _extents(self, setup: _Setup, place: ast.AST) -> tuple[int, int, int]:
        """Rows, columns and inner extent of the parts in which a tile is done."""
        size = BY_MSL_NAME[setup.operand_type].bits // 8
        for part, depth in _PARTS:
            height, width = min(setup.tile_rows, part), min(setup.tile_columns, part)
            depth = min(setup.tile_inner, depth)
            if any(tile % own for tile, own in ((setup.tile_rows, height), (setup.tile_columns, width))):
                continue
            if setup.tile_inner % depth:
                continue
            rows, columns = _padded(height), _padded(width)
            if (rows + columns) * _padded(depth) * size + rows * columns * 4 <= _THREADGROUP_BYTES:
                return height, width, depth
        raise self.source.error(place, "the tiles of this matrix product do not divide into parts")


def _text(setup: _Setup, name: str, extents: tuple[int, int, int], threads: int) -> str:
    """The product up to the value of one element, as the last statement's innermost loop."""
    height, width, depth = extents
    rows, columns, inner = map(_padded, extents)
    operand = f"{LANGUAGE}.{BY_MSL_NAME[setup.operand_type].name}"
    row, column = f"{name}_row", f"{name}_column"
    left = f"{name}_index_1 * {setup.left_width} + {name}_index"
    if not setup.is_left_transposed:
        left = f"{name}_index * {setup.left_width} + {name}_index_1"
    right = f"{name}_index_1 * {setup.right_width} + {name}_index"
    if not setup.is_right_transposed:
        right = f"{name}_index * {setup.right_width} + {name}_index_1"
    sum_text = f"{name}_product[{row}, {column}]"
    if setup.bias:
        bias = f"tl.load({setup.bias} + ({name}_index * {setup.columns} + {name}_index_1), {name}_inside, other=0)"
        sum_text = f"{sum_text} + float({bias})"
    base = f"{setup.row_offset} + {name}_part + {row}", f"{setup.column_offset} + {name}_part_1 + {column}"

    def fill(array: str, tensor: str, address: str, shape: tuple[int, int], base: tuple[str, str], mask: str) -> str:
        return f"""
            for {name}_element in range({LANGUAGE}.thread_index, {shape[0] * shape[1]}, {threads}):
                {row} = {name}_element // {shape[1]}
                {column} = {name}_element % {shape[1]}
                {name}_index = {base[0]}
                {name}_index_1 = {base[1]}
                {array}[{row}, {column}] = tl.load({tensor} + ({address}), {mask}, other=0)"""

    is_left = f"{name}_index < {setup.rows} and {name}_index_1 < {setup.inner}"
    is_right = f"{name}_index < {setup.inner} and {name}_index_1 < {setup.columns}"
    if rows != height:
        is_left = f"{row} < {height} and {is_left}"
    if columns != width:
        is_right = f"{column} < {width} and {is_right}"
    if inner != depth:
        is_left, is_right = f"{column} < {depth} and {is_left}", f"{row} < {depth} and {is_right}"
    return f"""
{name}_left = {LANGUAGE}.threadgroup_array(({rows}, {inner}), {operand})
{name}_right = {LANGUAGE}.threadgroup_array(({inner}, {columns}), {operand})
{name}_product = {LANGUAGE}.threadgroup_array(({rows}, {columns}), {LANGUAGE}.float32)
for {name}_part in range(0, {setup.tile_rows}, {height}):
    for {name}_part_1 in range(0, {setup.tile_columns}, {width}):
        {name}_accumulator = {LANGUAGE}.matmul_accumulator({rows}, {columns}, {threads // 32})
        for @k in range(@bounds):{
        fill(f"{name}_left", setup.left, left, (rows, inner), (base[0], f"@k + {column}"), is_left)
    }{fill(f"{name}_right", setup.right, right, (inner, columns), (f"@k + {row}", base[1]), is_right)}
            {LANGUAGE}.barrier()
            {LANGUAGE}.matmul_add({name}_accumulator, {name}_left, {name}_right)
            {LANGUAGE}.barrier()
        {LANGUAGE}.matmul_store({name}_accumulator, {name}_product)
        {LANGUAGE}.barrier()
        for {name}_element in range({LANGUAGE}.thread_index, {height * width}, {threads}):
            {row} = {name}_element // {width}
            {column} = {name}_element % {width}
            {name}_index = {base[0]}
            {name}_index_1 = {base[1]}
            {name}_inside = {name}_index < {setup.rows} and {name}_index_1 < {setup.columns}
            {setup.element or f"{name}_value"} = {setup.sum_type}({sum_text})
"""


def _padded(extent: int) -> int:
    return -(-extent // 8) * 8


def _value(statement: ast.stmt) -> ast.expr | None:
    return statement.value if isinstance(statement, ast.Expr) else None


def _iterated(statement: ast.stmt) -> ast.expr | None:
    return statement.iter if isinstance(statement, ast.For) else None


def _called(node: ast.expr | None) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
