"""Generated kernels mean the same to CPython and through MSL.

Every number stays inside what int32 holds, and every float is a multiple of a power of two that float32 holds exactly,
so results are compared for equality.
"""

from __future__ import annotations

import linecache
import math

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helion_msl import compile as compile_msl
from helion_msl import language as ml
from helion_msl import reference
from helion_msl.walker import SCALAR_TYPES, TensorType, translate

THREADS = 8
INT_NAMES = ("a", "b", "c")
FLOAT_NAMES = ("f", "g")
INT_KINDS = (
    "+",
    "-",
    "*",
    "//",
    "%",
    "&",
    "|",
    "^",
    ">>",
    "<<",
    "unary",
    "minmax",
    "if",
    "logic",
    "compare",
    "abs",
    "power",
)
FLOAT_KINDS = ("+", "-", "*", "/", "//", "%", "if", "minmax", "neg", "abs", "floor", "where")
INT_LIMIT = 1009
FLOAT_LIMIT = 256  # |values| of variables; multiples of 1/16
TYPES = {
    "x": TensorType(SCALAR_TYPES["int32"], 2),
    "y": TensorType(SCALAR_TYPES["float32"], 2),
    "out": TensorType(SCALAR_TYPES["int32"], 2),
    "fout": TensorType(SCALAR_TYPES["float32"], 2),
    "n": SCALAR_TYPES["int32"],
}


class Integers:
    """Draws integer expressions; each comes with a bound on its magnitude."""

    def __init__(self, draw, names) -> None:
        self.draw, self.names = draw, names

    def leaf(self):
        kind = self.draw(st.sampled_from(["name", "name", "number", "load", "argument", "position"]))
        if kind == "name" and self.names:
            return self.draw(st.sampled_from(self.names)), INT_LIMIT
        if kind == "load":
            return f"x[i, {self.draw(st.integers(0, 3))}]", INT_LIMIT
        if kind == "argument":
            return "n", 16
        if kind == "position":
            return "i", THREADS
        number = self.draw(st.integers(-20, 20))
        return (str(number) if number >= 0 else f"({number})"), abs(number)

    def expression(self, depth):
        if depth == 0:
            return self.leaf()
        kind = self.draw(st.sampled_from(INT_KINDS))
        left, size = self.expression(depth - 1)
        if kind == "unary":
            sign = self.draw(st.sampled_from(["-", "~", "+"]))
            return f"({sign}({left} + 0))", size + 1
        if kind == "abs":
            return f"abs({left})", size
        if kind in (">>", "<<"):
            count = self.draw(st.integers(0, 40 if kind == ">>" else 6))
            if kind == "<<" and size << count > 2**30:
                kind = ">>"
            return f"({left} {kind} {count})", size << count if kind == "<<" else size
        if kind == "power":
            exponent = self.draw(st.integers(0, 3))
            return (
                (f"({left} ** {exponent})", max(size, 1) ** exponent)
                if max(size, 1) ** exponent < 2**30
                else (left, size)
            )
        right, other = self.expression(depth - 1)
        bits = 1 << max(size, other, 1).bit_length()
        if kind in ("+", "-"):
            return (f"({left} {kind} {right})", size + other) if size + other < 2**30 else (left, size)
        if kind == "*":
            return (f"({left} * {right})", size * other) if size * other < 2**30 else (left, size)
        if kind in ("//", "%"):
            divisor = self.draw(st.integers(-9, 9).filter(bool))
            text = self.draw(
                st.sampled_from([f"({divisor})", f"({right} or {divisor})", f"({right} if {right} != 0 else 3)"])
            )
            return f"({left} {kind} {text})", size + 1 if kind == "//" else max(other, 9)
        if kind in ("&", "|", "^"):
            return f"({left} {kind} {right})", bits
        if kind == "minmax":
            return f"{self.draw(st.sampled_from(['min', 'max']))}({left}, {right})", max(size, other)
        if kind == "if":
            return f"({left} if {self.condition(depth - 1)} else {right})", max(size, other)
        if kind == "logic":
            return f"({left} {self.draw(st.sampled_from(['and', 'or']))} {right})", max(size, other)
        return f"({self.condition(depth - 1)})", 1

    def condition(self, depth):
        signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
        parts = [self.expression(max(depth - 1, 0))[0] for _ in range(self.draw(st.integers(2, 3)))]
        text = parts[0] + "".join(f" {self.draw(signs)} {part}" for part in parts[1:])
        form = self.draw(st.sampled_from(["plain", "not", "and", "or", "truth", "in"]))
        if form == "not":
            return f"not ({text})"
        if form in ("and", "or"):
            return f"({text} {form} {self.expression(0)[0]} {self.draw(signs)} 3)"
        if form == "truth":
            return parts[0]
        return f"{parts[0]} in (0, 1, {parts[1]})" if form == "in" else text


