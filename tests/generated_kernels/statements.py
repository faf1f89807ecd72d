"""Statements of generated kernels and of the functions that they call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .numbers import INTEGERS, literal
from .scope import FLOAT, INTEGER, LIMIT, SCALARS, TRUTH, UNSIGNED, VECTORS, Kind, Variable
from .vectors import Expressions

if TYPE_CHECKING:
    import random

    from .scope import Scope, Tensor

AUGMENTED = ("+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>", "**")
# The variable of an unrolled loop over literals is the literal: it takes the type of what it meets.
WRITTEN_FLOAT = Kind(frozenset({"float32", "float16", "bfloat16"}), -2, 2, 2)
MOST_TURNS = 60  # of all loops around a statement, multiplied


@dataclass
class Statements:
    """Draws blocks.

    Attributes:
        rng: where choices come from.
        lines: what was drawn so far.
        result: the kinds that a function returns; None in a kernel.
        turns: how often the current statement runs at most.
        budget: statements that may still be drawn.
        returns: whether the current statement may end the kernel or function.
    """

    rng: random.Random
    lines: list[str] = field(default_factory=list)
    result: tuple[Kind, ...] | None = None
    turns: int = 1
    budget: int = 30
    returns: bool = True
    _names: int = 0

    def fresh(self, prefix: str) -> str:
        """Return a name that is not used yet."""
        self._names += 1
        return f"{prefix}{self._names}"

    def depth(self) -> int:
        """Draw how deep an expression is."""
        return self.rng.choice([0, 1, 1, 2, 2, 3])

    def block(self, scope: Scope, pad: str, depth: int, in_loop: str = "") -> None:
        """Draw some statements; ``in_loop`` says what the innermost loop is."""
        before = len(self.lines)
        for _ in range(self.rng.randint(1, 4)):
            self.budget -= 1
            simple = ["assign"] * 5 + [
                "augmented",
                "augmented",
                "local",
                "several",
                "tuple",
                "store",
                "store",
                "vector",
            ]
            simple += ["component", "call", "check", "update"]
            nested = ["branches"] * 3 + ["counted", "counted", "waiting", "unrolled", "either"]
            name = self.rng.choice(simple + nested if depth and self.budget > 0 else simple)
            getattr(self, f"_{name}")(Expressions(scope), pad, *((depth, in_loop) if name in nested else ()))
        if len(self.lines) == before:
            self.lines.append(f"{pad}pass")
        if in_loop and self.rng.random() < 0.12:
            self.lines.append(f"{pad}{self.rng.choice(['break', 'continue'])}")
        elif self.returns and depth < 3 and self.rng.random() < 0.06 and len(pad) > 4:
            self.ending(scope, pad)

    def ending(self, scope: Scope, pad: str) -> None:
        """Draw a `return`."""
        if self.result is None:
            self.lines.append(f"{pad}return")
            return
        values = [Expressions(scope).of_kind(kind, self.depth()).text for kind in self.result]
        self.lines.append(f"{pad}return {', '.join(values)}")

    # ---- Simple statements -----------------------------------------------------------------------------------------

    def _assign(self, draw: Expressions, pad: str) -> None:
        names = draw.scope.named(lambda each: each.is_assignable and each.kind.size == 1)
        if not names:
            self._check(draw, pad)
            return
        variable = self.rng.choice(names)
        self.lines.append(f"{pad}{variable.text} = {draw.of_kind(variable.kind, self.depth()).text}")

    def _augmented(self, draw: Expressions, pad: str) -> None:
        names = [
            each for each in draw.scope.named(draw.scope.is_integer) if each.is_assignable and each.kind == INTEGER
        ]
        floats = [each for each in draw.scope.named(draw.scope.is_float) if each.is_assignable and each.kind == FLOAT]
        if floats and self.rng.random() < 0.3:
            name = self.rng.choice(floats).text
            operator, value = self.rng.choice([("+", "0.5"), ("-", "3"), ("*", "-0.25"), ("/", "4"), ("%", "7")])
            self.lines += [f"{pad}{name} {operator}= {value}", f"{pad}{name} = ml.floor({name} % 64.0)"]
            return
        if not names:
            return
        name = self.rng.choice(names).text
        operator = self.rng.choice(AUGMENTED)
        number = draw.tamed(draw.integer(self.depth()), -LIMIT, LIMIT)
        if operator in ("//", "%"):
            number = draw.divisor(1)
        elif operator in ("<<", ">>", "**"):
            number = literal(self.rng.randint(0, {"<<": 8, ">>": 40, "**": 2}[operator]))
        if number.types & {"uint32", "uint64", "int64"}:
            number = number.with_text(f"ml.int32({draw.tamed(number, 0, LIMIT).text})")
        if operator == "**" and self.rng.random() < 0.5:
            self.lines.append(f"{pad}{name} %= 9")
        self.lines += [f"{pad}{name} {operator}= {number.text}", f"{pad}{name} %= {LIMIT}"]

    def _local(self, draw: Expressions, pad: str) -> None:
        kind = self.rng.choice(SCALARS)
        name = self.fresh("t")
        number = draw.of_kind(kind, self.depth())
        annotation = ""
        if len(kind.types) == 1 and self.rng.random() < 0.3:
            (only,) = kind.types
            annotation = f": {'bool' if only == 'bool' else f'ml.{only}'}"
        elif kind.types != INTEGER.types and number.types != kind.types:
            # A literal by itself has the type of its value.
            number = number.with_text(f"ml.{'bool_' if kind == TRUTH else next(iter(kind.types))}({number.text})")
        self.lines.append(f"{pad}{name}{annotation} = {number.text}")
        draw.scope.variables.append(Variable(name, kind))

    def _several(self, draw: Expressions, pad: str) -> None:
        names = draw.scope.named(lambda each: each.is_assignable)
        chosen = {each.text: each for each in self.rng.sample(names, min(len(names), self.rng.choice([2, 2, 3])))}
        if len(chosen) < 2 or any(each.kind.size > 1 for each in chosen.values()):
            return
        kinds = {each.kind for each in chosen.values()}
        if len(kinds) == 1 and self.rng.random() < 0.5:
            values = list(chosen)[1:] + list(chosen)[:1]
        elif self.rng.random() < 0.3:
            values = [draw.of_kind(next(iter(chosen.values())).kind, 1).text]
            if len(kinds) == 1:
                self.lines.append(f"{pad}{' = '.join(chosen)} = {values[0]}")
                return
            values = [draw.of_kind(each.kind, 1).text for each in chosen.values()]
        else:
            values = [draw.of_kind(each.kind, self.depth()).text for each in chosen.values()]
        self.lines.append(f"{pad}{', '.join(chosen)} = {', '.join(values)}")

    def _tuple(self, draw: Expressions, pad: str) -> None:
        """Assign a tuple to a name, or take one apart."""
        functions = [
            each for each in draw.scope.functions
            if len(each.result) > 1 and (each.is_pure or draw.scope.has_effects) and draw.can_call(each)
        ]  # fmt: skip
        held = sorted({each.text.split("[")[0] for each in draw.scope.variables if each.text.endswith("]")})
        if held and self.rng.random() < 0.5:
            name = self.rng.choice(held)
            items = [each for each in draw.scope.variables if each.text.startswith(f"{name}[")]
            if all(each.kind == items[0].kind for each in items) and self.rng.random() < 0.4:
                texts = [each.text for each in reversed(items)]
            else:
                texts = [draw.of_kind(each.kind, 1).text for each in items]
            value = f"({', '.join(texts)})"
            if self.rng.random() < 0.3:
                others = [draw.of_kind(each.kind, 0).text for each in items]
                value = f"{value} if {draw.pure().truth(1).text} else ({', '.join(others)})"
            self.lines.append(f"{pad}{name} = {value}")
            return
        name = self.fresh("p")
        if functions:
            function = self.rng.choice(functions)
            kinds, text = function.result, draw.called(function, 1)[0]
        else:
            kinds = tuple(self.rng.choice([INTEGER, FLOAT, TRUTH]) for _ in range(self.rng.choice([2, 3])))
            text = f"({', '.join(self._typed(draw, kind) for kind in kinds)})"
        if self.rng.random() < 0.5:
            names = [self.fresh("q") for _ in kinds]
            self.lines.append(f"{pad}{', '.join(names)} = {text}")
            draw.scope.variables += [Variable(each, kind) for each, kind in zip(names, kinds, strict=True)]
            return
        self.lines.append(f"{pad}{name} = {text}")
        draw.scope.variables += [Variable(f"{name}[{place}]", kind, False) for place, kind in enumerate(kinds)]

    def _typed(self, draw: Expressions, kind: Kind) -> str:
        number = draw.of_kind(kind, 1)
        if number.types <= kind.types and not (kind == FLOAT and number.is_literal):
            return number.text
        return f"ml.{'bool_' if kind == TRUTH else next(iter(kind.types))}({number.text})"

    def _vector(self, draw: Expressions, pad: str) -> None:
        kind = self.rng.choice(VECTORS)
        names = [each for each in draw.scope.named(lambda each: each.kind == kind) if each.is_assignable]
        name = self.rng.choice(names).text if names and self.rng.random() < 0.6 else self.fresh("v")
        number = draw.of_kind(kind, self.rng.choice([1, 2, 2]))
        self.lines.append(f"{pad}{name} = ml.{kind.msl}({number.text})")
        if not any(each.text == name for each in draw.scope.variables):
            draw.scope.variables.append(Variable(name, kind))

    def _component(self, draw: Expressions, pad: str) -> None:
        names = [each for each in draw.scope.variables if each.kind.size > 1 and each.is_assignable]
        if not names:
            return
        vector = self.rng.choice(names)
        element = Kind(vector.kind.types, vector.kind.low, vector.kind.high, vector.kind.fine)
        letters = "xyzw"[: vector.kind.size]
        if self.rng.random() < 0.4:
            letters = "".join(self.rng.sample(letters, 2))
            kind = next(each for each in VECTORS if each.size == 2 and each.types == vector.kind.types)
            self.lines.append(f"{pad}{vector.text}.{letters} = {draw.of_kind(kind, 1).text}")
            return
        place = self.rng.randrange(vector.kind.size)
        target = self.rng.choice([f"{vector.text}.{letters[place]}", f"{vector.text}[{place}]"])
        self.lines.append(f"{pad}{target} = {draw.of_kind(element, 1).text}")

    def _call(self, draw: Expressions, pad: str) -> None:
        """Call a function for its effect, or change a counter."""
        changing = [each for each in draw.scope.functions if not each.is_pure and draw.can_call(each)]
        if changing and self.rng.random() < 0.6:
            self.lines.append(f"{pad}{draw.called(self.rng.choice(changing), 2)[0]}")
            return
        counters = [each for each in draw.scope.tensors if each.name == "totals"]
        if counters:
            name = self.rng.choice(["add", "sub"])
            value = draw.tamed(draw.integer(1), 0, 31)
            place = draw.index(4, 1)
            self.lines.append(f"{pad}ml.atomic_{name}(totals, {place.text}, ml.int32({value.text}))")

    def _check(self, draw: Expressions, pad: str) -> None:
        names = draw.scope.named(draw.scope.is_integer)
        if names:
            variable = self.rng.choice(names)
            self.lines.append(f'{pad}assert {variable.text} <= {int(variable.kind.high)}, f"{{{variable.text}}}"')
        else:
            self.lines.append(f"{pad}pass")

    # ---- Stores ----------------------------------------------------------------------------------------------------

    def _place(self, draw: Expressions, tensor: Tensor) -> str:
        assert draw.scope.row is not None
        return (
            f"{tensor.name}[{', '.join([draw.scope.row.text, *(draw.index(size).text for size in tensor.shape[1:])])}]"
        )

    def _store(self, draw: Expressions, pad: str) -> None:
        tensors = [each for each in draw.scope.tensors if each.is_written and each.name not in ("totals", "counters")]
        if not tensors or draw.scope.row is None:
            return
        tensor = self.rng.choice(tensors)
        if tensor.name == "rough":
            text = draw.rough()
        elif tensor.dtype in INTEGERS:
            number = draw.integer(self.depth())
            if not (tensor.low <= number.low and number.high <= tensor.high) or tensor.dtype == "bool":
                name = "bool_" if tensor.dtype == "bool" else tensor.dtype
                text = f"ml.{name}({draw.tamed(number, min(tensor.low, 0), tensor.high).text})"
            else:
                text = number.text
        else:
            bounded = draw.bounded(draw.any_number(self.depth()), tensor.high, tensor.fine)
            text = "1.5" if bounded is None else bounded.text
        self.lines.append(f"{pad}{self._place(draw.pure(), tensor)} = {text}")

    def _update(self, draw: Expressions, pad: str) -> None:
        """Change an element in place."""
        tensors = [each for each in draw.scope.tensors if each.is_written and each.name == "out"]
        if not tensors or draw.scope.row is None:
            return
        place = self._place(draw.pure(), tensors[0])
        number = draw.tamed(draw.integer(self.depth()), 0, LIMIT)
        if number.types & {"uint32", "uint64", "int64"}:
            number = number.with_text(f"ml.int32({number.text})")
        operator = self.rng.choice(["+", "-", "*", "|", "&", "^", "%", "//"])
        text = f"({number.text} or 7)" if operator in ("%", "//") else number.text
        # What was stored there may be as large as an int32 is.
        small = f"{pad}{place} %= {LIMIT}"
        self.lines += [small, f"{pad}{place} {operator}= {text}", small]

    # ---- Branches and loops ----------------------------------------------------------------------------------------

    def _branches(self, draw: Expressions, pad: str, depth: int, in_loop: str) -> None:
        scope = draw.scope
        self.lines.append(f"{pad}if {draw.condition(2).text}:")
        self.block(scope.inner(), pad + "    ", depth - 1, in_loop)
        if self.rng.random() < 0.3:
            self.lines.append(f"{pad}elif {draw.condition(1).text}:")
            self.block(scope.inner(), pad + "    ", depth - 1, in_loop)
        if self.rng.random() < 0.5:
            self.lines.append(f"{pad}else:")
            self.block(scope.inner(), pad + "    ", depth - 1, in_loop)

    def _either(self, draw: Expressions, pad: str, depth: int, in_loop: str) -> None:
        """Assign a new name in both branches."""
        del depth, in_loop
        kind, name = self.rng.choice([INTEGER, FLOAT, TRUTH, UNSIGNED]), self.fresh("e")
        self.lines.append(f"{pad}if {draw.condition(1).text}:")
        self.lines.append(f"{pad}    {name} = {self._typed(draw, kind)}")
        self.lines += [f"{pad}else:", f"{pad}    {name} = {self._typed(draw, kind)}"]
        draw.scope.variables.append(Variable(name, kind))

    def _counted(self, draw: Expressions, pad: str, depth: int, in_loop: str) -> None:
        scope = draw.scope
        known = [each for each in scope.variables if each.text in ("j", "k")]
        name = self.rng.choice([*(each.text for each in known), self.fresh("j")])
        starts, stops = ["0", "3", "-2", "n"], ["5", "n", "4"]
        small = draw.tamed(draw.integer(1), 0, 5)
        bound = self.rng.choice([*stops, f"ml.int32({small.text})"])
        step = self.rng.choice(["", ", 1", ", 2", ", -1", ", -3", ", n - 20"])
        is_short = self.turns * 7 > MOST_TURNS
        if is_short:
            starts, bound, step = ["0", "1"], "2", self.rng.choice(["", ", 1"])
        if not any(each.text == "n" for each in scope.variables):
            starts = [each for each in starts if each != "n"]
            bound = bound.replace("n", "4") if bound == "n" else bound
            step = ", -2" if "n" in step else step
        header = f"{self.rng.choice(starts)}, {bound}{step}" if self.rng.random() < 0.8 else bound
        if name in ("j", "k") and not is_short and self.rng.random() < 0.3:
            own = f"ml.int32({name} % 5)"
            header = self.rng.choice([own, f"{own}, 6", f"0, {own}, 2", f"{own}, {own} + 3", f"{own}, -1, -1"])
        self.lines.append(f"{pad}for {name} in range({header}):")
        inner = scope.inner()
        if name not in ("j", "k"):
            inner.variables.append(Variable(name, INTEGER, self.rng.random() < 0.3))
        self._loop_body(scope, inner, pad, depth, "for", 2 if is_short else 7)
        del in_loop

    def _loop_body(self, scope: Scope, inner: Scope, pad: str, depth: int, loop: str, most: int) -> None:
        self.turns *= most
        self.block(inner, pad + "    ", depth - 1, loop)
        self.turns //= most
        if self.rng.random() < 0.25:
            self.lines.append(f"{pad}else:")
            self.block(scope.inner(), pad + "    ", depth - 1, "")

    def _waiting(self, draw: Expressions, pad: str, depth: int, in_loop: str) -> None:
        del in_loop
        scope, name = draw.scope, self.fresh("w")
        most = 4 if self.turns * 4 <= MOST_TURNS else 1
        test = draw.pure().condition(1).text
        form = self.rng.choice(["count", "count", "test", "endless"])
        self.lines.append(f"{pad}{name} = {self.rng.randint(0, most)}")
        header = {"count": f"{name} > 0", "test": f"{name} > 0 and ({test})", "endless": "True"}[form]
        self.lines += [f"{pad}while {header}:", f"{pad}    {name} -= 1"]
        if form == "endless":
            self.lines += [f"{pad}    if {name} < 0 or ({test}):", f"{pad}        break"]
        inner = scope.inner()
        inner.variables.append(Variable(name, Kind(INTEGER.types, -1, 4), False))
        self._loop_body(scope, inner, pad, depth, "while", max(most, 1))

    def _unrolled(self, draw: Expressions, pad: str, depth: int, in_loop: str) -> None:
        """A loop over a tuple: of numbers, of pairs, or of what enumerate, zip and reversed make of tuples."""
        del in_loop
        scope = draw.scope
        name, other = self.fresh("item"), self.fresh("item")
        count = self.rng.randint(1, 3) if self.turns * 3 <= MOST_TURNS else 1
        numbers = [literal(self.rng.randint(-9, 9)) for _ in range(count)]
        floats = [literal(self.rng.randint(-8, 8) / 4) for _ in range(count)]
        if self.rng.random() < 0.4:
            # An effect cannot be reversed.
            numbers = [draw.pure().of_kind(INTEGER, 1) for _ in range(count)]
        first, second = (f"({', '.join(each.text for each in side)},)" for side in (numbers, floats))
        form = self.rng.choice(["plain", "pairs", "enumerate", "zip", "reversed"])
        kinds = [INTEGER] if form in ("plain", "reversed") else [INTEGER, WRITTEN_FLOAT]
        items = {
            "plain": first,
            "pairs": f"({', '.join(f'({a.text}, {b.text})' for a, b in zip(numbers, floats, strict=True))},)",
            "enumerate": f"enumerate({second})",
            "zip": f"zip({first}, {second})",
            "reversed": f"reversed({first})",
        }[form]
        names = [name, other][: len(kinds)]
        existing = [each for each in scope.variables if each.text in ("j", "k")]
        if existing and self.rng.random() < 0.4:
            names[0] = self.rng.choice(existing).text if form != "enumerate" else names[0]
        self.lines.append(f"{pad}for {', '.join(names)} in {items}:")
        inner = scope.inner()
        inner.variables += [Variable(each, kind, False) for each, kind in zip(names, kinds, strict=True)]
        self._loop_body(scope, inner, pad, depth, "unrolled", count)
