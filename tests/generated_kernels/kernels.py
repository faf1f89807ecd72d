"""Whole kernels: the functions that they call, their parameters, and the tensors to launch them with."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import torch

from .numbers import INTEGERS, Number, literal
from .scope import (
    ANY_INTEGER,
    ANY_NUMBER,
    BFLOAT,
    FLOAT,
    FLOAT_VECTORS,
    HALF,
    INTEGER,
    INTEGER_VECTORS,
    SCALARS,
    TRUTH,
    Function,
    Kind,
    Scope,
    Tensor,
    Variable,
)  # fmt: skip
from .statements import Statements
from .vectors import Expressions

COLUMNS = 4
LAUNCHES = [((1,), (8,)), ((2,), (4,)), ((1,), (4, 2)), ((2, 2), (2,)), ((1,), (2, 2, 2)), ((3,), (2,)), ((1, 2), (3,))]
# dtype, low, high, fine of the inputs that a kernel may read.
INPUTS = {
    "x": ("int32", -20, 20, 0), "y": ("float32", -8, 8, 2), "b8": ("int8", -128, 127, 0), "u8": ("uint8", 0, 255, 0),
    "s16": ("int16", -300, 300, 0), "u16": ("uint16", 0, 65535, 0), "u32": ("uint32", 0, 1000, 0),
    "w": ("int64", -(1 << 34), 1 << 34, 0), "u64": ("uint64", 0, 1 << 36, 0), "m": ("bool", 0, 1, 0),
    "h": ("float16", -8, 8, 2), "bf": ("bfloat16", -4, 4, 1), "cube": ("int32", -9, 9, 0),
    "point": ("float32", 1, 3, 1),
}  # fmt: skip
OUTPUTS = {
    "out": ("int32", -(1 << 31), (1 << 31) - 1, 0), "fout": ("float32", -(1 << 20), 1 << 20, 4),
    "wout": ("int64", -(1 << 60), 1 << 60, 0), "bout": ("bool", 0, 1, 0), "hout": ("float16", -1024, 1024, 14),
    "bfout": ("bfloat16", -1024, 1024, 14), "u8out": ("uint8", 0, 255, 0), "b8out": ("int8", -128, 127, 0),
    "u32out": ("uint32", 0, (1 << 32) - 1, 0), "s16out": ("int16", -32768, 32767, 0), "rough": ("float32", 0, 0, 0),
}  # fmt: skip
LAYOUTS = ("plain", "plain", "transposed", "every_other_row", "every_other_column", "offset")


@dataclass
class Kernel:
    """A kernel to run.

    Attributes:
        name: of the function that is the kernel.
        source: its text, with the functions that it calls.
        grid: number of threadgroups.
        block_dims: threads of one.
        fixes_block_dims: whether the size of the threadgroup is known at translation.
        tensors: its tensors, in the order of the parameters.
        layouts: how each lies in memory.
        numbers: the other arguments by name.
        seed: what it was drawn from.
    """

    name: str
    source: str
    grid: tuple[int, ...]
    block_dims: tuple[int, ...]
    fixes_block_dims: bool
    tensors: list[Tensor]
    layouts: dict[str, str]
    numbers: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None

    def arguments(self) -> list[Any]:
        """Return new arguments, in the order of the parameters."""
        return [*(filled(each, self.layouts[each.name]) for each in self.tensors), *self.numbers.values()]


def filled(tensor: Tensor, layout: str) -> torch.Tensor:
    """Return the tensor that a parameter stands for, its elements within bounds, lying in memory as asked."""
    rng = random.Random(tensor.name)
    shape = tensor.shape
    if layout == "expanded":
        shape = (1, *shape[1:])
    count = math.prod(shape)
    if tensor.is_written:
        values: list[Any] = [0] * count
    elif tensor.dtype in INTEGERS:
        values = [rng.randint(int(tensor.low), int(tensor.high)) for _ in range(count)]
    else:
        scale = 2**tensor.fine
        values = [rng.randint(int(tensor.low * scale), int(tensor.high * scale)) / scale for _ in range(count)]
    plain = torch.tensor(values, dtype=getattr(torch, tensor.dtype)).reshape(shape)
    if layout == "expanded":
        return plain.expand(tensor.shape)
    if layout == "transposed":
        order = list(range(plain.dim()))[::-1]
        return plain.permute(order).contiguous().permute(order)
    if layout == "every_other_row":
        return plain.repeat_interleave(2, 0)[::2]
    if layout == "every_other_column":
        return plain.repeat_interleave(2, plain.dim() - 1)[..., 1::2]
    if layout == "offset":
        return torch.cat([plain[:1], plain])[1:]
    return plain


class Drawing:
    """Draws one kernel."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self.rng = rng
        self.prefix = f"g{number}"
        self.grid, self.block_dims = rng.choice(LAUNCHES)
        self.threads = math.prod(self.grid) * math.prod(self.block_dims)
        self.functions: list[Function] = []
        self.lines: list[str] = []
        self.has_effects = rng.random() < 0.3
        self.tensors = self._tensors()
        self.globals: list[Number] = []

    def _tensors(self) -> list[Tensor]:
        chosen = ["x", "y", *self.rng.sample(list(INPUTS)[2:], self.rng.randint(1, 3))]
        found = []
        for name in chosen:
            dtype, low, high, fine = INPUTS[name]
            shape = {"cube": (self.threads, 2, 3), "point": ()}.get(name, (self.threads, COLUMNS))
            found.append(Tensor(name, dtype, shape, low, high, fine))
        for name in ["out", "fout", *self.rng.sample(list(OUTPUTS)[2:], self.rng.randint(1, 2))]:
            dtype, low, high, fine = OUTPUTS[name]
            found.append(Tensor(name, dtype, (self.threads, COLUMNS), low, high, fine, is_written=True))
        if self.has_effects or self.rng.random() < 0.3:
            found.append(Tensor("counters", "int32", (self.threads, 2), 0, 15, is_written=True))
            found.append(Tensor("totals", "int32", (COLUMNS,), 0, 0, is_written=True))
        return found

    # ---- Functions -------------------------------------------------------------------------------------------------

    def function(self) -> None:
        """Draw a function, and add it to those that are called."""
        name = f"{self.prefix}_f{len(self.functions)}"
        kinds = [ANY_INTEGER, INTEGER, ANY_NUMBER, FLOAT, TRUTH, HALF, BFLOAT, *FLOAT_VECTORS[1:], INTEGER_VECTORS[0]]
        parameters: list[Kind | Tensor] = [self.rng.choice(kinds) for _ in range(self.rng.randint(1, 3))]
        names = [f"a{place}" for place in range(len(parameters))]
        results = [INTEGER, INTEGER, FLOAT, FLOAT, TRUTH, FLOAT_VECTORS[self.rng.randrange(3)]]
        result = tuple(self.rng.choice(results) for _ in range(self.rng.choice([1, 1, 1, 2, 3])))
        tensors = [each for each in self.tensors if each.name in ("x", "y", "w", "h") and self.rng.random() < 0.3]
        changes = self.has_effects and self.rng.random() < 0.5
        if changes:
            tensors += [each for each in self.tensors if each.name in ("out", "counters")]
        defaults = 0
        written = list(names)
        if (
            isinstance(parameters[-1], Kind)
            and parameters[-1] in (INTEGER, ANY_NUMBER, FLOAT)
            and self.rng.random() < 0.5
        ):
            defaults = 1
            written[-1] += f"={self.rng.randint(-5, 5)}"
        header = [*(each.name for each in tensors), *written]
        self.lines.append(f"def {name}({', '.join(header)}):")
        scope = Scope(self.rng, functions=[each for each in self.functions if changes or each.is_pure])
        scope.tensors = tensors
        scope.constants = list(self.globals)
        scope.has_effects = changes
        scope.variables = [
            Variable(each, kind, self._may_change(kind)) for each, kind in zip(names, parameters, strict=True)
        ]  # type: ignore[arg-type]
        if changes:
            scope.row = self._row()
            scope.positions = [scope.row]
        statements = Statements(self.rng, result=result, turns=8, budget=self.rng.randint(0, 8))
        self._locals(scope, statements, "    ", self.rng.randint(1, 3))
        statements.block(scope, "    ", self.rng.choice([0, 1, 2]))
        statements.ending(scope, "    ")
        self.lines += [*statements.lines, "", ""]
        # An assertion is an effect as well.
        is_pure = not changes and not any("assert " in line for line in statements.lines)
        arguments = (*(each.name for each in tensors), *names)
        self.functions.append(Function(name, (*tensors, *parameters), arguments, result, is_pure, defaults))

    @staticmethod
    def _may_change(kind: Kind) -> bool:
        # A vector of the caller cannot be changed; a number is a copy.
        return kind.size == 1 and kind is not ANY_NUMBER

    def _locals(self, scope: Scope, statements: Statements, pad: str, count: int) -> None:
        for _ in range(count):
            kind = self.rng.choice(SCALARS)
            name = statements.fresh("n")
            value = Expressions(scope).plain(kind)
            text = value.text
            if kind.types == {"int64"} or (kind.types == {"float32"} and self.rng.random() < 0.5):
                text = f"ml.{next(iter(kind.types))}({text})"
            statements.lines.append(f"{pad}{name} = {text}")
            scope.variables.append(Variable(name, kind))

    # ---- The kernel ------------------------------------------------------------------------------------------------

    def _row(self) -> Number:
        """Return the expression for the row that belongs to the thread."""
        size = math.prod(self.block_dims)
        group = "ml.tgid[0]" if len(self.grid) == 1 else f"(ml.tgid[1] * {self.grid[0]} + ml.tgid[0])"
        if len(self.block_dims) == 1 and len(self.grid) == 1 and self.rng.random() < 0.5:
            text = "ml.gid[0]"
        else:
            text = f"({group} * {size} + ml.thread_index)"
        return Number(text, frozenset({"int32"}), 0, self.threads - 1)

    def _constants(self, scope: Scope, numbers: dict[str, Any]) -> list[str]:
        """Return parameters that are constants, and scalars."""
        header = []
        for name, value in (("K", self.rng.randint(-9, 9)), ("F", self.rng.randint(-9, 9) / 4)):
            if self.rng.random() < 0.4:
                header.append(f"{name}: ml.constexpr")
                numbers[name] = value
                scope.constants.append(literal(value, name))
        numbers["n"] = 4
        scope.variables.append(Variable("n", Kind(frozenset({"int32"}), 4, 4), False))
        header.append(self.rng.choice(["n", "n: int"]))
        if self.rng.random() < 0.5:
            numbers["s"] = self.rng.randint(-8, 8) / 4
            scope.variables.append(Variable("s", Kind(frozenset({"float32"}), -2, 2, 2), False))
            header.append("s")
        if self.rng.random() < 0.3:
            numbers["flag"] = self.rng.random() < 0.5
            scope.variables.append(Variable("flag", TRUTH, False))
            header.append("flag")
        return header

    def kernel(self) -> Kernel:
        """Draw the kernel and what it calls."""
        for place in range(self.rng.choice([0, 1, 2])):
            value = self.rng.choice([self.rng.randint(-9, 9), self.rng.randint(-9, 9) / 2])
            name = f"{self.prefix}_c{place}"
            self.globals.append(literal(value, name))
            self.lines.append(f"{name} = {value!r}")
        for _ in range(self.rng.choice([0, 1, 1, 2, 3])):
            self.function()
        numbers: dict[str, Any] = {}
        scope = Scope(self.rng, functions=self.functions, tensors=self.tensors, constants=list(self.globals))
        scope.has_effects = self.has_effects
        header = [*(each.name for each in self.tensors), *self._constants(scope, numbers)]
        name = f"{self.prefix}_kernel"
        shares = self.rng.random() < 0.12
        statements = Statements(self.rng, budget=self.rng.choice([2, 3, 4, 6, 8, 12, 16, 24]), returns=not shares)
        lines = [f"def {name}({', '.join(header)}):", f"    i = {self._row().text}", "    j = k = 0"]
        scope.row = Number("i", frozenset({"int32"}), 0, self.threads - 1)
        scope.positions = [scope.row, *self._positions()]
        scope.variables += [Variable("j", INTEGER), Variable("k", INTEGER)]
        self._locals(scope, statements, "    ", self.rng.randint(3, 6))
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            statements.block(scope, "    ", self.rng.choice([1, 2, 3]))
            if shares:
                self._share(scope, statements)
        statements.lines += self._results(scope)
        self.lines += [*lines, *statements.lines]
        layouts = {each.name: self._layout(each) for each in self.tensors}
        source, fixes_block_dims = "\n".join(self.lines) + "\n", self.rng.random() < 0.5
        return Kernel(name, source, self.grid, self.block_dims, fixes_block_dims, self.tensors, layouts, numbers)

    def _layout(self, tensor: Tensor) -> str:
        if tensor.name in ("totals", "point", "counters"):
            return "plain"
        layout = self.rng.choice(LAYOUTS)
        return "expanded" if not tensor.is_written and self.rng.random() < 0.1 else layout

    def _positions(self) -> list[Number]:
        found = []
        for axis, size in enumerate(self.block_dims):
            found.append(Number(f"ml.tid[{axis}]", frozenset({"int32"}), 0, size - 1))
            found.append(Number(f"ml.threads_per_threadgroup[{axis}]", frozenset({"int32"}), size, size))
        for axis, size in enumerate(self.grid):
            found.append(Number(f"ml.tgid[{axis}]", frozenset({"int32"}), 0, size - 1))
            found.append(Number(f"ml.threadgroups_per_grid[{axis}]", frozenset({"int32"}), size, size))
        return [*found, Number("ml.simd_lane", frozenset({"int32"}), 0, 31)]

    def _results(self, scope: Scope) -> list[str]:
        """Store every variable, as far as there is a tensor of its type."""
        lines = []
        for place, each in enumerate(scope.variables):
            column = place % COLUMNS
            if scope.is_integer(each) and each.kind.types != {"uint32"}:
                lines.append(f"    out[i, {column}] = ml.int32(out[i, {column}] % 100003 * 31 + {each.text} % 1009)")
            elif scope.is_float(each):
                lines.append(f"    fout[i, {column}] = {each.text}")
        return lines

    def _share(self, scope: Scope, statements: Statements) -> None:
        """Exchange values between threads, where all of them are."""
        size = math.prod(self.block_dims)
        draw = Expressions(scope).pure()
        name, result = statements.fresh("shared"), statements.fresh("r")
        kind = self.rng.choice([INTEGER, FLOAT])
        value = draw.of_kind(kind, 2).text
        if self.rng.random() < 0.4:
            function = self.rng.choice(["simd_max", "simd_min", "simd_broadcast_first", "simd_shuffle_xor"])
            rest = ", 1" if function.endswith("xor") and size % 2 == 0 else ""
            function = "simd_max" if function.endswith("xor") and not rest else function
            dtype = "int32" if kind is INTEGER else "float32"
            statements.lines.append(f"    {result} = ml.{function}(ml.{dtype}({value}){rest})")
        else:
            dtype = "int32" if kind is INTEGER else "float32"
            other = draw.remainder(draw.integer(1), size).text
            statements.lines += [
                f"    {name} = ml.threadgroup_array({size}, ml.{dtype})",
                f"    {name}[ml.thread_index] = {value}",
                "    ml.barrier()",
                f"    {result} = {name}[{other}]",
                "    ml.barrier()",
            ]
        scope.variables.append(Variable(result, kind))


def draw_kernel(rng: random.Random, number: int = 0) -> Kernel:
    """Return a kernel drawn from a source of random numbers; ``number`` tells the names of a batch apart."""
    return Drawing(rng, number).kernel()


def kernel_of_seed(seed: int, number: int = 0) -> Kernel:
    """Return the kernel that a seed names."""
    kernel = draw_kernel(random.Random(seed), number)
    kernel.seed = seed
    return kernel
