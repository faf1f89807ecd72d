"""Float expressions of generated kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .integers import Integers
from .numbers import INTEGERS, SIGNIFICANT_BITS, Number, arithmetic, computed, is_held, literal, merged

if TYPE_CHECKING:
    from collections.abc import Callable

FLOAT32 = frozenset({"float32"})
# Inexact functions, with the arguments that they are well conditioned for.
ROUGH = {
    "exp": (-8, 8), "exp2": (-8, 8), "exp10": (-4, 4), "expm1": (-4, 4), "log": (0.25, 64), "log2": (0.25, 64),
    "log10": (0.25, 64), "log1p": (0.25, 64), "sin": (-8, 8), "cos": (-8, 8), "tan": (-1, 1), "tanh": (-8, 8),
    "sinh": (-4, 4), "cosh": (-4, 4), "asin": (-0.75, 0.75), "acos": (-0.75, 0.75), "atan": (-64, 64),
    "asinh": (-8, 8), "acosh": (1.5, 64), "atanh": (-0.75, 0.75), "erf": (-4, 4), "erfc": (-2, 2), "sqrt": (0.25, 64),
    "rsqrt": (0.25, 64), "sigmoid": (-8, 8), "sinpi": (-1, 1), "cospi": (-1, 1),
}  # fmt: skip


class Floats(Integers):
    """Draws floats that are exact, and some that are not."""

    def real_leaf(self) -> Number:
        """Draw a name, a literal, an integer or an element."""
        kind = self.rng.choice(["name", "name", "name", "number", "load", "load", "integer", "constant"])
        if kind == "name":
            names = self.scope.named(self.scope.is_float)
            if names:
                chosen = self.rng.choice(names)
                return chosen.kind.number(chosen.text)
        if kind == "load":
            found = self.load(lambda each: each.dtype in SIGNIFICANT_BITS)
            if found is not None:
                return found
        if kind == "integer":
            found = self.integer_leaf()
            if found.reach < 2**20:
                return replace(found.with_text(f"float({found.text})"), types=FLOAT32, is_literal=False)
        if kind == "constant":
            constants = [each for each in self.scope.constants if each.is_float]
            if constants:
                return self.rng.choice(constants)
        return literal(self.rng.randint(-32, 32) / self.rng.choice([1, 2, 4]))

    def real(self, depth: int) -> Number:
        """Draw a float expression, every value of which is exact."""
        if depth <= 0:
            return self.real_leaf()
        name = self.rng.choice(
            [
                *(
                    "sum",
                    "sum",
                    "sum",
                    "sum",
                    "quotient",
                    "floor_division",
                    "sign",
                    "choice_of",
                    "logic_of",
                    "extreme_of",
                ),
                *("round_to", "convert", "function", "square", "call_of", "part", "mixed", "fused"),
            ]
        )
        found: Number | None = getattr(self, f"_{name}")(depth)
        if found is None or not found.is_float:
            return self.real_leaf()
        return found

    def _sum(self, depth: int) -> Number | None:
        return arithmetic(self.rng.choice("+-*"), self.real(depth - 1), self.real(depth - 1))

    def _mixed(self, depth: int) -> Number | None:
        sides = [self.real(depth - 1), self.integer(depth - 1)]
        self.rng.shuffle(sides)
        return arithmetic(self.rng.choice("+-*"), *sides)

    def _quotient(self, depth: int) -> Number | None:
        number = self.any_number(depth - 1)
        divisor = literal(self.rng.choice([2, 4, 2.0, 0.5, -4.0, 8]))
        kinds = frozenset(kind if kind in SIGNIFICANT_BITS else "float32" for kind in computed(number, divisor))
        if number.is_literal:
            return None
        reach = number.reach / abs(divisor.low)
        found = Number(
            f"({number.text} / {divisor.text})", kinds, -reach, reach, number.fine + 3, is_pure=number.is_pure
        )
        return found if is_held(found, kinds) and is_held(number, kinds) else None

    def _floor_division(self, depth: int) -> Number | None:
        number = self.real(depth - 1)
        divisor = literal(self.rng.choice([0.5, 2.0, -0.25, 4, -8.0, 0.75, 3.0, -2.5, 10]))
        if number.is_literal:
            return None
        operator = self.rng.choice(["//", "%"])
        fine = max(number.fine, divisor.fine) if operator == "%" else 0
        reach = divisor.reach if operator == "%" else number.reach / divisor.reach + 1
        text = f"({number.text} {operator} {divisor.text})"
        if self.rng.random() < 0.15:
            text = f"divmod({number.text}, {divisor.text})[{0 if operator == '//' else 1}]"
        found = Number(text, FLOAT32, -reach, reach, fine, is_pure=number.is_pure)
        rest = replace(number, low=-number.reach - divisor.reach, high=0, fine=max(number.fine, divisor.fine))
        is_exact = is_held(rest, FLOAT32) and is_held(found, FLOAT32)
        return found if is_exact else None

    def _sign(self, depth: int) -> Number | None:
        number = self.real(depth - 1)
        if number.is_literal:
            return None
        form = self.rng.choice(["(-{})", "(+{})", "abs({})", "math.fabs({})"])
        kinds = frozenset(kind if kind in SIGNIFICANT_BITS else "int32" for kind in number.types)
        if form[0] == "m" or (form[0] == "a" and "bfloat16" in kinds):
            kinds = kinds | FLOAT32
        low = 0 if "abs" in form else -number.reach
        return replace(
            number, text=form.format(number.text), types=kinds, low=low, high=number.reach, is_name=False
        )  # fmt: skip

    def _choice_of(self, depth: int) -> Number | None:
        left, right, test = self.real(depth - 1), self.any_number(depth - 1), self.condition(depth - 1)
        if self.rng.random() < 0.5:
            left, right = right, left
        text = f"({left.text} if {test.text} else {right.text})"
        if self.rng.random() < 0.3:
            text = f"ml.where({test.text}, {left.text}, {right.text})"
        found = merged(text, left, right)
        return None if found is None else replace(found, is_pure=found.is_pure and test.is_pure)

    def _logic_of(self, depth: int) -> Number | None:
        left, right = self.varying(self.real(depth - 1)), self.any_number(depth - 1)
        return merged(f"({left.text} {self.rng.choice(['and', 'or'])} {right.text})", left, right, (0,))

    def _extreme_of(self, depth: int) -> Number | None:
        left, right = self.real(depth - 1), self.any_number(depth - 1)
        if self.rng.random() < 0.5:
            left, right = right, left
        name = self.rng.choice(["min", "max", "ml.maximum", "ml.minimum", "ml.fmax", "ml.fmin"])
        kinds = computed(left, right)
        if left.is_literal and right.is_literal:
            return None
        found = Number(
            f"{name}({left.text}, {right.text})", kinds | FLOAT32, min(left.low, right.low),
            max(left.high, right.high), max(left.fine, right.fine), is_pure=left.is_pure and right.is_pure,
        )  # fmt: skip
        return found if all(is_held(each, kinds) for each in (left, right, found)) else None

    def _round_to(self, depth: int) -> Number | None:
        number = self.any_number(depth - 1)
        name = self.rng.choice(["floor", "ceil", "trunc", "rint", "round_away"])
        kinds = frozenset(kind if kind in SIGNIFICANT_BITS else "float32" for kind in number.types) | FLOAT32
        reach = int(number.reach) + 1
        found = Number(f"ml.{name}({number.text})", kinds, -reach, reach, is_pure=number.is_pure)
        return found if is_held(found, kinds) and is_held(number, kinds) else None

    def _convert(self, depth: int) -> Number | None:
        number = self.any_number(depth - 1)
        name = self.rng.choice(["float", "ml.float32", "ml.float16", "ml.bfloat16"])
        kinds = frozenset({name.removeprefix("ml.") if "ml" in name else "float32"})
        found = replace(
            number, text=f"{name}({number.text})", types=kinds, is_literal=False, is_name=False
        )  # fmt: skip
        return found if is_held(found, kinds) and not number.is_literal else None

    def _function(self, depth: int) -> Number | None:
        number = self.real(depth - 1)
        if number.is_literal or number.types & INTEGERS.keys():
            return None
        name = self.rng.choice(["fmod", "copysign", "sign", "clamp", "sqrt"])
        if not is_held(number, FLOAT32):
            return None
        if name == "fmod":
            divisor = literal(self.rng.choice([0.5, 3.0, -2.5, 4.0]))
            fine = max(number.fine, divisor.fine)
            text, reach, kinds = f"ml.fmod({number.text}, {divisor.text})", divisor.reach, FLOAT32
        elif name == "copysign":
            other = self.rng.choice(["1.5", "-2.0", "(-0.25)"])
            text, reach, fine = f"ml.copysign({number.text}, {other})", number.reach, number.fine
            kinds = number.types | FLOAT32
        elif name == "sign":
            text, reach, fine, kinds = f"ml.sign({number.text})", 1, 0, number.types | FLOAT32
        elif name == "clamp":
            high = self.rng.choice(["7.5", "4", "20.25"])
            text, reach, fine = f"ml.clamp({number.text}, -3.5, {high})", max(number.reach, 21), max(number.fine, 2)
            kinds = number.types | FLOAT32
        elif number.is_pure and number.reach**2 * 4**number.fine <= 2**24:
            if arithmetic("*", number, number) is None:
                return None
            text, reach, fine = f"ml.sqrt({number.text} * {number.text})", number.reach, number.fine
            kinds = FLOAT32
        else:
            return None
        found = Number(text, kinds, -reach, reach, fine, is_pure=number.is_pure)
        return found if is_held(found, kinds) else None

    def _square(self, depth: int) -> Number | None:
        names = self.scope.named(self.scope.is_float)
        if not names:
            return None
        chosen = self.rng.choice(names)
        number = chosen.kind.number(chosen.text)
        del depth
        return arithmetic("*", number, number, f"({number.text} ** 2)")

    def _fused(self, depth: int) -> Number | None:
        left, right, addend = (self.real(depth - 1) for _ in range(3))
        product = arithmetic("*", left, right)
        total = None if product is None else arithmetic("+", product, addend)
        if total is None or left.is_literal or (left.types | right.types | addend.types) & INTEGERS.keys():
            return None
        kinds = total.types | FLOAT32
        text = f"ml.fma({left.text}, {right.text}, {addend.text})"
        return replace(total, text=text, types=kinds) if is_held(total, kinds) else None

    def _call_of(self, depth: int) -> Number | None:
        return self.call(lambda kind: kind.size == 1 and kind.number("").is_float, depth)

    def _part(self, depth: int) -> Number | None:
        vector = self.vector(depth - 1, self.rng.choice([2, 3, 4]))
        return self.component(vector) if vector.is_float else None

    def bounded(self, number: Number, reach: float, fine: int) -> Number | None:
        """Return a float32 within bounds, of a number that float32 holds; None where it cannot be brought there."""
        if number.reach <= reach and number.fine <= fine:
            return number
        if not is_held(number, FLOAT32) or number.is_literal:
            return None
        divisor = literal(float(int(reach)))
        if number.fine > fine:
            number = replace(number.with_text(f"ml.floor({number.text})"), fine=0, low=number.low - 1)
        if number.reach <= reach:
            return replace(number, types=number.types | FLOAT32)
        text = f"({number.text} % {divisor.text})"
        return replace(number, text=text, types=FLOAT32, low=0, high=divisor.low, is_name=False)

    # ---- What is not exact -----------------------------------------------------------------------------------------

    def rough(self) -> str:
        """Draw a float whose last bits depend on the engine."""
        name = self.rng.choice(list(ROUGH))
        low, high = ROUGH[name]
        number = self.bounded(self.pure().real(1), 64, 6)
        inside = f"ml.clamp(float({'1.0' if number is None else number.text}), {low}, {high})"
        forms: list[Callable[[], str]] = [
            lambda: f"ml.{name}({inside})",
            lambda: f"ml.{name}({inside}) * {self.real_leaf().text}",
            lambda: f"ml.{name}({inside}) / 3",
            lambda: f"(abs({inside}) + 1) ** {self.rng.choice(['0.5', '1.25', '-1', '(-2)', '3'])}",
            lambda: f"ml.atan2({inside}, 1.5)",
            lambda: f"ml.pow(abs({inside}) + 0.5, 1.5)",
        ]
        return self.rng.choice(forms)()
