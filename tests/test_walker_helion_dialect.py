"""The dialect of Helion 1.5's own Metal backend: text as that backend emits it, run and compared with torch."""

# ruff: noqa: ARG005 - functions of one operand stand in a table with those of two

from __future__ import annotations

import math

import pytest
import torch

from helion_msl import TranslationError
from helion_msl import compile as compile_msl
from helion_msl.walker import SCALAR_TYPES, TensorType, translate


def launch(text, tensors, *, grid, block_dims, namespace=None, constants=None):
    """Translate a kernel from its text and run it on CPU tensors, given by name."""
    types = {name: TensorType(SCALAR_TYPES[str(t.dtype)[6:]], t.dim()) for name, t in tensors.items()}
    translation = translate(
        text, types, namespace=namespace, constants=constants, block_dims=block_dims, dialect="helion"
    )
    kernel = compile_msl(translation.msl, name=translation.name, device="cpu")
    kernel(list(tensors.values()), grid, block_dims)
    return translation.msl


MASKED_COPY = """
def _helion_masked_copy(mask, x, out):
    # src[masked_copy.py:5]: for tile in hl.tile(x.size(0)):
    pid_0 = tgid[0]
    offset_0 = pid_0 * _BLOCK_SIZE_0
    indices_0 = (offset_0 + tid[0])
    mask_0 = tid[0] < _BLOCK_SIZE_0 and indices_0 < 1000
    load = tl.load(mask + indices_0 * 1, mask_0, other=0)
    load_1 = tl.load(x + indices_0 * 1, mask_0, other=0)
    scalar_tensor = float(0.0)
    v_1 = load_1 if load else scalar_tensor
    tl.store(out + indices_0 * 1, v_1, mask_0)
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_masked_copy_touches_nothing_beyond_its_tensor(dtype) -> None:
    x = torch.randn(1000).to(dtype)
    mask = x > 0
    padded = torch.full((1128,), 77, dtype=dtype)
    out = padded[64:1064]
    launch(
        MASKED_COPY,
        {"mask": mask, "x": x, "out": out},
        grid=(4,),
        block_dims=(256, 1, 1),
        namespace={"_BLOCK_SIZE_0": 256},
    )
    assert torch.equal(out, torch.where(mask, x, 0))
    assert (padded[:64] == 77).all()
    assert (padded[1064:] == 77).all()


REDUCTION = """
def reduce(x, out, _REDUCTION_BLOCK_1: int):
    row = tgid[0] * _BLOCK_SIZE_0 + tid[1]
    mask_0 = row < {rows}
    acc = {type}({identity})
    for roffset_1 in tl.range(0, {columns}, _REDUCTION_BLOCK_1):
        rindex_1 = roffset_1 + tid[0]
        mask_1 = rindex_1 < {columns}
        load = tl.load(x + (row * {columns} + (0 + rindex_1) * 1), mask_0 & mask_1, other=0)
        _mask_to = static_cast < {type} > load if mask_0 and mask_1 else static_cast < {type} > {identity}
        acc = {combine}
    result = static_cast < {type} > {call}
    tl.store(out + row * 1, result, mask_0)
