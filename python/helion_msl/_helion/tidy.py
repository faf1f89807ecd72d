"""Rewrites the function that Helion generated into plain Metal Python.

Helion's generator writes for a tile-level language: pointer loads and stores with masks (``tl.load(x + i, mask,
other=0)``), axes inserted by subscripts (``v[:, None]``), bounds checks that a launch of the right shape makes
superfluous, copies of variables that nothing changes. What is left afterwards is what a person would have written.
"""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING, Any

import torch
from helion import exc
from helion._compiler.ast_extension import ExtendedAST, convert, create, statement_from_string
from helion._compiler.ast_read_writes import ast_rename
from helion._compiler.device_function import TensorArg

from helion_msl._helion.cooperative import cooperate
from helion_msl._helion.groups import Group, GroupReduction, masked
from helion_msl._helion.markers import INDEX_MARKER, VALUE_MARKER
from helion_msl._helion.matmul import works_together
from helion_msl._helion.simplify import simplify, thread_axis
from helion_msl._helion.unsigned_variables import leave_unsigned

if TYPE_CHECKING:
    from helion._compiler.device_function import DeviceFunction


def tidy(fn: DeviceFunction) -> tuple[int, int, int]:
    """Rewrites the body of `fn`, which is complete, in place; returns the shape of its threadgroups."""
    renames = {name: aliases[0] for name, aliases in fn._variable_renames.items()}
    statements = [ast_rename(statement, renames) for statement in [*fn.preamble, *fn.body]]
    if works_together(fn):
        statements, threads = cooperate(fn, statements)
        fn.codegen.max_thread_block_dims[:] = [threads, 1, 1]
    order = _axis_order(statements, fn.codegen.max_thread_block_dims)
    x, y, z = (fn.codegen.max_thread_block_dims[axis] for axis in order)
    rewriter = _Rewriter(fn, (x, y, z), [order.index(axis) for axis in range(3)])
    body = rewriter.statements(statements)
    fn.preamble[:] = []
    fn.body[:] = leave_unsigned(simplify([*rewriter.arrays, *body], (x, y, z)))
    return x, y, z


def _axis_order(statements: list[ast.stmt], dims: list[int]) -> list[int]:
    """Which of Helion's thread axes become x, y and z.

    Helion numbers them from the outermost loop inwards, and neighbouring elements in memory belong to the innermost
    one: it becomes x, the axis of neighbouring threads. An axis along which the kernel reduces goes before all others,
    since neighbours reduce within their simdgroup.
    """
    reduced = [
        node.args[-2].value  # type: ignore[attr-defined]
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (VALUE_MARKER, INDEX_MARKER)
    ]
    used = [axis for axis in range(3) if dims[axis] > 1]
    order = sorted(used, key=lambda axis: (-reduced.count(axis), -axis))
    return order + [axis for axis in range(3) if axis not in used]


