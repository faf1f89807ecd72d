"""The work of a threadgroup on its tiles, statement by statement; :mod:`~helion_msl._helion.cooperative` says how."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from helion import exc
from helion._compiler.device_function import TensorArg

from helion_msl._helion import slices
from helion_msl._helion.elements import WHOLE, Elements, Limits, canonical, loop
from helion_msl._helion.flow import Flow, exposed
from helion_msl._helion.markers import AT_MARKER, FOLD_MARKER, MATMUL_MARKER, SCAN_MARKER
from helion_msl._helion.products import NotASumError, Region, Term, match_loop
from helion_msl._helion.regions import Regions
from helion_msl._helion.statements import assignment, innermost_marker, is_exchange, is_store, is_zero, store_target
from helion_msl._helion.tile_reductions import TileReductions
from helion_msl._helion.types_of_text import Types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from helion._compiler.device_function import DeviceFunction

    from helion_msl._helion.elements import Array, Dimension


@dataclasses.dataclass
class Scope:
    """What is known at a place of the kernel.

    Attributes:
        pure: statements of single elements that later ones may depend on, in their order.
    """

    pure: list[ast.stmt]


class TileProgram:
    """Writes the statements of a threadgroup for those of an element.

    Args:
        fn: the kernel.
        statements: all of them, in the form that Helion generates.
        limits: how large the parts of tiles may be.

    Attributes:
        elements: the tiles; their memory says how much the kernel takes.
    """

    def __init__(self, fn: DeviceFunction, statements: list[ast.stmt], limits: Limits) -> None:
        self.fn = fn
        self.elements = Elements(fn, limits)
        self.regions = Regions(self.elements)
        self.reductions = TileReductions(self.elements)
        tensors = {
            argument.name: argument.fake_value.dtype for argument in fn.arguments if isinstance(argument, TensorArg)
        }
        self.types = Types(statements, tensors)
        self.flow = Flow(statements, {name: dim.block for name, dim in self.elements.by_index.items()}, canonical)
        assigned = [name for statement in statements for name in slices.names(statement, ast.Store)]
        self.reassigned = {name for name in self.flow.varying if assigned.count(name) > 1}
        self._stored: set[str] = set()
        self._stored_before: dict[int, set[str]] = {}
        self._synchronized: set[str] = set()

    # ---- statements -----------------------------------------------------------------------------------------------

    def block(
        self,
        statements: Sequence[ast.stmt],
        scope: Scope,
        after: set[str],
        end: Callable[[], list[ast.stmt]] = list,
        may_divide: bool = True,
    ) -> list[ast.stmt]:
        """The threadgroup's statements for those of an element; in loops over parts of the tile where it is large.

        Args:
            statements: what is to be done.
            scope: what is known before.
            after: names that are read behind the statements.
            end: returns what is to be done last, inside the loops over parts.
            may_divide: whether there may be such loops.
        """
        own = [self.elements.by_index[name] for statement in statements if (name := self._declared(statement))]
        divided: list[Dimension] = []
        loops = []
        for dimension in dict.fromkeys(own) if may_divide else ():
            around = self.elements.divide(dimension, self._limit(dimension, statements))
            if around is not None:
                divided.append(dimension)
                loops.append(around)
        body = [*self._statements(statements, scope, after), *end()]
        if loops:
            body += self.elements.memory.synchronize()
        for name, size, step in reversed(loops):
            body = [loop(name, f"range(0, {size}, {step})", body)]
        self.elements.undivide(divided)
        return body

    def _limit(self, dimension: Dimension, statements: Sequence[ast.stmt]) -> int:
        """How many elements of a dimension are done at once."""
        limits = self.elements.limits
        if dimension.block in self.flow.whole:
            return WHOLE
        if dimension.block in self.flow.matrix:
            return limits.matrix
        if any(next(slices.calls(statement, MATMUL_MARKER), None) is not None for statement in statements):
            return 1
        return limits.other if limits.other != 1 or not self.flow.matrix else WHOLE

    def _declared(self, statement: ast.stmt) -> str | None:
        """The index variable of a dimension that a statement assigns."""
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            return name if name in self.elements.by_index else None
        return None

    def _statements(self, statements: Sequence[ast.stmt], scope: Scope, after: set[str]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        stores: list[ast.Expr] = []

        def flush(later: Sequence[ast.stmt]) -> None:
            if not stores:
                return
            out.extend(self._settle(scope, {self._tensor(store) for store in stores}, slices.reads(*later) | after))
            out.extend(self._store(stores, scope))
            self._stored |= {self._tensor(store) for store in stores}
            self._synchronized -= {self._tensor(store) for store in stores}
            stores.clear()

        for number, statement in enumerate(statements):
            rest = statements[number + 1 :]
            index = self._declared(statement)
            if index is not None:
                self.elements.enter(index)
                continue
            loaded = self._loads_of(statement)
            if loaded & {self._tensor(store) for store in stores}:
                flush(statements[number:])
            out += self._see_stores(loaded)
            if is_store(statement):
                lines, store = self._operands(statement, scope)
                assert isinstance(store, ast.Expr)
                out += lines
                stores.append(store)
                continue
            if is_exchange(statement):
                flush(statements[number:])
                out += self._exchange(statement, scope)
                continue
            if isinstance(statement, ast.For | ast.While | ast.If):
                if self._has_effect(statement) or self._carries(statement):
                    flush(statements[number:])
                    out += self._compound(statement, scope, slices.reads(*rest) | after)
                elif self._is_uniform(statement):
                    out.append(statement)
                else:
                    self._remember(statement, scope)
            elif isinstance(statement, ast.Expr):
                if isinstance(statement.value, ast.Call) and ast.unparse(statement.value.func) == "tl.debug_barrier":
                    flush(statements[number:])
                    out.append(statement)
            elif self._is_uniform(statement):
                out += self._settle(scope, set(), slices.reads(*rest) | after, slices.writes(statement))
                out.append(statement)
            else:
                if innermost_marker(statement) is not None:
                    flush(statements[number:])
                lines, value = self._operands(statement, scope)
                out += lines
                self._remember(value, scope)
        flush([])
        return out

    def _see_stores(self, loaded: set[str]) -> list[ast.stmt]:
        """The barrier before loads from tensors that the kernel has written."""
        if not (loaded & self._stored) - self._synchronized:
            return []
        self.elements.memory.synchronized()
        self._synchronized |= self._stored
        return ast.parse('ml.barrier("all")').body

    def _operands(self, statement: ast.stmt, scope: Scope) -> tuple[list[ast.stmt], ast.stmt]:
        """Does the reductions and products of a statement of single elements; returns that, and what is left of it."""
        out: list[ast.stmt] = []
        replaced = statement
        while True:
            marker = innermost_marker(replaced)
            if marker is None:
                break
            name = ast.unparse(marker.func)
            self._check_order(scope.pure, [marker])
            if name == MATMUL_MARKER:
                region = Region(None, [], [Term("", marker, marker)])
                code = self.regions.region(region, scope.pure, [])
                out += code.statements
                result = code.products[""]
            elif name == AT_MARKER:
                result = self._elsewhere(marker, scope)
            else:
                emit = self.reductions.scan if name in (SCAN_MARKER, FOLD_MARKER) else self.reductions.reduce
                code_statements, result = emit(marker, scope.pure)
                out += code_statements
            replaced = slices.replaced(replaced, marker, result)
        return out, replaced

    def _elsewhere(self, marker: ast.Call, scope: Scope) -> ast.expr:
        """The value of the element at another place along a dimension, computed from the statements that it needs."""
        value, block, place = marker.args
        dimension = self.elements.dimension(ast.literal_eval(block))
        assert dimension is not None
        cone = slices.backward(scope.pure, slices.reads(value))
        replacements: dict[str, str | ast.expr] = {}
        name = self.elements.new_name("place")
        for statement in [
            assignment(name, ast.unparse(place)),
            *self.elements.bind(dimension, name, replacements),
            *slices.fresh(cone, replacements, self.elements.new_name),
        ]:
            self._remember(statement, scope)
        renamed: ast.expr = slices.renamed(value, replacements)
        return renamed

    def _remember(self, statement: ast.stmt, scope: Scope) -> None:
        self._stored_before[id(statement)] = set(self._stored)
        scope.pure.append(statement)

    def _is_uniform(self, statement: ast.stmt) -> bool:
        return not (slices.writes(statement) | slices.reads(statement)) & self.flow.varying

    def _carries(self, statement: ast.stmt) -> bool:
        """Whether a loop goes over tiles."""
        if not isinstance(statement, ast.For | ast.While):
            return False
        parts = [part for part in ast.walk(statement) if isinstance(part, ast.stmt)]
        return any(self._declared(part) for part in parts)

    def _has_effect(self, statement: ast.stmt) -> bool:
        return any(
            is_store(part) or is_exchange(part) or innermost_marker(part) is not None
            for part in ast.walk(statement)
            if isinstance(part, ast.stmt)
        )

    # ---- loops and branches -----------------------------------------------------------------------------------------

    def _compound(self, statement: ast.For | ast.While | ast.If, scope: Scope, after: set[str]) -> list[ast.stmt]:
        """A loop over tiles, or a branch that the whole threadgroup takes."""
        entered = self.elements.state()
        try:
            if isinstance(statement, ast.For):
                region = self._region(statement)
                if region is not None:
                    return self._multiply(region, scope)
            return self._nested(statement, scope, after)
        finally:
            self.elements.restore(entered)

    def _region(self, statement: ast.For) -> Region | None:
        """The products that a loop only adds up."""
        marker = next(slices.calls(statement, MATMUL_MARKER), None)
        if marker is None:
            return None
        inner = self.elements.dimension(Term("", marker, marker).blocks[2])
        declared = [name for part in statement.body if (name := self._declared(part))]
        if [self.elements.by_index[name] for name in declared] != [inner]:
            return None
        try:
            return match_loop(statement, self.reassigned)
        except NotASumError:
            return None

    def _multiply(self, region: Region, scope: Scope) -> list[ast.stmt]:
        inner = Scope([*scope.pure])
        uniform: list[ast.stmt] = []
        for statement in region.statements:
            index = self._declared(statement)
            if index is not None:
                self.elements.enter(index)
            elif self._is_uniform(statement):
                uniform.append(statement)
            else:
                self._remember(statement, inner)
        for term in region.terms:
            self._check_order(inner.pure, [term.marker])
        code = self.regions.region(region, inner.pure, uniform)
        for name, product in code.products.items():
            initial = None
            if not is_zero(scope.pure, name):
                initial = self.fn.new_var(f"{name}_initial")
                self.types.same(initial, name)
                scope.pure[:] = [self._renamed(part, name, initial) for part in scope.pure]
            self._remember(region.result(name, initial, product), scope)
        return code.statements

    def _nested(self, statement: ast.For | ast.While | ast.If, scope: Scope, after: set[str]) -> list[ast.stmt]:
        if isinstance(statement, ast.While):
            raise exc.BackendUnsupported("metal", "a while loop in a kernel whose threads work together on a tile")
        is_loop = isinstance(statement, ast.For)
        same_for_all = slices.writes(*statement.body, *statement.orelse) - self.flow.varying
        out = self._settle(scope, self._stores_of(statement), after | exposed([statement]), same_for_all)
        known = {name for part in scope.pure for name in slices.writes(part)}
        wanted = after | (exposed(statement.body) if is_loop else set())
        written = slices.writes(*statement.body, *statement.orelse) & wanted & self.flow.varying
        # A branch may be the first to give a name its value.
        carried = sorted(written & known if is_loop else written)
        arrays: dict[str, Array] = {}
        for name in carried:
            dimensions = self.elements.ordered(self.flow.blocks(name))
            array = arrays[name] = self.elements.array(name, dimensions, self.types.of_name(name))
            if name in known:
                out += self.elements.each(dimensions, scope.pure, [assignment(array.element, name)])
            self._remember(assignment(name, array.element), scope)
        header = statement.iter if isinstance(statement, ast.For) else statement.test
        lines, header = self._same_for_all(header, scope, "the bounds of a loop" if is_loop else "a condition")
        out += lines
        entered = self.elements.state()
        mark = self.elements.memory.mark()
        inside = after | (slices.reads(statement) if is_loop else set())
        body = self._branch(statement.body, scope, inside, arrays, is_loop)
        loaded = self._loads_of(statement)
        if is_loop and loaded & self._stores_of(statement):
            # The next iteration reads what this one has written.
            body += ast.parse('ml.barrier("all")').body
            self.elements.memory.synchronized()
        self.elements.restore(entered)
        self.elements.memory.release(mark)
        if isinstance(statement, ast.For):
            return [*out, ast.For(target=statement.target, iter=header, body=body or [ast.Pass()], orelse=[])]
        orelse = self._branch(statement.orelse, scope, inside, arrays, is_loop)
        self.elements.restore(entered)
        self.elements.memory.release(mark)
        return [*out, ast.If(test=header, body=body or [ast.Pass()], orelse=orelse)]

    def _branch(
        self, statements: Sequence[ast.stmt], scope: Scope, after: set[str], arrays: dict[str, Array], is_loop: bool
    ) -> list[ast.stmt]:
        """The body of a loop or branch, which ends with writing what it carries to its arrays."""
        inner = Scope([*scope.pure])
        current: dict[str, str] = {}
        body: list[ast.stmt] = []
        for statement in statements:
            written = [name for name in arrays if name in slices.writes(statement)]
            renamed: ast.stmt = statement
            if written and not isinstance(statement, ast.Assign):
                # The statement starts from the value so far, and leaves its own under a new name.
                for name in written:
                    fresh = self._fresh(name)
                    body.append(assignment(fresh, current.get(name, name)))
                    current[name] = fresh
                renamed = slices.renamed(statement, current)
            elif written or current:
                renamed = slices.renamed(statement, {k: v for k, v in current.items() if k not in written})
                if isinstance(renamed, ast.Assign) and written:
                    value = slices.renamed(statement.value, current)  # type: ignore[attr-defined]
                    for name in written:
                        current[name] = self._fresh(name)
                    renamed = ast.Assign([slices.renamed(statement.targets[0], current)], value, lineno=0)  # type: ignore[attr-defined]
            body.append(renamed)
        wanted = (after - set(arrays)) | set(current.values())
        # An array that a loop carries has room for whole tiles, or for parts that are outside of the loop.
        may_divide = is_loop and not arrays
        out = self.block(body, inner, wanted, lambda: self._assign(current, arrays, inner), may_divide)
        return [*out, *self.elements.memory.synchronize()]

    def _loads_of(self, statement: ast.stmt) -> set[str]:
        """The tensors that a statement reads."""
        return {self._tensor(load) for load in slices.calls(statement, "tl.load")}

    def _stores_of(self, statement: ast.stmt) -> set[str]:
        """The tensors that a statement writes."""
        return {self._tensor(part) for part in ast.walk(statement) if is_store(part)}

    def _fresh(self, name: str) -> str:
        new: str = self.fn.new_var(name)
        self.types.same(new, name)
        self.flow.same(new, name)
        return new

    def _assign(self, values: dict[str, str], arrays: dict[str, Array], scope: Scope) -> list[ast.stmt]:
        """Give carried arrays their values for the next iteration, all at once."""
        waiting = dict(values)
        out: list[ast.stmt] = []
        while waiting:
            needs = {name: self._arrays_read(value, scope) for name, value in waiting.items()}
            ready = next(
                (
                    name
                    for name in waiting
                    if not any(arrays[name].name in needs[other] for other in waiting if other != name)
                ),
                None,
            )
            if ready is None:
                # A cycle: one of them is kept aside first.
                name = next(iter(waiting))
                aside = self.elements.array(name, arrays[name].dimensions, arrays[name].dtype)
                out += self.elements.each(aside.dimensions, scope.pure, [assignment(aside.element, waiting[name])])
                waiting[name] = self._fresh(name)
                self._remember(assignment(waiting[name], aside.element), scope)
                continue
            array = arrays[ready]
            effect = assignment(array.element, waiting.pop(ready))
            self._check_order(scope.pure, [effect])
            out += self.elements.each(array.dimensions, scope.pure, [effect])
        return out

    def _arrays_read(self, name: str, scope: Scope) -> set[str]:
        cone = slices.backward(scope.pure, [name])
        return {
            node.value.id
            for statement in cone
            for node in ast.walk(statement)
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
        }

    def _same_for_all(self, node: ast.expr, scope: Scope, what: str) -> tuple[list[ast.stmt], ast.expr]:
        """The value of an expression that every thread computes for itself, and the statements before it."""
        if not slices.reads(node) & self.flow.varying:
            return [], node
        cone = slices.backward(scope.pure, slices.reads(node))
        used = self.elements.used(node, *cone)
        if any(self.elements.extent(dimension) > 1 for dimension in used):
            raise exc.BackendUnsupported(
                "metal",
                f"{what} that differs between the elements of a tile, in a kernel whose threads work together: give "
                "that tile a block size of 1, or take the maximum over it and mask with the position",
            )
        replacements: dict[str, str | ast.expr] = {}
        statements = [part for dimension in used for part in self.elements.bind(dimension, "0", replacements)]
        statements += slices.fresh(cone, replacements, self.elements.new_name)
        renamed: ast.expr = slices.renamed(node, replacements)
        return [*self.elements.memory.step(*statements, ast.Expr(renamed)), *statements], renamed

    # ---- stores ------------------------------------------------------------------------------------------------------

    def _store(self, stores: Sequence[ast.Expr], scope: Scope) -> list[ast.stmt]:
        """The loops over elements that do some stores."""
        self._check_order(scope.pure, stores)
        groups: list[tuple[list[Dimension], list[ast.stmt]]] = []
        for store in stores:
            dimensions = self.elements.used(store, *slices.backward(scope.pure, slices.reads(store)))
            effect = self._once(store, dimensions)
            if groups and groups[-1][0] == dimensions:
                groups[-1][1].append(effect)
            else:
                groups.append((dimensions, [effect]))
        return [
            statement for dimensions, group in groups for statement in self.elements.each(dimensions, scope.pure, group)
        ]

    def _once(self, effect: ast.stmt, dimensions: Sequence[Dimension]) -> ast.stmt:
        """An effect that is not repeated for the parts of tiles that it does not depend on."""
        parts = self.elements.parts_beside(dimensions)
        if "tl.atomic_" not in ast.unparse(effect) or not parts:
            return effect
        branch = ast.parse(f"if {' and '.join(f'{part} == 0' for part in parts)}:\n    pass").body[0]
        assert isinstance(branch, ast.If)
        branch.body = [effect]
        return branch

    def _exchange(self, statement: ast.stmt, scope: Scope) -> list[ast.stmt]:
        """An atomic whose result is used: done once for each element, which keeps the result in an array."""
        out, replaced = self._operands(statement, scope)
        assert isinstance(replaced, ast.Assign)
        call = replaced.value
        dimensions = self.elements.used(call, *slices.backward(scope.pure, slices.reads(call)))
        name = ast.unparse(replaced.targets[0])
        array = self.elements.array(name, dimensions, self.types.of_name(name))
        self._check_order(scope.pure, [call])
        effect = ast.Assign([store_target(array.element)], call, lineno=0)
        out += self.elements.each(dimensions, scope.pure, [self._once(effect, dimensions)])
        self._remember(assignment(name, array.element), scope)
        return out

    def _settle(
        self,
        scope: Scope,
        tensors: set[str],
        later: set[str],
        names: frozenset[str] | set[str] = frozenset(),
    ) -> list[ast.stmt]:
        """Computes what is still needed and depends on what is written next: elements of `tensors`, or `names`."""
        out: list[ast.stmt] = []
        for statement in slices.backward(scope.pure, later) if tensors or names else ():
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
                continue
            loaded = self._loads_of(statement)
            if not loaded & tensors and not slices.reads(statement) & names:
                continue
            name = statement.targets[0].id
            dimensions = self.elements.used(statement, *slices.backward(scope.pure, slices.reads(statement)))
            array = self.elements.array(name, dimensions, self.types.of_name(name))
            until = scope.pure.index(statement)
            out += self.elements.each(dimensions, scope.pure[: until + 1], [assignment(array.element, name)])
            scope.pure[until] = assignment(name, array.element)
            self._stored_before[id(scope.pure[until])] = set(self._stored)
        return out

    def _renamed(self, statement: ast.stmt, old: str, new: str) -> ast.stmt:
        copy: ast.stmt = slices.renamed(statement, {old: new})
        self._stored_before[id(copy)] = self._stored_before[id(statement)]
        return copy

    @staticmethod
    def _tensor(node: ast.AST) -> str:
        call = node.value if isinstance(node, ast.Expr) else node
        assert isinstance(call, ast.Call)
        pointer = call.args[0]
        while isinstance(pointer, ast.BinOp):
            pointer = pointer.left
        return ast.unparse(pointer)

    def _check_order(self, pure: list[ast.stmt], effects: Iterable[ast.AST]) -> None:
        """Refuses what would read a tensor after a store that stands behind the read."""
        for statement in slices.backward(pure, slices.reads(*effects)):
            later = self._stored - self._stored_before.get(id(statement), self._stored)
            for load in slices.calls(statement, "tl.load"):
                if self._tensor(load) in later:
                    raise exc.BackendUnsupported(
                        "metal",
                        f"{self._tensor(load)} is read and then written in a kernel whose threads work together: write "
                        "to another tensor",
                    )
