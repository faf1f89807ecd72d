"""Expressions of IR to MSL. Nothing is decided here: parentheses follow from C++'s precedence.

Each method returns the text of one class of node, and how tightly it binds.
"""

# ruff: noqa: N802 - the methods are named after the classes of the intermediate representation

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from . import ir, matmul_simdgroup, prelude
from .literals import number_text
from .matmul import AccumulatorType, Matmul
from .types import (
    BFLOAT16,
    BOOL,
    FLOAT16,
    FLOAT32,
    INT32,
    INT64,
    PointerType,
    ScalarType,
    SimdgroupMatrixType,
    TupleType,
    VectorType,
    integer_type_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .names import Names
    from .types import Type

# ISO/IEC 14882, [expr]: higher binds tighter.
COMMA, ASSIGNMENT, TERNARY, OR, AND, BIT_OR, BIT_XOR, BIT_AND, EQUALITY, RELATION, SHIFT, SUM, PRODUCT, UNARY, ATOM = (
    range(15)
)
PRECEDENCE = {
    "||": OR,
    "&&": AND,
    "|": BIT_OR,
    "^": BIT_XOR,
    "&": BIT_AND,
    "==": EQUALITY,
    "!=": EQUALITY,
    "<": RELATION,
    "<=": RELATION,
    ">": RELATION,
    ">=": RELATION,
    "<<": SHIFT,
    ">>": SHIFT,
    "+": SUM,
    "-": SUM,
    "*": PRODUCT,
    "/": PRODUCT,
    "%": PRODUCT,
}
# Mixed without parentheses these are legal, misread by people and warned about by clang.
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_ASSOCIATIVE = frozenset({("+", "+"), ("+", "-"), ("*", "*")})
_LOOSE = frozenset({"|", "^", "&", "<<", ">>"})

POSITION_NAMES: dict[ir.PositionKind, tuple[str, str]] = {
    "threadgroup_position_in_grid": ("uint3", "tgid"),
    "thread_position_in_threadgroup": ("uint3", "tid"),
    "thread_position_in_grid": ("uint3", "gid"),
    "threads_per_threadgroup": ("uint3", "threads_per_threadgroup"),
    "threadgroups_per_grid": ("uint3", "threadgroups_per_grid"),
    "simdgroup_index_in_threadgroup": ("uint", "simd_group"),
    "thread_index_in_simdgroup": ("uint", "simd_lane"),
    "simdgroups_per_threadgroup": ("uint", "simdgroups_per_threadgroup"),
    "thread_index_in_threadgroup": ("uint", "thread_index"),
    "thread_index_in_quadgroup": ("uint", "quad_lane"),
    "quadgroup_index_in_threadgroup": ("uint", "quad_group"),
}


_NAMED_TYPES = (ScalarType, VectorType, SimdgroupMatrixType)


class Shared:
    """What the functions of one text share.

    Attributes:
        names: the names at program scope.
        helpers: functions of the prelude that are called, with the scalar types that each is called with.
        functions: the name of each function, by its id.
        structs: the name of each tuple that a function returns, by its type.
        positions: the positions that each function needs from its caller, by its id.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.helpers: dict[str, set[str]] = {}
        self.functions: dict[int, str] = {}
        self.structs: dict[TupleType, str] = {}
        self.positions: dict[int, list[ir.PositionKind]] = {}

    def use(self, helper: str, *kinds: Type) -> None:
        """Note that the text calls a helper with these types."""
        self.helpers.setdefault(helper, set()).update(kind.msl for kind in kinds if isinstance(kind, ScalarType))

    def type_name(self, kind: Type) -> str:
        """Return a type in MSL, in front of a name."""
        if isinstance(kind, _NAMED_TYPES):
            return kind.msl
        if isinstance(kind, PointerType):
            return f"{kind.space} {kind.dtype.msl}*"
        if isinstance(kind, AccumulatorType):
            self.use(matmul_simdgroup.NAME)
            return matmul_simdgroup.type_text(kind)
        return self._struct_name(kind) if isinstance(kind, TupleType) else "void"

    def struct_lines(self) -> list[str]:
        """Return the definitions of the tuples."""
        lines = []
        for kind, name in self.structs.items():
            items = [f"  {self.type_name(item)} item_{index};" for index, item in enumerate(kind.items)]
            lines += [f"struct {name} {{", *items, "};", ""]
        return lines

    def _struct_name(self, kind: TupleType) -> str:
        found = self.structs.get(kind)
        if found is None:
            parts = [self.type_name(item) for item in kind.items]
            found = self.structs[kind] = self.names.unique("_".join(["tuple", *parts]))
        return found


def _widens(source: Type, target: ScalarType) -> bool:
    """Whether C++'s usual arithmetic conversions bring an operand to ``target``, beside one that has it."""
    if not isinstance(source, ScalarType) or source is BFLOAT16 or target in (FLOAT16, BFLOAT16):
        return False
    if target is FLOAT32:
        return True
    if source.is_float or source is target:
        return False
    if target is INT64:
        return source.bits <= 32
    return source.kind != "int" and source.bits <= 32 if target.kind == "uint" else source.is_narrow


class ExpressionPrinter:
    """Prints expressions with the names of one function."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self._names = shared.names.inside()
        self._constants: dict[str, tuple[str, ScalarType, ir.Number]] = {}
        self._positions: dict[ir.PositionKind, str] = {}
        self._argument_names: dict[int, str] = {}
        self._array_names: dict[int, str] = {}
        self._variable_names: dict[int, str] = {}

    def text(self, node: ir.Expression, precedence: int = COMMA) -> str:
        """Return an expression, in parentheses where it binds less tightly than what surrounds it."""
        text, own = _TEXTS[type(node)](self, node)
        return f"({text})" if own < precedence else text

    def pair(self, left: ir.Expression, right: ir.Expression) -> tuple[ir.Expression, ir.Expression]:
        """Return two operands of one type without the casts that C++ makes anyway."""
        bare_left, bare_right = self._uncast(left), self._uncast(right)
        if bare_left is not left and bare_right is not right:
            # Together narrow integers compute as int; of other pairs one side must carry the type.
            return (bare_left, bare_right) if left.type is INT32 else (bare_left, right)
        return bare_left, bare_right

    @staticmethod
    def _uncast(node: ir.Expression) -> ir.Expression:
        if isinstance(node, ir.Cast) and isinstance(node.type, ScalarType) and _widens(node.operand.type, node.type):
            return node.operand
        return node

    def commas(self, nodes: Sequence[ir.Expression]) -> str:
        """Return expressions separated by commas."""
        return ", ".join(self.text(node, ASSIGNMENT) for node in nodes)

    def _text_Constant(self, node: ir.Constant) -> tuple[str, int]:
        if node.name is not None and self._keeps_name(node):
            entry = self._constants.get(node.name)
            if entry is None:
                entry = self._constants[node.name] = (self._names.unique(node.name), node.type, node.value)
            if entry[2] == node.value and entry[1] is node.type:
                return entry[0], ATOM
        text = number_text(node.value, node.type)
        return text, UNARY if text.startswith("-") else ATOM

    @staticmethod
    def _keeps_name(node: ir.Constant) -> bool:
        if isinstance(node.value, bool):
            return node.type is BOOL
        return node.type is (FLOAT32 if isinstance(node.value, float) else integer_type_of(node.value))

    def _text_Read(self, node: ir.Read) -> tuple[str, int]:
        return self._variable_names[id(node.variable)], ATOM

    def _text_ArgumentRead(self, node: ir.ArgumentRead) -> tuple[str, int]:
        return self._argument_names[id(node.argument)], ATOM

    def _text_TensorReference(self, node: ir.TensorReference) -> tuple[str, int]:
        return self._argument_names[id(node.argument)], ATOM

    def _text_ThreadgroupArrayReference(self, node: ir.ThreadgroupArrayReference) -> tuple[str, int]:
        return self._array_names[id(node.array)], ATOM

    def _text_Symbol(self, node: ir.Symbol) -> tuple[str, int]:
        return node.name, ATOM

    def _text_Pointer(self, node: ir.Pointer) -> tuple[str, int]:
        base = self.text(node.base)
        if isinstance(node.offset, ir.Constant) and node.offset.value == 0:
            return base, ATOM
        return f"{base} + {self.text(node.offset, SUM + 1)}", SUM

    def _position(self, node: ir.Position) -> str:
        name = self._position_name(node.kind)
        return name if node.axis is None else f"{name}.{'xyz'[node.axis]}"

    def _position_name(self, kind: ir.PositionKind) -> str:
        name = self._positions.get(kind)
        if name is None:
            name = self._positions[kind] = self._names.unique(POSITION_NAMES[kind][1])
        return name

    def _text_Position(self, node: ir.Position) -> tuple[str, int]:
        return f"{node.type.msl}({self._position(node)})", ATOM

    def _text_Unary(self, node: ir.Unary) -> tuple[str, int]:
        text = self.text(self._uncast(node.operand) if node.type is INT32 else node.operand, UNARY)
        # `--x` is a decrement.
        return f"{node.operator}({text})" if text.startswith(node.operator) else node.operator + text, UNARY

    def _text_Binary(self, node: ir.Binary) -> tuple[str, int]:
        own = PRECEDENCE[node.operator]
        left, right = node.left, node.right
        if isinstance(left, ir.Position) and isinstance(right, ir.Constant) and node.type is BOOL and right.value >= 0:
            # As unsigned numbers they compare alike, where the constant is not negative.
            return f"{self._position(left)} {node.operator} {self.text(right, own + 1)}", own
        if own == SHIFT:
            # Each operand is promoted by itself.
            left, right = self._uncast(left) if node.type is INT32 else left, self._uncast(right)
        else:
            left, right = self.pair(left, right)
        left_text = self._nested(left, node, own) if isinstance(left, ir.Binary) else self.text(left, own)
        right_text = self._nested(right, node, own + 1) if isinstance(right, ir.Binary) else self.text(right, own + 1)
        return f"{left_text} {node.operator} {right_text}", own

    def _nested(self, node: ir.Binary, parent: ir.Binary, precedence: int) -> str:
        """Return an operand that is an operator itself, with the parentheses that people need too."""
        is_comparison = node.operator in _COMPARISONS and parent.operator in _COMPARISONS
        is_and_in_or = parent.operator == "||" and node.operator == "&&"
        if is_comparison or is_and_in_or or (parent.operator in _LOOSE and node.operator != parent.operator):
            precedence = ATOM
        elif self._may_regroup(parent, node):
            precedence = PRECEDENCE[node.operator]
        return self.text(node, precedence)

    @staticmethod
    def _may_regroup(parent: ir.Binary, node: ir.Binary) -> bool:
        """Whether ``a + (b + c)`` may be computed as ``a + b + c``: a sum of the other order must not overflow alone.

        Unsigned integers wrap around alike in any order; of signed ones the overflow is undefined in C++.
        """
        if not isinstance(node.type, ScalarType) or (parent.operator, node.operator) not in _ASSOCIATIVE:
            return False
        if node.type.kind == "uint":
            return True
        is_sum = node.type.is_integer and parent.operator == node.operator == "+"
        return is_sum and all(map(ir.is_non_negative, (parent.left, node.left, node.right)))

    def _text_Conditional(self, node: ir.Conditional) -> tuple[str, int]:
        body, orelse = node.body, node.orelse
        if not (isinstance(node.type, ScalarType) and node.type.is_narrow):
            # Of two types below int C++ makes an int, and what is asked for is one of them.
            body, orelse = self.pair(body, orelse)
        test = self.text(node.test, OR)
        return f"{test} ? {self.text(body, OR)} : {self.text(orelse, TERNARY)}", TERNARY

    def _text_Cast(self, node: ir.Cast) -> tuple[str, int]:
        inner = node.operand
        if isinstance(inner, ir.Position):
            return f"{node.type.msl}({self._position(inner)})", ATOM
        return f"{node.type.msl}({self.text(inner)})", ATOM

    def _text_Call(self, node: ir.Call) -> tuple[str, int]:
        if node.function.startswith(prelude.NAMESPACE) or node.function.startswith("c10::"):
            operands = [part.type for part in node.arguments if not isinstance(part.type, PointerType)]
            # Behind the value that a helper combines there are only indices of the type it returns, and counts.
            self.shared.use(node.function, node.type, *operands[:1])
        if node.function.endswith(")"):
            return node.function, ATOM
        return f"{node.function}({self.commas(node.arguments)})", ATOM

    def _text_Matmul(self, node: Matmul) -> tuple[str, int]:
        assert node.accumulator is not None
        if node.function == "zero":
            return f"{self.shared.type_name(node.accumulator)}()", ATOM  # type: ignore[arg-type]
        function = matmul_simdgroup.FUNCTIONS[node.function]
        self.shared.use(function)
        return (
            f"{function}({self.commas(node.arguments)}, {self._position_name('simdgroup_index_in_threadgroup')})",
            ATOM,
        )

    def _text_FunctionCall(self, node: ir.FunctionCall) -> tuple[str, int]:
        parts = [self.text(argument, ASSIGNMENT) for argument in (*node.arguments, *node.arrays)]
        parts += [self._position_name(kind) for kind in self.shared.positions[id(node.function)]]
        return f"{self.shared.functions[id(node.function)]}({', '.join(parts)})", ATOM

    def _text_TupleExpression(self, node: ir.TupleExpression) -> tuple[str, int]:
        return f"{self.shared.type_name(node.type)}{{{self.commas(node.items)}}}", ATOM

    def _text_Field(self, node: ir.Field) -> tuple[str, int]:
        return f"{self.text(node.operand, ATOM)}.item_{node.index}", ATOM

    def _text_Swizzle(self, node: ir.Swizzle) -> tuple[str, int]:
        return f"{self.text(node.operand, ATOM)}.{node.places}", ATOM

    def _text_Component(self, node: ir.Component) -> tuple[str, int]:
        return f"{self.text(node.operand, ATOM)}[{self._index(node.index)}]", ATOM

    def _text_VectorStore(self, node: ir.VectorStore) -> tuple[str, int]:
        place = self._element(node.element)
        if isinstance(node.value.type, VectorType):
            place = self._packed(node.element, node.value.type, "")
        return f"{place} = {self.text(node.value, ASSIGNMENT)}", ASSIGNMENT

    def _packed(self, element: ir.Element, kind: VectorType, qualifier: str) -> str:
        """Return consecutive elements as one vector, which needs no alignment but theirs."""
        space = "device" if isinstance(element.base, ir.TensorReference) else element.base.type.space
        return f"*({space} {qualifier}packed_{kind.msl}*)&{self._element(element)}"

    def _text_Load(self, node: ir.Load) -> tuple[str, int]:
        if isinstance(node.type, VectorType):
            base = node.element.base
            is_const = isinstance(base, ir.TensorReference) and not base.argument.is_written
            return f"{node.type.msl}({self._packed(node.element, node.type, 'const ' if is_const else '')})", ATOM
        element = self._element(node.element)
        if node.mask is None or node.other is None:
            return element, ATOM
        return f"{self.text(node.mask, OR)} ? {element} : {self.text(node.other, TERNARY)}", TERNARY

    def _element(self, node: ir.Element) -> str:
        indices = "".join(f"[{self._index(index)}]" for index in node.indices)
        return self.text(node.base) + indices

    def _index(self, node: ir.Expression) -> str:
        """Return an index, which C++ takes with any type of integer."""
        return self._position(node) if isinstance(node, ir.Position) else self.text(self._uncast(node))

    def _text_AddressOf(self, node: ir.AddressOf) -> tuple[str, int]:
        if not node.pointee:
            return f"&{self._element(node.element)}", UNARY
        return f"({node.type.space} {node.pointee}*)&{self._element(node.element)}", UNARY

    def _text_AssignExpression(self, node: ir.AssignExpression) -> tuple[str, int]:
        return f"{self._variable_names[id(node.variable)]} = {self.text(node.value, ASSIGNMENT)}", ASSIGNMENT

    def _text_Sequence(self, node: ir.Sequence) -> tuple[str, int]:
        return f"{self.text(node.first, ASSIGNMENT)}, {self.text(node.second, ASSIGNMENT)}", COMMA - 1


_TEXTS: dict[type, Callable[[ExpressionPrinter, Any], tuple[str, int]]] = {
    kind: getattr(ExpressionPrinter, f"_text_{kind.__name__}") for kind in (*get_args(ir.Expression), Matmul)
}