class _Rewriter(ast.NodeTransformer):
    """Replaces Helion's calls: loads, stores, barriers, casts, inserted axes, reductions.

    Args:
        fn: the kernel.
        block_dims: the shape of its threadgroups.
        axes: for each of Helion's thread axes the one that it becomes.

    Attributes:
        arrays: declarations of threadgroup memory for the top of the kernel.
    """

    def __init__(self, fn: DeviceFunction, block_dims: tuple[int, int, int], axes: list[int]) -> None:
        self.fn = fn
        self.block_dims = block_dims
        self.axes = axes
        self.arrays: list[ast.stmt] = []
        self.tensors = {
            argument.name: argument.fake_value for argument in fn.arguments if isinstance(argument, TensorArg)
        }
        self._before: list[ast.stmt] = []

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in body:
            outer, self._before = self._before, []
            # Statements made here carry the place in the user's source of those that they replace.
            with statement if isinstance(statement, ExtendedAST) else contextlib.nullcontext():
                new = self.visit(statement)
            result += self._before
            self._before = outer
            if isinstance(new, list):
                result += new
            elif new is not None:
                result.append(new)
        return result

    # ---- statements -----------------------------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> ast.If:
        node.test = self.visit(node.test)
        node.body = self.statements(node.body) or [ast.Pass()]
        node.orelse = [] if _is_empty(node.orelse) else self.statements(node.orelse)
        return node

    def visit_For(self, node: ast.For) -> ast.For:
        node.iter = self.visit(node.iter)
        node.body = self.statements(node.body) or [ast.Pass()]
        return node

    def visit_While(self, node: ast.While) -> ast.While:
        before = len(self._before)
        node.test = self.visit(node.test)
        if len(self._before) != before:
            raise exc.BackendUnsupported("metal", "a reduction in the condition of a while loop")
        node.body = self.statements(node.body) or [ast.Pass()]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        call = node.value
        if not isinstance(call, ast.Call):
            # A value that nothing uses.
            self.visit(call)
            return None
        name = ast.unparse(call.func)
        if name == "tl.store":
            return self._store(call)
        if name.startswith("tl.atomic_"):
            return self._atomic(call)
        if name.startswith("ml."):
            return statement_from_string(ast.unparse(self.visit(call)))
        if name == "tl.debug_barrier":
            return statement_from_string('ml.barrier("device")')
        if name == "tl.load":
            # A value that nothing uses, such as the only element of a row of which the position is wanted.
            return None
        raise exc.BackendUnsupported("metal", f"Helion's operation {name}")

    def _store(self, call: ast.Call) -> ast.stmt:
        pointer, value, mask = call.args[:3]
        target = self._element(pointer, ast.Store())
        store = create(ast.Assign, targets=[target], value=self.visit(value), type_comment=None)
        if isinstance(mask, ast.Constant) and mask.value is None:
            return store
        return create(ast.If, test=_logical(self.visit(mask)), body=[store], orelse=[])

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith("tl.atomic_"):
            return self._atomic(node.value, node.targets[0])
        return self.generic_visit(node)  # type: ignore[return-value]

    def _atomic(self, call: ast.Call, target: ast.expr | None = None) -> ast.stmt:
        mask = next(keyword.value for keyword in call.keywords if keyword.arg == "mask")
        value = self._atomic_value(call)
        if target is None:
            statement = create(ast.Expr, value=value)
        else:
            statement = create(ast.Assign, targets=[target], value=value, type_comment=None)
        if isinstance(mask, ast.Constant) and mask.value is None:
            return statement
        return create(ast.If, test=_logical(self.visit(mask)), body=[statement], orelse=[])

    def _atomic_value(self, call: ast.Call) -> ast.expr:
        name, offset = self._tensor(call.args[0])
        target = _flat(ast.Name(name, ast.Load()), self.tensors[name])
        function = ast.unparse(call.func).replace("tl.", "ml.")
        return ast.Call(
            ast.parse(function, mode="eval").body, [target, self.visit(offset), self.visit(call.args[1])], []
        )

    # ---- expressions ----------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func)
        if name == "tl.load":
            return self._load(node)
        if name in (VALUE_MARKER, INDEX_MARKER):
            return self._reduction(node)
        if name == "tl.range":
            node.func = ast.Name("range", ast.Load())
            node.keywords = []
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if isinstance(node.left, ast.Call) and ast.unparse(node.left.func) == "tl.arange":
            # Triton's tiles have powers of two; here a dimension has no elements beyond its size.
            return ast.Constant(True)
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if _inserts_axes(node.slice):
            # A tile is one element for each thread, whatever the number of its dimensions.
            return self.visit(node.value)
        axis = thread_axis(node)
        if axis is not None:
            return ast.Subscript(node.value, ast.Constant(self.axes[axis]), ast.Load())
        return self.generic_visit(node)  # type: ignore[return-value]

    def _load(self, call: ast.Call) -> ast.expr:
        element = self._element(call.args[0], ast.Load())
        mask = call.args[1]
        if isinstance(mask, ast.Constant) and mask.value is None:
            return element
        tensor = self._tensor(call.args[0])[0]
        other = ast.Constant(_zero(self.tensors[tensor].dtype))
        return ast.IfExp(test=_logical(self.visit(mask)), body=element, orelse=other)

    def _tensor(self, pointer: ast.expr) -> tuple[str, ast.expr]:
        if isinstance(pointer, ast.BinOp) and isinstance(pointer.op, ast.Add) and isinstance(pointer.left, ast.Name):
            return pointer.left.id, pointer.right
        if isinstance(pointer, ast.Name):
            return pointer.id, ast.Constant(0)
        raise exc.BackendUnsupported("metal", f"the address {ast.unparse(pointer)}")

    def _element(self, pointer: ast.expr, context: ast.expr_context) -> ast.expr:
        name, offset = self._tensor(pointer)
        tensor = self.tensors.get(name)
        if tensor is None:
            raise exc.BackendUnsupported("metal", f"memory access through {name}, which is no tensor argument")
        base = ast.Name(name, ast.Load())
        if tensor.ndim == 0:
            if isinstance(context, ast.Load):
                return base
            return ast.Subscript(value=_flat(base, tensor), slice=ast.Constant(0), ctx=context)
        offset = self.visit(offset)
        return ast.Subscript(value=_flat(base, tensor), slice=offset, ctx=context)

    def _reduction(self, node: ast.Call) -> ast.expr:
        arguments = [self.visit(argument) for argument in node.args]
        constants: list[Any] = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
        reduction, type_name, axis, span = constants[0], constants[1], constants[-2], constants[-1]
        axis = self.axes[axis]
        dtype = getattr(torch, type_name.removeprefix("torch."))
        group = Group(axis, self.block_dims[axis], self.block_dims)
        # Another loop may have widened the axis.
        is_member = f"ml.tid[{axis}] < {span}" if group.span > span else None
        expansion = GroupReduction(self.fn.new_var, group, reduction, dtype)
        value = masked(ast.unparse(arguments[2]), dtype, reduction, is_member)
        index = ast.unparse(arguments[3]) if ast.unparse(node.func) == INDEX_MARKER else None
        arrays, statements, result = expansion.expand(value, index)
        self.arrays += [convert(statement) for statement in arrays]
        self._before += [convert(statement) for statement in statements]
        return ast.Name(result, ast.Load())