class Floats:
    """Draws float expressions, with a bound on the magnitude and the power of two that divides them."""

    def __init__(self, draw, names, integers) -> None:
        self.draw, self.names, self.integers = draw, names, integers

    def leaf(self):
        kind = self.draw(st.sampled_from(["name", "name", "number", "load", "integer"]))
        if kind == "name" and self.names:
            return self.draw(st.sampled_from(self.names)), FLOAT_LIMIT, 4
        if kind == "load":
            return f"y[i, {self.draw(st.integers(0, 3))}]", 16, 2
        if kind == "integer":
            text, size = self.integers.leaf()
            return text, size, 0
        return f"{self.draw(st.integers(-32, 32)) / 4}".replace("-", "0 - ").join("()"), 8, 2

    def expression(self, depth):
        if depth == 0:
            return self.leaf()
        kind = self.draw(st.sampled_from(FLOAT_KINDS))
        left, size, fine = self.expression(depth - 1)
        if kind == "neg":
            return f"(-{left})", size, fine
        if kind == "abs":
            return f"abs({left})", size, fine
        if kind == "/":
            return (
                (f"({left} / {self.draw(st.sampled_from([2, 4, '2.0']))})", size, fine + 2)
                if self.fits(size, fine + 2)
                else (left, size, fine)
            )
        if kind == "floor":
            return f"ml.floor({left} + 0.0)", size + 1, 0
        right, other, finer = self.expression(depth - 1)
        finest = max(fine, finer)
        if kind in ("+", "-"):
            return (
                (f"({left} {kind} {right})", size + other, finest)
                if self.fits(size + other, finest)
                else (left, size, fine)
            )
        if kind == "*":
            return (
                (f"({left} * {right})", size * other, fine + finer)
                if self.fits(size * other, fine + finer)
                else (left, size, fine)
            )
        if kind in ("//", "%"):
            # A quotient must be computed exactly too: the numerator keeps a few bits.
            divisor = self.draw(st.sampled_from(["0.5", "2.0", "(0 - 0.25)", "4", "(0 - 8.0)"]))
            if not self.fits(size * 4, fine + 3):
                return left, size, fine
            return (
                f"({left} {kind} {divisor})",
                size * 4 + 1 if kind == "//" else 8,
                0 if kind == "//" else max(fine, 2),
            )
        condition = self.integers.condition(1)
        if kind == "if":
            return f"({left} if {condition} else {right})", max(size, other), finest
        if kind == "where":
            return f"ml.where({condition}, {left}, {right})", max(size, other), finest
        return f"{self.draw(st.sampled_from(['min', 'max']))}({left}, {right})", max(size, other), finest

    @staticmethod
    def fits(size, fine):
        return size * 2**fine < 2**23