"""
COMBINE = {
    "sum": "acc + _mask_to",
    "prod": "acc * _mask_to",
    "max": "c10.metal.max(acc, _mask_to)",
    "min": "c10.metal.min(acc, _mask_to)",
}
ACCUMULATORS = {
    torch.float32: "float",
    torch.float16: "float",
    torch.bfloat16: "float",
    torch.int32: "int",
    torch.int8: "int",
    torch.int64: "long",
}


def reduction_identity(kind, dtype) -> str:
    if kind in ("sum", "prod"):
        return "0" if kind == "sum" else "1"
    sign = "-" if kind == "max" else ""
    if dtype.is_floating_point:
        return f"float('{sign}inf')"
    width = torch.int64 if dtype is torch.int64 else torch.int32
    return str(torch.iinfo(width).min if kind == "max" else torch.iinfo(width).max)


def run_reduction(kind, x, span, rows_per_group):
    rows, columns = x.shape
    accumulator = ACCUMULATORS[x.dtype]
    if span < 32:
        call = f"helion_red.seg_{kind}(acc, {span})"
    elif span == 32:
        call = f"helion_red.simd_{kind}(acc)"
    else:
        call = f"helion_red.tg_{kind}(scratch + (_simd_group / {span // 32}) * {span // 32}, acc, tid[0], {span})"
    text = REDUCTION.format(
        rows=rows,
        columns=columns,
        type=accumulator,
        identity=reduction_identity(kind, x.dtype),
        combine=COMBINE[kind],
        call=call,
    )
    result_dtype = {"float": torch.float32, "int": torch.int32, "long": torch.int64}[accumulator]
    out = torch.zeros(rows, dtype=result_dtype)
    launch(
        text,
        {"x": x, "out": out},
        grid=(-(-rows // rows_per_group),),
        block_dims=(span, rows_per_group, 1),
        namespace={"_BLOCK_SIZE_0": rows_per_group, "_METAL_TG_BUF_scratch": ("scratch", accumulator, 32)},
        constants={"_REDUCTION_BLOCK_1": span},
    )
    return out


SHAPES = [(1, 8, 4), (5, 8, 8), (3, 32, 1), (77, 32, 2), (300, 64, 2), (300, 256, 1), (1000, 128, 4), (37, 1024, 1)]


@pytest.mark.parametrize(("columns", "span", "rows_per_group"), SHAPES)
@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min"])
def test_reductions(kind, columns, span, rows_per_group) -> None:
    x = torch.randn(5, columns)
    if kind == "prod":
        x = 1 + x / 50
    function = {"sum": torch.sum, "prod": torch.prod, "max": torch.amax, "min": torch.amin}[kind]
    torch.testing.assert_close(run_reduction(kind, x, span, rows_per_group), function(x, dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("span", [16, 32, 128])
@pytest.mark.parametrize("dtype", list(ACCUMULATORS), ids=str)
def test_reductions_of_every_type(dtype, span) -> None:
    torch.manual_seed(0)
    x = torch.randint(-100, -1, (3, 200)).to(dtype)
    if dtype is torch.int64:
        x = x * 10_000_000_000
    for kind, function in {"max": torch.amax, "min": torch.amin, "sum": torch.sum}.items():
        expected = function(x, dim=1).to(run_reduction(kind, x, span, 2).dtype) if kind != "sum" else x.double().sum(1)
        got = run_reduction(kind, x, span, 2)
        torch.testing.assert_close(got.double(), expected.double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("span", [8, 32, 64])
def test_nan_wins_in_max_and_min(span) -> None:
    x = torch.randn(4, 100)
    x[1, 57] = math.nan
    x[2, :] = -math.inf
    x[3, 99] = math.nan
    for kind, function in {"max": torch.amax, "min": torch.amin}.items():
        torch.testing.assert_close(run_reduction(kind, x, span, 1), function(x, dim=1), equal_nan=True, rtol=0, atol=0)


ARGREDUCTION = """
def argreduce(x, out, _REDUCTION_BLOCK_1: int):
    row = tgid[0] * _BLOCK_SIZE_0 + tid[1]
    mask_0 = row < {rows}
    acc = {type}({identity})
    acc_index = int(2147483647)
    for roffset_1 in tl.range(0, {columns}, _REDUCTION_BLOCK_1):
        rindex_1 = roffset_1 + tid[0]
        mask_1 = rindex_1 < {columns}
        load = tl.load(x + (row * {columns} + (0 + rindex_1) * 1), mask_0 & mask_1, other=0)
        _mask_to = load if mask_0 and mask_1 else static_cast < {type} > {identity}
        better = _mask_to {sign} acc or (_mask_to == acc and rindex_1 < acc_index){nan}
        acc_index = rindex_1 if better else acc_index
        acc = _mask_to if better else acc
    result = static_cast < long > (static_cast < long > {call})
    tl.store(out + row * 1, result, mask_0)