def _flat(base: ast.Name, tensor: torch.Tensor) -> ast.expr:
    """The tensor as a row of elements in memory, in which Helion's offsets count."""
    if tensor.ndim == 1 and isinstance(tensor.stride(0), int) and tensor.stride(0) == 1:
        return base
    return ast.Call(func=ast.Attribute(ast.Name("ml", ast.Load()), "flat", ast.Load()), args=[base], keywords=[])


def _zero(dtype: torch.dtype) -> float | bool:
    if dtype == torch.bool:
        return False
    return 0.0 if dtype.is_floating_point else 0


def _logical(mask: ast.expr) -> ast.expr:
    """Masks joined by ``&`` as a conjunction."""
    if isinstance(mask, ast.BinOp) and isinstance(mask.op, ast.BitAnd):
        return ast.BoolOp(op=ast.And(), values=[_logical(mask.left), _logical(mask.right)])
    return mask


def _inserts_axes(index: ast.expr) -> bool:
    """Whether a subscript only gives a tile more dimensions: ``[:, None]``."""
    elements = index.elts if isinstance(index, ast.Tuple) else [index]
    return bool(elements) and all(
        (isinstance(element, ast.Slice) and element.lower is element.upper is element.step is None)
        or (isinstance(element, ast.Constant) and element.value is None)
        for element in elements
    )


def _is_empty(body: list[ast.stmt]) -> bool:
    return all(isinstance(statement, ast.Pass) for statement in body)