class Kernels:
    """Draws whole kernels."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.names = 0

    def fresh(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def assignment(self, names, pad):
        integers = Integers(self.draw, names[0])
        if self.draw(st.booleans()):
            text, size = integers.expression(self.draw(st.integers(0, 3)))
            target = self.draw(st.sampled_from(INT_NAMES))
            form = self.draw(st.sampled_from(["=", "=", "augmented", "swap"]))
            if form == "augmented":
                self.lines.append(f"{pad}{target} += {text if size < 2**29 else 1}")
                self.lines.append(f"{pad}{target} %= {INT_LIMIT}")
            elif form == "swap":
                other = self.draw(st.sampled_from(INT_NAMES))
                pair = f"{target}, {other} = {other}, {text} % {INT_LIMIT}"
                self.lines.append(pad + (pair if other != target else "pass"))
            else:
                self.lines.append(f"{pad}{target} = {text} % {INT_LIMIT}")
        else:
            text, size, fine = Floats(self.draw, names[1], integers).expression(self.draw(st.integers(0, 3)))
            target = self.draw(st.sampled_from(FLOAT_NAMES))
            bounded = text if size < FLOAT_LIMIT and fine <= 4 else f"ml.floor(({text}) % 128.0)"
            self.lines.append(f"{pad}{target} = {bounded}")

    def block(self, names, depth, pad, in_loop):
        for _ in range(self.draw(st.integers(1, 3))):
            kind = self.draw(
                st.sampled_from(["assign", "assign", "local", "if", "for", "while"] if depth else ["assign"])
            )
            if kind == "assign":
                self.assignment(names, pad)
            elif kind == "local":
                text, _ = Integers(self.draw, names[0]).expression(2)
                name = self.fresh("t")
                self.lines.append(f"{pad}{name} = ({text}) % {INT_LIMIT}")
                names = ([*names[0], name], names[1])
            elif kind == "if":
                self.branches(names, depth, pad, in_loop)
            else:
                self.loop(kind, names, depth, pad)

    def branches(self, names, depth, pad, in_loop):
        integers = Integers(self.draw, names[0])
        self.lines.append(f"{pad}if {integers.condition(2)}:")
        self.block(names, depth - 1, pad + "    ", in_loop)
        if in_loop and self.draw(st.integers(0, 3)) == 0:
            self.lines.append(f"{pad}    {self.draw(st.sampled_from(['break', 'continue']))}")
        if self.draw(st.booleans()):
            self.lines.append(f"{pad}elif {integers.condition(1)}:")
            self.block(names, depth - 1, pad + "    ", in_loop)
        if self.draw(st.booleans()):
            self.lines.append(f"{pad}else:")
            self.block(names, depth - 1, pad + "    ", in_loop)

    def loop(self, kind, names, depth, pad):
        if kind == "for":
            name = self.draw(st.sampled_from(["j", "k", self.fresh("j")]))
            start, stop = (
                self.draw(st.sampled_from(["0", "n", "i", "3", "-2"])),
                self.draw(st.sampled_from(["5", "n", "i", "x[i, 0] % 6"])),
            )
            step = self.draw(st.sampled_from(["", ", 1", ", 2", ", -1", ", -3", ", n - 20"]))
            self.lines.append(f"{pad}for {name} in range({start}, {stop}{step}):")
            inner = ([*names[0], name], names[1])
        else:
            name = self.fresh("w")
            self.lines += [
                f"{pad}{name} = {self.draw(st.integers(0, 5))}",
                f"{pad}while {name} > 0:",
                f"{pad}    {name} -= 1",
            ]
            inner = names
        self.block(inner, depth - 1, pad + "    ", in_loop=True)
        if self.draw(st.integers(0, 3)) == 0:
            self.lines.append(f"{pad}else:")
            self.block(names, depth - 1, pad + "    ", in_loop=False)

    def kernel(self):
        self.lines = ["def kernel(x, y, out, fout, n):", "    i = ml.tid[0]", "    j = k = 0"]
        self.lines += [f"    {name} = {self.draw(st.integers(-9, 9))}" for name in INT_NAMES]
        self.lines += [f"    {name} = {self.draw(st.sampled_from([0, 1, 0.5, 2.25]))}" for name in FLOAT_NAMES]
        names = ([*INT_NAMES, "j", "k"], list(FLOAT_NAMES))
        for _ in range(self.draw(st.integers(2, 4))):
            self.block(names, 3, "    ", in_loop=False)
        self.lines += [f"    out[i, {column}] = {name}" for column, name in enumerate([*INT_NAMES, "j", "k"])]
        self.lines += [f"    fout[i, {column}] = {name}" for column, name in enumerate(FLOAT_NAMES)]
        return "\n".join(self.lines) + "\n"


@st.composite
def kernels(draw):
    return Kernels(draw).kernel()


def inputs():
    x = torch.tensor(
        [
            [(7 * row * row - 13 * column * row + 5 * column - 11) % 41 - 20 for column in range(4)]
            for row in range(THREADS)
        ]
    )
    y = torch.tensor([[(3 * row - 5 * column) % 23 / 4 - 2.75 for column in range(4)] for row in range(THREADS)])
    return [x.int(), y, torch.zeros(THREADS, 5, dtype=torch.int32), torch.zeros(THREADS, len(FLOAT_NAMES)), 4]


def run_both(text):
    translation = translate(text, TYPES, namespace={"ml": ml})
    launched, expected = inputs(), inputs()
    sizes = {"x": 4, "y": 4, "out": 5, "fout": len(FLOAT_NAMES)}
    extra = [sizes[entry.name.split("_")[0]] for entry in translation.arguments if entry.kind == "size"]
    compile_msl(translation.msl, name=translation.name, device="cpu")([*launched, *extra], 1, THREADS)
    name = "<generated kernel>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"ml": ml}
    exec(compile(text, name, "exec"), namespace)
    reference.run(namespace["kernel"], expected, 1, THREADS)
    return translation.msl, launched, expected


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(kernels())
def test_generated_kernels_mean_what_python_means(text) -> None:
    msl, launched, expected = run_both(text)
    for got, wanted in zip(launched[2:4], expected[2:4], strict=True):
        assert torch.equal(got, wanted), f"{text}\n{msl}\n{got}\n{wanted}"


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False))
def test_float_literals_read_back_as_the_same_float32(value) -> None:
    from helion_msl._walker.literals import number_text

    text = number_text(value, SCALAR_TYPES["float32"])
    if math.isinf(value):
        assert text == ("INFINITY" if value > 0 else "-INFINITY")
    else:
        assert text.endswith("f")
        assert torch.tensor(float(text[:-1]), dtype=torch.float32).item() == value
        digits = len(text.lstrip("-").split("e")[0].replace(".", "").strip("0f"))
        assert digits <= 9