"""


@pytest.mark.parametrize("kind", ["argmax", "argmin"])
@pytest.mark.parametrize("span", [8, 32, 64, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
def test_argreductions_take_the_lowest_index_and_nan_first(dtype, span, kind) -> None:
    torch.manual_seed(1)
    x = torch.randint(-3, 3, (7, 300)).to(dtype)
    if dtype is torch.float32:
        x[1, 200] = math.nan
        x[1, 250] = math.nan
        x[2, :] = -math.inf
        x[3, :] = math.inf
    accumulator = ACCUMULATORS[dtype]
    arguments = f"static_cast < {accumulator} > acc, static_cast < uint > acc_index"
    base = f"_simd_group / {span // 32} * {span // 32}" if span > 32 else ""
    call = {
        8: f"helion_red.seg_{kind}({arguments}, 8)",
        32: f"helion_red.simd_{kind}({arguments})",
    }.get(span, f"helion_red.tg_{kind}(values + {base}, indices + {base}, {arguments}, tid[0], {span})")
    text = ARGREDUCTION.format(
        rows=7,
        columns=300,
        type=accumulator,
        identity=reduction_identity(kind[3:], dtype),
        sign=">" if kind == "argmax" else "<",
        nan=" or (metal.isnan(_mask_to) and (not metal.isnan(acc)))" if dtype is torch.float32 else "",
        call=call,
    )
    out = torch.zeros(7, dtype=torch.int64)
    namespace = {
        "_BLOCK_SIZE_0": 2,
        "_METAL_TG_BUF_values": ("values", accumulator, 32),
        "_METAL_TG_BUF_indices": ("indices", "uint", 32),
    }
    launch(
        text,
        {"x": x, "out": out},
        grid=(4,),
        block_dims=(span, 2, 1),
        namespace=namespace,
        constants={"_REDUCTION_BLOCK_1": span},
    )
    assert torch.equal(out, getattr(torch, kind)(x, dim=1))


def test_a_reduction_inside_a_loop_reuses_its_scratch() -> None:
    text = """
def loop_of_reductions(x, out):
    total = float(0)
    for k in tl.range(0, 50, 1):
        load = tl.load(x + (k * 128 + tid[0]), None)
        part = static_cast < float > helion_red.tg_sum(scratch + _simd_group / 4 * 4, load, tid[0], 128)
        total = total + part * (k + 1)
    tl.store(out + tid[0], total, None)
"""
    x = torch.randint(-8, 8, (50, 128)).float()
    out = torch.zeros(128)
    namespace = {"_METAL_TG_BUF_scratch": ("scratch", "float", 32)}
    launch(text, {"x": x, "out": out}, grid=(1,), block_dims=(128, 1, 1), namespace=namespace)
    expected = (x.sum(1) * torch.arange(1, 51)).sum()
    assert (out == expected).all()


ELEMENTWISE = """
def elementwise(a, b, out):
    i = tid[0]
    x = tl.load(a + i * 1, None)
    y = tl.load(b + i * 1, None)
    v = {expression}
    tl.store(out + i * 1, v, None)
