"""Vector expressions and calls of functions in generated kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .floats import FLOAT32, Floats
from .integers import COMPARISONS, is_joinable
from .numbers import INTEGERS, SIGNED, Number, arithmetic, holds, is_held, literal
from .scope import Kind, Tensor

if TYPE_CHECKING:
    from .scope import Function

PREFIXES = {"float32": "float", "int32": "int"}


class Expressions(Floats):
    """Draws every expression of a generated kernel."""

    # ---- Vectors ---------------------------------------------------------------------------------------------------

    def vector(self, depth: int, size: int) -> Number:
        """Draw a vector of a size, of float32 or int32."""
        if depth <= 0:
            return self._vector_leaf(size)
        name = self.rng.choice(["arithmetic", "arithmetic", "swizzle", "chosen", "changed", "constructed", "called"])
        found: Number | None = getattr(self, f"_{name}")(depth, size)
        return self._vector_leaf(size) if found is None or found.size != size else found

    def _vector_leaf(self, size: int) -> Number:
        names = self.scope.named(lambda each: each.kind.size == size)
        if names and self.rng.random() < 0.7:
            chosen = self.rng.choice(names)
            return chosen.kind.number(chosen.text)
        return self._constructed(0, size)

    def _constructed(self, depth: int, size: int) -> Number:
        kind = self.rng.choice(["float32", "int32"])
        parts = [self._component_for(kind, depth - 1) for _ in range(1 if self.rng.random() < 0.3 else size)]
        low, high = min(each.low for each in parts), max(each.high for each in parts)
        fine = max(each.fine for each in parts)
        texts = [each.text for each in parts]
        if size > 2 and len(texts) == size and self.rng.random() < 0.3:
            texts[:2] = [f"ml.{PREFIXES[kind]}2({texts[0]}, {texts[1]})"]
        is_pure = all(each.is_pure for each in parts)
        text = f"ml.{PREFIXES[kind]}{size}({', '.join(texts)})"
        return Number(text, frozenset({kind}), low, high, fine, size=size, is_pure=is_pure)

    def _component_for(self, kind: str, depth: int) -> Number:
        number = self.any_number(depth)
        if kind == "float32":
            bounded = self.bounded(number, 64, 3) if number.is_float or number.reach > 64 else number
            return literal(0.5) if bounded is None else bounded
        if number.is_float or not holds("int32", number.low, number.high):
            return literal(self.rng.randint(-9, 9))
        return number

    def _arithmetic(self, depth: int, size: int) -> Number | None:
        left = self.vector(depth - 1, size)
        right = self.vector(depth - 1, size) if self.rng.random() < 0.6 else self.any_number(0)
        if right.size == 1 and self.rng.random() < 0.4:
            left, right = right, left
        operator = self.rng.choice(["+", "-", "*", "//", "%", "&", "^", "maximum", "minimum"])
        if operator in ("+", "-", "*"):
            return arithmetic(operator, left, right)
        if operator in ("maximum", "minimum"):
            found = arithmetic("+", left, right, f"ml.{operator}({left.text}, {right.text})")
            return None if found is None else replace(found, types=found.types | (FLOAT32 if found.is_float else set()))
        if left.size == 1 or left.is_float:
            return None
        if operator in ("//", "%"):
            divisor = self.rng.choice([2, 3, -4, 7])
            return replace(left, text=f"({left.text} {operator} {divisor})", low=-left.reach - 7, high=left.reach + 7)
        if right.is_float or not right.types <= {"int32", "bool"}:
            return None
        reach = 1 << max(int(left.reach), int(right.reach), 1).bit_length()
        is_pure = left.is_pure and right.is_pure
        found = Number(f"({left.text} {operator} {right.text})", left.types, -reach, reach, size=size, is_pure=is_pure)
        return found if is_held(found, left.types) else None

    def _swizzle(self, depth: int, size: int) -> Number | None:
        vector = self.vector(depth - 1, self.rng.choice([2, 3, 4]))
        letters = self.rng.choice(["xyzw", "rgba"])[: vector.size]
        return replace(
            vector, text=f"{vector.text}.{''.join(self.rng.choice(letters) for _ in range(size))}", size=size,
            is_name=False,
        )  # fmt: skip

    def _chosen(self, depth: int, size: int) -> Number | None:
        left, right = self.vector(depth - 1, size), self.vector(depth - 1, size)
        if left.types != right.types:
            return None
        kinds = left.types
        first, second = self.vector(0, size), self.vector(0, size)
        test = self.condition(0)
        text = f"(({left.text} if {self.varying(test).text} else {right.text}) + 0)"
        is_pure = left.is_pure and right.is_pure and test.is_pure
        if self.comparable(first, second) and self.rng.random() < 0.7:
            test_text = f"{first.text} {self.rng.choice(COMPARISONS)} {second.text}"
            text = f"ml.where({test_text}, {left.text}, {right.text})"
            is_pure = left.is_pure and right.is_pure
        low, high = min(left.low, right.low), max(left.high, right.high)
        return Number(text, kinds, low, high, max(left.fine, right.fine), size=size, is_pure=is_pure)

    def _changed(self, depth: int, size: int) -> Number | None:
        number = self.vector(depth - 1, size)
        form = self.rng.choice(["(-{})", "abs({})", "ml.floor({})", "~{}", "(+{})", "ml.float{1}({0})"])
        kinds, fine = number.types, number.fine
        if form[0] == "~":
            if number.is_float:
                return None
        elif form.startswith("ml."):
            kinds = FLOAT32
            fine = 0 if "floor" in form else fine
        text = form.format(number.text, size)
        found = replace(
            number, text=text, types=kinds, low=-number.reach - 1, high=number.reach + 1, fine=fine, is_name=False
        )
        return found if is_held(found, kinds) else None

    def _called(self, depth: int, size: int) -> Number | None:
        return self.call(lambda kind: kind.size == size, depth)

    # ---- Values of a kind ------------------------------------------------------------------------------------------

    def fitted(self, number: Number, kind: Kind) -> Number | None:
        """Return a number as a value that a variable of a kind can take without a change of its type."""
        if number.size != kind.size:
            return None
        if kind.types == {"bool"}:
            return number if number.types == {"bool"} else number.with_text(f"({number.text} != 0)")
        if not kind.number("").is_float:
            return None if number.is_float else self._fitted_integer(number, kind)
        if kind.types & INTEGERS.keys():  # parameters that take both
            bounded = self.bounded(number, kind.high, kind.fine) if number.types & FLOAT32 else None
            return bounded if bounded is not None and bounded.types <= kind.types else None
        if kind.types == FLOAT32:
            if number.is_integer and number.reach > kind.high:
                return None
            return self.bounded(number, kind.high, kind.fine)
        name = next(iter(kind.types))
        if number.types == kind.types and number.reach <= kind.high and number.fine <= kind.fine:
            return number if not number.is_literal else None
        bounded = self.bounded(number, 4, kind.fine)
        if bounded is None:
            return None
        return replace(bounded, text=f"ml.{name}({bounded.text})", types=kind.types, is_name=False, is_literal=False)

    def _fitted_integer(self, number: Number, kind: Kind) -> Number | None:
        if number.size > 1:
            inside = kind.low <= number.low and number.high <= kind.high
            return number if inside and number.types <= {"int32", "bool"} else None
        if kind.types <= {"uint32", "uint64"}:
            name = next(iter(kind.types))
            tamed = (
                self.remainder(number, int(kind.high)) if not 0 <= number.low <= number.high <= kind.high else number
            )
            return Number(f"ml.{name}({tamed.text})", kind.types, 0, kind.high, is_pure=number.is_pure)
        tamed = self.tamed(number, kind.low, kind.high)
        if tamed.types <= kind.types and (tamed.is_literal or is_joinable(tamed, kind.types)):
            return tamed
        if tamed.is_literal or tamed.types <= SIGNED | {"uint32"}:
            name = "int32" if "int32" in kind.types else next(iter(kind.types))
            return Number(f"ml.{name}({tamed.text})", frozenset({name}), kind.low, kind.high, is_pure=number.is_pure)
        name = "int32" if "int32" in kind.types else "int64"
        return Number(f"ml.{name}({tamed.text})", frozenset({name}), kind.low, kind.high, is_pure=number.is_pure)

    def of_kind(self, kind: Kind, depth: int) -> Number:
        """Draw a value of a kind."""
        for _ in range(4):
            if kind.size > 1:
                number = self.vector(depth, kind.size)
                if number.is_float is not kind.number("").is_float:
                    continue
            else:
                number = self.real(depth) if kind.number("").is_float else self.integer(depth)
            found = self.fitted(number, kind)
            if found is not None:
                return found
        return self.plain(kind)

    def plain(self, kind: Kind) -> Number:
        """Return a literal of a kind."""
        name = sorted(kind.types)[0] if len(kind.types) == 1 else ""
        if kind.size > 1:
            return kind.number(f"ml.{kind.msl}({self.rng.randint(0, 9)})")
        if name == "bool":
            return literal(self.rng.random() < 0.5)
        if name in ("float32", "int64") or not name:
            return literal(self.rng.randint(0, 9))
        return kind.number(f"ml.{name}({self.rng.randint(0, 9)})")

    # ---- Calls -----------------------------------------------------------------------------------------------------

    def call(self, accepts: object, depth: int) -> Number | None:
        """Draw a call of a function whose result, or an item of it, has an accepted kind."""
        found = [
            (function, place)
            for function in self.scope.functions
            for place, kind in enumerate(function.result)
            if accepts(kind) and (function.is_pure or self.scope.has_effects) and self.can_call(function)  # type: ignore[operator]
        ]
        if not found:
            return None
        function, place = self.rng.choice(found)
        text, is_pure = self.called(function, depth)
        kind = function.result[place]
        if len(function.result) > 1:
            text += f"[{place}]"
        return replace(kind.number(text), is_pure=is_pure, is_name=False)

    def can_call(self, function: Function) -> bool:
        """Whether the tensors that a function takes are at hand."""
        names = {each.name for each in self.scope.tensors}
        return all(each.name in names for each in function.parameters if isinstance(each, Tensor))

    def called(self, function: Function, depth: int) -> tuple[str, bool]:
        """Return the text of a call, and whether it changes nothing."""
        arguments: list[str] = []
        is_pure = function.is_pure
        given = len(function.parameters) - (self.rng.randint(0, function.defaults) if function.defaults else 0)
        for parameter, name in zip(function.parameters[:given], function.names, strict=False):
            if isinstance(parameter, Tensor):
                arguments.append(parameter.name)
                continue
            number = self.of_kind(parameter, min(depth - 1, 1))
            if number.text == "point":  # a tensor, which a function cannot assign a number to
                number = number.with_text("(point + 0)")
            is_pure = is_pure and number.is_pure
            is_keyword = len(arguments) >= 1 and ("=" in arguments[-1] or self.rng.random() < 0.1)
            arguments.append(f"{name}={number.text}" if is_keyword else number.text)
        return f"{function.name}({', '.join(arguments)})", is_pure
