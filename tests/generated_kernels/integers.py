"""Integer and truth expressions of generated kernels."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from .numbers import INTEGERS, SIGNED, UNSIGNED, Number, arithmetic, computed, holds, is_held, joined, literal, merged
from .scope import LIMIT

if TYPE_CHECKING:
    import random

    from .scope import Scope

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
# Sums of all threads are not known before their end; what `rough` holds is not exact, and must not reach what is.
_NOT_READ = ("totals", "rough")
BIG = (2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**40 + 3, -(2**35))


class Integers:
    """Draws integers and conditions; the methods for floats come with a subclass."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.rng: random.Random = scope.rng

    def real(self, depth: int) -> Number:
        """Draw a float; implemented with the floats."""
        raise NotImplementedError

    def vector(self, depth: int, size: int) -> Number:
        """Draw a vector; implemented with the vectors."""
        raise NotImplementedError

    # ---- Leaves ----------------------------------------------------------------------------------------------------

    def index(self, size: int, depth: int = 0) -> Number:
        """Draw a subscript from 0 to below a size."""
        if self.rng.random() < 0.5:
            value = self.rng.randrange(size) if self.rng.random() < 0.8 else -self.rng.randint(1, size)
            return literal(value)
        return self.remainder(self.integer(depth), size)

    def remainder(self, number: Number, size: int) -> Number:
        """Return a number brought into the range from 0 to below a size; of an unsigned or signed type."""
        if number.is_literal and number.is_integer:
            # Known at translation, and so a literal too.
            return literal(int(number.low) % size, f"({number.text} % {size})")
        divisor = literal(size)
        return replace(
            number, text=f"({number.text} % {size})", types=computed(number, divisor), low=0, high=size - 1, fine=0,
            is_literal=False, is_name=False,
        )  # fmt: skip

    def load(self, accepts: object) -> Number | None:
        """Draw an element of a tensor; None where there is none of an accepted type."""
        tensors = [each for each in self.scope.tensors if accepts(each) and each.name not in _NOT_READ]  # type: ignore[operator]
        if not tensors:
            return None
        tensor = self.rng.choice(tensors)
        found = Number("", frozenset({tensor.dtype}), tensor.low, tensor.high, tensor.fine)
        if not tensor.shape:
            return found.with_text(tensor.name)
        pure = self.pure()
        indices = [pure.index(size) for size in tensor.shape]
        if tensor.is_written and self.scope.row is not None:
            indices[0] = self.scope.row
        return found.with_text(f"{tensor.name}[{', '.join(each.text for each in indices)}]")

    def pure(self) -> Integers:
        """Return a source of expressions without effects."""
        return type(self)(replace(self.scope, has_effects=False)) if self.scope.has_effects else self

    def integer_leaf(self) -> Number:
        """Draw a name, a literal, a position or an element."""
        kind = self.rng.choice(["name", "name", "name", "number", "load", "load", "position", "constant", "size"])
        if kind == "name":
            names = self.scope.named(self.scope.is_integer)
            if names:
                chosen = self.rng.choice(names)
                return chosen.kind.number(chosen.text)
        if kind == "load":
            found = self.load(lambda each: each.dtype in INTEGERS)
            if found is not None:
                return found
        if kind == "position" and self.scope.positions:
            return self.rng.choice(self.scope.positions)
        if kind == "constant":
            constants = [each for each in self.scope.constants if each.is_integer]
            if constants:
                return self.rng.choice(constants)
        if kind == "size":
            shaped = [each for each in self.scope.tensors if each.shape]
            if shaped:
                return self.size_of(self.rng.choice(shaped))
        if self.rng.random() < 0.05:
            return literal(self.rng.choice(BIG))
        return literal(self.rng.randint(-20, 20)) if self.rng.random() < 0.9 else literal(self.rng.random() < 0.5)

    def size_of(self, tensor: object) -> Number:
        """Draw the size of a tensor."""
        axis = self.rng.randrange(len(tensor.shape))  # type: ignore[attr-defined]
        forms = ["{0}.size({1})", "{0}.shape[{1}]"]
        if axis == 0:
            forms.append("len({0})")
        if axis == len(tensor.shape) - 1:  # type: ignore[attr-defined]
            forms.append("{0}.size(-1)")
        text = self.rng.choice(forms).format(tensor.name, axis)  # type: ignore[attr-defined]
        size = tensor.shape[axis]  # type: ignore[attr-defined]
        return Number(text, frozenset({"int32"}), size, size)

    # ---- Integers --------------------------------------------------------------------------------------------------

    def tamed(self, number: Number, low: float, high: float) -> Number:
        """Return an integer brought between two bounds of which the lower is at most 0, the upper at least 1."""
        if low <= number.low and number.high <= high:
            return number
        kinds = computed(number, literal(int(high) + 1))
        if low < 0 and number.types <= SIGNED and self.rng.random() < 0.3:
            text = f"max({int(low)}, min({number.text}, {int(high)}))"
            return replace(number.with_text(text), types=kinds, low=low, high=high, is_literal=False)
        return self.remainder(number, int(high) + 1)

    def integer(self, depth: int) -> Number:
        """Draw an integer expression."""
        if depth <= 0:
            return self.integer_leaf()
        name = self.rng.choice(
            [
                *("add", "add", "add", "add", "divide", "divide", "bits", "bits", "shift", "unary", "power", "extreme"),
                *(
                    "choice",
                    "choice",
                    "logic",
                    "truth",
                    "cast",
                    "cast",
                    "rounded",
                    "call",
                    "call",
                    "effect",
                    "component",
                ),
            ]
        )
        found: Number | None = getattr(self, f"_{name}")(depth)
        return self.integer_leaf() if found is None else found

    def _add(self, depth: int) -> Number | None:
        left, right = self.integer(depth - 1), self.integer(depth - 1)
        operator = self.rng.choice("+-*")
        found = arithmetic(operator, left, right)
        if found is None:
            found = arithmetic(operator, self.tamed(left, -LIMIT, LIMIT), self.tamed(right, -LIMIT, LIMIT))
        return found

    def divisor(self, depth: int) -> Number:
        """Draw an integer that is not 0."""
        value = self.rng.choice([-9, -7, -4, -3, -2, -1, 1, 2, 3, 4, 5, 8, 9, 1000])
        if self.rng.random() < 0.5:
            return literal(value)
        number = self.integer(depth)
        if number.is_literal:
            # Known at translation: one of the two, and a literal.
            return literal(int(number.low) or value, f"({number.text} or {value})")
        forms = [f"({number.text} or {value})"]
        if number.is_pure:
            forms.append(f"({number.text} if {number.text} != 0 else {value})")
        found = merged(self.rng.choice(forms), number, literal(value))
        return found if found is not None else literal(value)

    def _divide(self, depth: int) -> Number | None:
        left, right = self.integer(depth - 1), self.divisor(depth - 1)
        kinds = computed(left, right)
        operator = self.rng.choice(["//", "%", "divmod"])
        low, high = (-left.reach, left.reach) if operator != "%" else (-right.reach, right.reach)
        if operator == "divmod":
            operator = self.rng.choice(["//", "%"])
            low, high = (-max(left.reach, right.reach), max(left.reach, right.reach))
            text = f"divmod({left.text}, {right.text})[{0 if operator == '//' else 1}]"
        else:
            text = f"({left.text} {operator} {right.text})"
        if left.low >= 0 and right.low >= 0:
            low = 0
        if left.is_literal and right.is_literal:
            return None
        found = Number(text, kinds, low, high, is_pure=left.is_pure and right.is_pure)
        return found if all(is_held(each, kinds) for each in (left, right, found)) else None

    def _bits(self, depth: int) -> Number | None:
        left, right = self.integer(depth - 1), self.integer(depth - 1)
        if left.is_literal and right.is_literal:
            return None
        kinds = computed(left, right)
        reach = (1 << max(int(left.reach), int(right.reach), 1).bit_length()) - 1
        low = 0 if left.low >= 0 and right.low >= 0 else -reach - 1
        text = f"({left.text} {self.rng.choice('&|^')} {right.text})"
        if left.types == right.types == {"bool"}:
            kinds = left.types
        found = Number(text, kinds, low, max(reach, 1), is_pure=left.is_pure and right.is_pure)
        return found if all(is_held(each, kinds) for each in (left, right, found)) else None

    def _shift(self, depth: int) -> Number | None:
        left = self.integer(depth - 1)
        kinds = computed(left, left)
        if self.rng.random() < 0.5:
            count = self.pure().remainder(self.pure().integer(0), self.rng.choice([4, 33, 40]))
            most = int(count.high)
            if self.rng.random() < 0.1:
                count, most = count.with_text(f"(ml.uint32({count.text}) + 3000000000)"), 3_000_000_000
        else:
            most = self.rng.randint(0, 40)
            count = literal(most)
        if left.is_literal:
            return None
        operator = self.rng.choice(["<<", ">>"])
        low, high = min(left.low, 0), max(left.high, 0)
        if operator == "<<":
            if most > 15 or not all(holds(kind, low * 2**most, high * 2**most) for kind in kinds):
                return None
            low, high = low * 2**most, high * 2**most
        found = Number(f"({left.text} {operator} {count.text})", kinds, low, high, is_pure=left.is_pure)
        return found if is_held(left, kinds) else None

    def _unary(self, depth: int) -> Number | None:
        number = self.integer(depth - 1)
        if number.is_literal:
            value = int(number.low)
            return literal(-value, f"(-{number.text})") if value not in BIG else None
        kinds = computed(number, number)
        if self.rng.random() < 0.15:
            name = self.rng.choice(["popcount", "clz", "ctz"])
            return Number(f"ml.{name}(ml.int32({number.text}))", frozenset({"int32"}), 0, 32, is_pure=number.is_pure)
        form = self.rng.choice(["-{}", "~{}", "+{}", "abs({})", "int({})"])
        if form[0] == "~" and "bool" in number.types:
            return None
        if form[0] in "-~" and number.types & UNSIGNED:
            return None
        low, high = (0, number.reach + 1) if form[0] == "a" else (-number.reach - 1, number.reach + 1)
        if number.low >= 0 and form[0] in "+i":
            low = 0
        found = replace(number, text=f"({form.format(number.text)})", types=kinds, low=low, high=high, is_name=False)
        return replace(found, is_literal=False) if is_held(found, kinds) else None

    def _power(self, depth: int) -> Number | None:
        base = self.integer(depth - 1)
        exponent = self.rng.randint(0, 4)
        if base.is_literal:
            return None
        kinds = computed(base, literal(exponent))
        reach = max(base.reach, 1) ** max(exponent, 1)
        if exponent in (2, 3) and self.rng.random() < 0.4:
            text = f"({base.text} ** ({self.pure().integer(0).text} & {exponent}))"
            kinds = computed(base, Number("", frozenset({"int32"}), 0, 3)) | computed(base, literal(3)) | kinds
        else:
            text = f"({base.text} ** {exponent})"
        found = Number(text, kinds, 0 if base.low >= 0 else -reach, reach, is_pure=base.is_pure)
        return found if is_held(found, kinds) and is_held(base, kinds) else None

    def _extreme(self, depth: int) -> Number | None:
        left, right = self.integer(depth - 1), self.integer(depth - 1)
        if self.rng.random() < 0.2:
            return self._total(left, right)
        form = self.rng.choice(["min({}, {})", "max(({}, {}))", "ml.maximum({}, {})", "ml.minimum({}, {})"])
        kinds = computed(left, right)
        low, high = min(left.low, right.low), max(left.high, right.high)
        found = Number(form.format(left.text, right.text), kinds, low, high, is_pure=left.is_pure and right.is_pure)
        if left.is_literal and right.is_literal:
            return None
        return found if all(is_held(each, kinds) for each in (left, right)) else None

    def _total(self, left: Number, right: Number) -> Number | None:
        """Draw the sum of a tuple."""
        if left.types == {"bool"} or left.is_literal:
            return None
        third = self.integer(0)
        found = arithmetic("+", left, right)
        found = found if found is None else arithmetic("+", found, third)
        if found is None:
            return None
        form = self.rng.choice(["sum(({}, {}, {}))", "sum(({}, *({}, {})))", "sum(({},) + ({}, {}))"])
        return found.with_text(form.format(left.text, right.text, third.text))

    def _choice(self, depth: int) -> Number | None:
        left, right = self.integer(depth - 1), self.integer(depth - 1)
        test = self.condition(depth - 1)
        if self.rng.random() < 0.2:
            text = f"ml.where({test.text}, {left.text}, {right.text})"
        else:
            text = f"({left.text} if {test.text} else {right.text})"
        found = merged(text, left, right)
        return None if found is None else replace(found, is_pure=found.is_pure and test.is_pure)

    def _logic(self, depth: int) -> Number | None:
        left, right = self.varying(self.integer(depth - 1)), self.integer(depth - 1)
        operator = self.rng.choice(["and", "or"])
        return merged(f"({left.text} {operator} {right.text})", left, right, (0,))

    def _truth(self, depth: int) -> Number:
        return self.truth(depth)

    def _cast(self, depth: int) -> Number | None:
        number = self.integer(depth - 1)
        kind = self.rng.choice(["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
        if kind == "uint64" and self.rng.random() < 0.7:
            kind = "int32"
        low, high = (number.low, number.high) if holds(kind, number.low, number.high) else INTEGERS[kind]
        text = f"ml.{kind}({number.text})"
        if kind in ("int32", "uint32") and self.rng.random() < 0.3:
            other = self.rng.choice(["int32", "uint32"])
            text, (low, high) = f"ml.bitcast({text}, ml.{other})", INTEGERS[other]
            kind = other
        return Number(text, frozenset({kind}), low, high, is_pure=number.is_pure)

    def _rounded(self, depth: int) -> Number | None:
        number = self.real(depth - 1)
        if number.is_literal or number.reach > 2**20:
            return None
        form = self.rng.choice(["int", "round", "math.floor", "math.ceil", "math.trunc", "ml.int32", "ml.int64"])
        kind = "int64" if form == "ml.int64" else "int32"
        reach = int(number.reach) + 1
        return Number(f"{form}({number.text})", frozenset({kind}), -reach, reach, is_pure=number.is_pure)

    def _call(self, depth: int) -> Number | None:
        return self.call(lambda kind: kind.size == 1 and kind.number("").is_integer, depth)

    def _effect(self, depth: int) -> Number | None:
        """Draw an expression that changes a variable or an element."""
        if not self.scope.has_effects or self.scope.row is None:
            return None
        names = [
            each for each in self.scope.named(self.scope.is_integer) if each.is_assignable and "[" not in each.text
        ]
        counters = [each for each in self.scope.tensors if each.name == "counters"]
        if names and self.rng.random() < 0.5:
            variable = self.rng.choice(names)
            number = self.fitted(self.integer(depth - 1), variable.kind)
            if number is None:
                return None
            return replace(variable.kind.number(f"({variable.text} := {number.text})"), is_pure=False, is_name=False)
        if not counters:
            return None
        name = self.rng.choice(["add", "sub", "min", "max", "and", "or", "xor", "exchange"])
        value = self.tamed(self.integer(depth - 1), 0, 15)
        place = f"{self.scope.row.text}, {self.rng.randrange(2)}"
        text = f"(ml.atomic_{name}(counters, ({place}), {value.text}) % {LIMIT})"
        return Number(text, frozenset({"int32"}), 0, LIMIT - 1, is_pure=False)

    def _component(self, depth: int) -> Number | None:
        size = self.rng.choice([2, 3, 4])
        vector = self.vector(depth - 1, size)
        if vector.is_float:
            return None
        return self.component(vector)

    def component(self, vector: Number) -> Number:
        """Draw a component of a vector."""
        place = self.rng.randrange(vector.size)
        forms = [f".{'xyzw'[place]}", f".{'rgba'[place]}", f"[{place}]", f"[{place - vector.size}]"]
        if vector.is_name:
            forms.append(f"[{self.pure().remainder(self.pure().integer(0), vector.size).text}]")
        return replace(vector, text=vector.text + self.rng.choice(forms), size=1, is_name=False, is_literal=False)

    # ---- Conditions ------------------------------------------------------------------------------------------------

    def comparable(self, left: Number, right: Number) -> bool:
        """Whether a comparison of two numbers compares what they are."""
        if left.is_integer and right.is_integer:
            return True
        kinds = {first if first == second else "float32" for first in left.types for second in right.types}
        return is_held(left, frozenset(kinds)) and is_held(right, frozenset(kinds))

    def varying(self, number: Number) -> Number:
        """Return a number, another one in place of a literal: what a literal decides has the type of one branch."""
        names = self.scope.named(self.scope.is_integer)
        if not number.is_literal or not names:
            return number
        chosen = self.rng.choice(names)
        return chosen.kind.number(chosen.text)

    def any_number(self, depth: int) -> Number:
        """Draw an integer or a float."""
        return self.integer(depth) if self.rng.random() < 0.7 else self.real(depth)

    def truth(self, depth: int) -> Number:
        """Draw a truth value."""
        parts = [self.any_number(depth - 1) for _ in range(self.rng.choice([2, 2, 2, 3, 4]))]
        parts[0] = self.varying(parts[0])
        if not all(self.comparable(*pair) for pair in itertools.pairwise(parts)):
            parts = [self.varying(self.integer(depth - 1)), self.integer(depth - 1)]
        text = parts[0].text + "".join(f" {self.rng.choice(COMPARISONS)} {each.text}" for each in parts[1:])
        form = self.rng.choice(["plain", "plain", "not", "in", "bool", "and", "or", "tuple", "vector", "items"])
        is_pure = all(each.is_pure for each in parts)
        if form == "in" and self.comparable(parts[0], parts[-1]):
            text = f"{parts[0].text} {self.rng.choice(['in', 'not in'])} (0, 1, {parts[-1].text})"
        elif form == "not":
            text = f"not ({text})"
        elif form == "bool":
            text = f"bool({parts[0].text})"
        elif form in ("and", "or"):
            other = self.truth(0)
            text, is_pure = f"({text}) {form} {other.text}", is_pure and other.is_pure
        elif form == "tuple":
            pairs = [self.integer(0) for _ in range(4)]
            sides = [f"({pairs[place].text}, {pairs[place + 1].text})" for place in (0, 2)]
            text, is_pure = f"{sides[0]} {self.rng.choice(COMPARISONS)} {sides[1]}", True
        elif form == "items":
            items = [self.varying(self.integer(0)) for _ in range(3)]
            text = f"{self.rng.choice(['any', 'all'])}(({', '.join(each.text for each in items)}))"
            is_pure = all(each.is_pure for each in items)
        elif form == "vector":
            size = self.rng.choice([2, 3, 4])
            left, right = self.vector(0, size), self.vector(0, size)
            if self.comparable(left, right):
                quantifier = self.rng.choice(["ml.any", "ml.all", "any", "all"])
                text, is_pure = f"{quantifier}({left.text} {self.rng.choice(COMPARISONS)} {right.text})", True
        return Number(f"({text})", frozenset({"bool"}), 0, 1, is_pure=is_pure)

    def condition(self, depth: int) -> Number:
        """Draw what is only tested."""
        if self.rng.random() < 0.25:
            return self.varying(self.any_number(depth))
        if self.rng.random() < 0.2:
            left, right = self.condition(depth - 1), self.condition(depth - 1)
            text = f"({left.text} {self.rng.choice(['and', 'or'])} {right.text})"
            return Number(text, frozenset({"bool"}), 0, 1, is_pure=left.is_pure and right.is_pure)
        return self.truth(depth)

    def fitted(self, number: Number, kind: object) -> Number | None:
        """Return a number as a value of a kind; implemented with the calls."""
        raise NotImplementedError

    def call(self, accepts: object, depth: int) -> Number | None:
        """Draw the call of a function; implemented with the calls."""
        raise NotImplementedError


def is_joinable(number: Number, kinds: frozenset[str]) -> bool:
    """Whether a variable of a kind keeps its types when a number is assigned to it."""
    return all(
        joined(replace(number, is_literal=False), Number("", frozenset({kind}), 0, 0)) <= kinds for kind in kinds
    )