"""


def elementwise(expression, a, b, dtype):
    out = torch.zeros(a.shape, dtype=dtype)
    launch(
        ELEMENTWISE.format(expression=expression), {"a": a, "b": b, "out": out}, grid=(1,), block_dims=(a.numel(), 1, 1)
    )
    return out


FLOAT_EXPRESSIONS = [
    ("metal.precise.exp(x)", torch.exp),
    ("metal.precise.sin(x) + metal.precise.cos(x)", lambda x: x.sin() + x.cos()),
    ("c10.metal.erf(x)", torch.erf),
    ("static_cast < float > 1 / (static_cast < float > 1 + metal.precise.exp(-x))", torch.sigmoid),
    ("metal.abs(x)", torch.abs),
    (
        "metal.floor(x) + metal.ceil(x) + metal.trunc(x) + metal.rint(x)",
        lambda x: x.floor() + x.ceil() + x.trunc() + x.round(),
    ),
    ("metal.sign(x)", torch.sign),
    ("static_cast < decltype(x) > -x", torch.neg),
    ("x if x > 0 else static_cast < float > 0", torch.relu),
    (
        "c10.metal.max(static_cast < decltype(x + y) > x, static_cast < decltype(x + y) > 0.5)",
        lambda x: x.clamp(min=0.5),
    ),
    ("metal.pow(x, static_cast < float > 2.0)", lambda x: x**2),
    ("metal.isnan(x)", torch.isnan),
    ("c10.metal.i0(x)", torch.special.i0),
    ("c10.metal.log_gamma(metal.abs(x) + 1.0)", lambda x: torch.lgamma(x.abs() + 1)),
    ("c10.metal.digamma(metal.abs(x) + 1.0)", lambda x: torch.digamma(x.abs() + 1)),
]


@pytest.mark.parametrize(("expression", "function"), FLOAT_EXPRESSIONS, ids=[case[0] for case in FLOAT_EXPRESSIONS])
def test_float_expressions(expression, function) -> None:
    x = torch.linspace(-4.2, 4.3, 64)
    torch.testing.assert_close(elementwise(expression, x, x, torch.float32), function(x).float(), rtol=1e-5, atol=1e-5)


INTEGER_EXPRESSIONS = [
    ("x + y", lambda x, y: x + y),
    ("x * y - x", lambda x, y: x * y - x),
    ("x * 3 + 100", lambda x, y: x * 3 + 100),
    ("static_cast < decltype(x) > -x", lambda x, y: -x),
    ("c10.metal.floor_divide(x, y)", lambda x, y: x // y),
    ("c10.metal.remainder(x, y)", lambda x, y: x % y),
    ("c10.metal.floor_divide(x, 7)", lambda x, y: x // 7),
    ("x & y | x ^ 5", lambda x, y: x & y | x ^ 5),
    ("(x << 1) + (x >> 2)", lambda x, y: (x << 1) + (x >> 2)),
    ("~x", lambda x, y: ~x),
    ("c10.metal.max(x, y) - c10.metal.min(x, y)", lambda x, y: torch.maximum(x, y) - torch.minimum(x, y)),
    ("metal.abs(x)", lambda x, y: x.abs()),
    ("x if x > y else y", lambda x, y: torch.where(x > y, x, y)),
    ("x / 3", lambda x, y: torch.div(x, 3, rounding_mode="trunc")),
    ("x % 3", lambda x, y: torch.fmod(x, 3)),
]


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize(("expression", "function"), INTEGER_EXPRESSIONS, ids=[case[0] for case in INTEGER_EXPRESSIONS])
def test_integer_expressions_wrap_as_torch_does(expression, function, dtype) -> None:
    info = torch.iinfo(dtype)
    torch.manual_seed(2)
    x = torch.randint(max(info.min, -(2**40)), min(info.max, 2**40), (128,), dtype=torch.int64).to(dtype)
    y = torch.randint(1, 100, (128,)).to(dtype)
    assert torch.equal(elementwise(expression, x, y, dtype), function(x, y))


def test_a_zero_divisor_in_a_masked_lane_is_harmless() -> None:
    text = """
def divide(a, b, out):
    mask_0 = tid[0] < 5
    load = tl.load(a + tid[0], mask_0, other=0)
    load_1 = tl.load(b + tid[0], mask_0, other=0)
    v_0 = c10.metal.remainder(load, load_1)
    v_1 = load / load_1 + load % load_1
    tl.store(out + tid[0], v_0 + v_1, mask_0)
"""
    a, b = [7, -7, 9, -2147483648, 3], [2, 3, -4, -1, 5]
    out = torch.zeros(5, dtype=torch.int32)
    tensors = {"a": torch.tensor(a, dtype=torch.int32), "b": torch.tensor(b, dtype=torch.int32), "out": out}
    launch(text, tensors, grid=(1,), block_dims=(8, 1, 1))
    # -2147483648 / -1 overflows, to itself.
    assert out.tolist() == [1 + 3 + 1, 2 - 2 - 1, -3 - 2 + 1, -2147483648, 3 + 0 + 3]


def test_bools_stay_bools() -> None:
    a, b = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    for expression, function in {
        "x & y": torch.logical_and,
        "x | y": torch.logical_or,
        "x ^ y": torch.logical_xor,
        "x and not y": lambda x, y: x & ~y,
        "~x & y": lambda x, y: ~x & y,
    }.items():
        assert torch.equal(elementwise(expression, a, b, torch.bool), function(a, b))


def test_what_upstream_gets_wrong() -> None:
    text = """
def upstream(do, flag, scalar, x, out):
    i = tid[0]
    gt = flag > 2
    if gt:
        v_1 = tl.load(x + i * 1, None) * 2
    else:
        v_0 = 1
        v_1 = tl.load(x + i * 1, None) + v_0
    if gt:
        pass
    if i < 2:
        pass
    else:
        v_1 = v_1 + tl.load(scalar + 0, None) + scalar
    w = v_1 + tl.load(do + i * 1, None)
    tl.store(out + i * 1, w[None], None)
"""
    x, do, out = torch.arange(8.0), torch.arange(8.0) * 100, torch.zeros(8)
    for flag in (3.0, 1.0):
        tensors = {"do": do, "flag": torch.tensor(flag), "scalar": torch.tensor(0.25), "x": x, "out": out}
        launch(text, tensors, grid=(1,), block_dims=(8, 1, 1))
        expected = (x * 2 if flag > 2 else x + 1) + torch.where(torch.arange(8) < 2, 0.0, 0.5) + do
        assert torch.equal(out, expected)


def test_casts_chain_and_compare() -> None:
    x = torch.tensor([-2.7, -0.2, 0.0, 0.4, 3.9])
    got = elementwise("static_cast < int > static_cast < long > x", x, x, torch.float32)
    assert torch.equal(got, x.trunc())
    got = elementwise("static_cast < int > x == 0", x, x, torch.bool)
    assert got.tolist() == [False, True, True, True, False]
    got = elementwise("as_type < int > (static_cast < float > x)", x, x, torch.int32)
    assert torch.equal(got, x.view(torch.int32))


DIALECT_MISTAKES = [
    ("v = tl.load(x + 0, mask)", "needs a value for where the mask is false", "other=0"),
    ("v = tl.load(x + 0, mask, other=0, cache=1)", "no keyword `cache`", ""),
    ("v = tl.dot(x, x)", "`tl.dot`", ""),
    ("v = metal.unheard_of(1.0)", "`metal.unheard_of`", ""),
    ("v = helion_red.seg_median(1.0, 8)", "no reduction", ""),
    ("v = static_cast < banana > 1", "no type of Metal's", ""),
    ("v = metal.precise.exp(1.0, scale=2)", "no keywords", ""),
    ("v = tl.load(3, None)", "no address", "tensor + offset"),
]


@pytest.mark.parametrize(("statement", "cause", "remedy"), DIALECT_MISTAKES)
def test_what_the_dialect_does_not_have_is_refused(statement, cause, remedy) -> None:
    text = f"def kernel(x):\n    mask = tid[0] < 2\n    {statement}\n    tl.store(x + 0, v, None)\n"
    with pytest.raises(TranslationError) as raised:
        translate(text, {"x": TensorType(SCALAR_TYPES["float32"], 1)}, dialect="helion")
    assert raised.value.line == 3
    assert cause in raised.value.cause
    assert remedy in raised.value.remedy
