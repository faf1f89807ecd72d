"""The MSL itself, for a handful of kernels: what people read when they debug. Behaviour is tested elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate

FLOAT = SCALAR_TYPES["float32"]
INT = SCALAR_TYPES["int32"]


def vector(dtype="float32") -> TensorType:
    return TensorType(SCALAR_TYPES[dtype], 1)


def body(text, types, **options) -> str:
    """Return the MSL of a kernel from its signature's end on, without indentation."""
    msl = translate(textwrap.dedent(text), types, namespace={"ml": ml, **options.pop("namespace", {})}, **options).msl
    kernel = msl[msl.index("kernel void") :]
    return textwrap.dedent(kernel[kernel.index(") {\n") + 4 : kernel.rindex("}")]).rstrip()


def test_masked_copy_of_helion() -> None:
    text = """
    def masked_copy(mask, x, out):
        pid_0 = tgid[0]
        offset_0 = pid_0 * _BLOCK_SIZE_0
        indices_0 = offset_0 + tid[0]
        mask_0 = tid[0] < _BLOCK_SIZE_0 and indices_0 < 1000
        load = tl.load(mask + (0 + indices_0) * 1, mask_0, other=0)
        load_1 = tl.load(x + indices_0 * 1, mask_0, other=0)
        v_1 = static_cast < float > load_1 if load else static_cast < float > 0.0
        tl.store(out + indices_0 * 1, v_1, mask_0)
    """
    translation = translate(
        textwrap.dedent(text),
        {"mask": vector("bool"), "x": vector(), "out": vector()},
        namespace={"_BLOCK_SIZE_0": 256},
        block_dims=(256, 1, 1),
    )
    assert translation.msl == textwrap.dedent("""\
        #include <metal_stdlib>

        [[max_total_threads_per_threadgroup(256)]]
        kernel void masked_copy(
            device const bool* mask [[buffer(0)]],
            device const float* x [[buffer(1)]],
            device float* out [[buffer(2)]],
            uint3 tgid [[threadgroup_position_in_grid]],
            uint3 tid [[thread_position_in_threadgroup]]) {
          constexpr int _BLOCK_SIZE_0 = 256;
          int pid_0 = tgid.x;
          int offset_0 = pid_0 * _BLOCK_SIZE_0;
          int indices_0 = offset_0 + int(tid.x);
          bool mask_0 = indices_0 < 1000;
          bool load = mask_0 ? mask[indices_0] : false;
          float load_1 = mask_0 ? x[indices_0] : 0.0f;
          float v_1 = load ? load_1 : 0.0f;
          if (mask_0) out[indices_0] = v_1;
        }
        """)


def test_types_are_explicit_and_scopes_are_cpp() -> None:
    text = """
    def kernel(x, out, n):
        total = 0
        for i in range(n):
            if x[i] > 0:
                part = x[i]
            else:
                part = 0.5
            total += part
        out[0] = total
    """
    assert body(text, {"x": vector(), "out": vector(), "n": INT}) == textwrap.dedent("""\
        float total = 0.0f;
        for (int i = 0; i < n; ++i) {
          float part;
          if (x[i] > 0.0f) {
            part = x[i];
          } else {
            part = 0.5f;
          }
          total += part;
        }
        out[0] = total;""")


def test_parentheses_follow_precedence_only() -> None:
    text = """
    def kernel(x, out, a, b, c):
        out[0] = ((a) + (b * c)) - (a - (b - c)) * (a + b) / c
        out[1] = -(a + b) * -c + (a * b) * c
        if (a < b and b < c) or not (a > c):
            out[2] = (a if a > b else b) + c
        x[0] = (a + b) // 2 * (a % 3)
    """
    types = {"x": vector(), "out": vector(), "a": FLOAT, "b": FLOAT, "c": FLOAT}
    assert body(text, types) == textwrap.dedent("""\
        out[0] = a + b * c - (a - (b - c)) * (a + b) / c;
        out[1] = -(a + b) * -c + a * b * c;
        if ((a < b && b < c) || !(a > c)) {
          out[2] = (a > b ? a : b) + c;
        }
        x[0] = helion_msl::floor_divide(a + b, 2.0f) * helion_msl::floor_remainder(a, 3.0f);""")


def test_signed_integers_are_added_in_the_order_of_python_where_another_could_overflow() -> None:
    text = """
    def kernel(out, a, b, u):
        i, j = ml.tid[0], ml.tid[1]
        out[0] = a + (b - 1) + a * (b * 3)
        out[1] = i + (j + 1)
        out[2] = u + (u - 1) + u * (u * 3)
        out[3] = a + (i + j)
    """
    types = {"out": vector("int64"), "a": INT, "b": INT, "u": SCALAR_TYPES["uint32"]}
    assert body(text, types, line_directives=False) == textwrap.dedent("""\
        int i = tid.x;
        int j = tid.y;
        out[0] = a + (b - 1) + a * (b * 3);
        out[1] = i + j + 1;
        out[2] = u + u - 1u + u * u * 3u;
        out[3] = a + (i + j);""")


def test_what_does_nothing_is_left_out() -> None:
    text = """
    def kernel(x, out, n):
        i = ml.tid[0] * 1 + 0
        j = (0 + i) // 1
        unused = x[i] + 1
        if True and i < n:
            out[j] = float(x[i]) * 1.0
        if DEBUG:
            out[0] = 1
    """
    types = {"x": vector(), "out": vector(), "n": INT}
    assert body(text, types, namespace={"DEBUG": False}) == textwrap.dedent("""\
        int i = tid.x;
        int j = i;
        if (i < n) {
          out[j] = x[i];
        }""")


def test_literals_are_the_shortest_that_read_back() -> None:
    text = """
    def kernel(out, h):
        out[0] = 0.1
        out[1] = 1 / 3
        out[2] = 1e-30
        out[3] = float('inf')
        out[4] = -ml.inf
        out[5] = ml.nan
        out[6] = 3
        out[7] = 16777216.0
        h[0] = 0.5
        out[8] = 5000000000 + ml.int64(1)
        out[9] = ml.int32(-2147483648)
    """
    assert body(text, {"out": vector(), "h": vector("float16")}) == textwrap.dedent("""\
        out[0] = 0.1f;
        out[1] = 0.33333333f;
        out[2] = 1e-30f;
        out[3] = INFINITY;
        out[4] = -INFINITY;
        out[5] = NAN;
        out[6] = 3.0f;
        out[7] = 16777216.0f;
        h[0] = half(0.5f);
        out[8] = float(5000000000L + 1L);
        out[9] = -2.1474836e+09f;""")


def test_line_directives_and_comments_keep_the_lines_of_the_file(tmp_path) -> None:
    path = tmp_path / "kernels.py"
    path.write_text(
        "def kernel(x, out):\n"
        "    # twice\n"
        "    v = x[0] * 2\n"
        "    # and once more, with a backslash \\\n"
        "\n"
        "    if v > 1:\n"
        "        v = v + 1\n"
        "    out[0] = v\n"
    )
    namespace: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    msl = translate(namespace["kernel"], {"x": vector(), "out": vector()}).msl
    assert msl[msl.index(") {\n") + 4 :] == textwrap.dedent("""\
        #line 3 "kernels.py"
          float v = x[0] * 2.0f;
          // and once more, with a backslash

          if (v > 1.0f) {
            v += 1.0f;
          }
        #line 8
          out[0] = v;
        }
        """)


def test_what_changes_its_target_names_it_once() -> None:
    text = """
    def kernel(x, k, out):
        i = ml.tid[0]
        total = 1.5
        count = 0
        for j in range(4):
            total = total + x[j]
            total = x[j] - total
            count -= j
            count = count | 8
        out[i] += total * count
        k[i] = k[i] << 2
    """
    printed = body(text, {"x": vector(), "k": vector("int32"), "out": vector()}, line_directives=False)
    assert printed == textwrap.dedent("""\
        int i = tid.x;
        float total = 1.5f;
        int count = 0;
        for (int j = 0; j < 4; ++j) {
          total += x[j];
          total = x[j] - total;
          count -= j;
          count |= 8;
        }
        out[i] += total * count;
        k[i] <<= 2;""")


def test_offsets_that_a_loop_does_not_change_are_computed_in_front_of_it() -> None:
    text = """
    def kernel(m, w, out):
        row = ml.gid[0]
        for i in range(3):
            for j in range(5):
                out[row, i] += m[row, i, j] * w[i, j + 1]
            row = row + 1
    """
    strided = TensorType(SCALAR_TYPES["float32"], 3, strides=(None, None, 1))
    kinds = {"m": strided, "w": TensorType(SCALAR_TYPES["float32"], 2), "out": TensorType(SCALAR_TYPES["float32"], 2)}
    assert body(text, kinds, line_directives=False) == textwrap.dedent("""\
        int row = gid.x;
        for (int i = 0; i < 3; ++i) {
          long out_offset = row * out_size_1;
          long m_offset = row * m_stride_0 + i * m_stride_1;
          long w_offset = i * w_size_1;
          for (int j = 0; j < 5; ++j) {
            out[out_offset + i] += m[m_offset + j] * w[w_offset + j + 1];
          }
          row += 1;
        }""")


def test_statements_of_one_line_share_one() -> None:
    def kernel(out):
        a, b = ml.tid[0], 2
        out[a] = b

    msl = translate(kernel, {"out": vector()}).msl
    assert "  int a = tid.x; int b = 2;\n  out[a] = float(b);\n" in msl


def test_only_helpers_that_are_used_are_carried() -> None:
    def text(expression):
        source = f"def kernel(x, out):\n    out[0] = {expression}\n"
        return translate(source, {"x": vector("int32"), "out": vector("int32")}, namespace={"ml": ml}).msl

    assert "namespace helion_msl" not in text("x[0] + 1")
    assert "floor_remainder" not in text("x[0] // x[1]")
    assert "inline T divide" in text("x[0] // x[1]")
    assert "simd" not in text("x[0] % x[1]")


PROGRAM = """
import sys
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
source = '''
def kernel(x, m, out, n):
    shared = ml.threadgroup_array(64, ml.float32)
    acc, best = 0, -ml.inf
    for i in range(ml.tid[0], n, 32):
        acc += m[i % 3, i] ** 0.5 // 0.3
        best = max(best, ml.erf(x[i]))
    shared[ml.tid[0]] = ml.simd_max(acc)
    ml.barrier()
    out[0] = shared[0] + best + ml.simd_sum(ml.int64(3))
'''
f = SCALAR_TYPES["float32"]
types = {"x": TensorType(f, 1), "m": TensorType(f, 2), "out": TensorType(f, 1), "n": SCALAR_TYPES["int32"]}
sys.stdout.write(translate(source, types, namespace={"ml": ml}).msl)
"""


def test_the_text_is_the_same_in_every_process() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "77")
    }
    assert len(texts) == 1
    assert "kernel void kernel_(" in texts.pop()


MANY = """
import sys
from generated_kernels.execute import function_of
from generated_kernels.kernels import kernel_of_seed
from helion_msl import TranslationError, metal_jit
for seed in range(40, 60):
    kernel = kernel_of_seed(seed)
    try:
        sys.stdout.write(metal_jit(function_of(kernel)).msl(*kernel.arguments()))
    except TranslationError as error:  # more buffers than Metal has
        sys.stdout.write(str(error))
"""


def test_the_text_of_functions_tuples_and_vectors_is_the_same_in_every_process(tmp_path) -> None:
    texts = []
    for seed in ("3", "2026"):
        finished = subprocess.run(
            [sys.executable, "-c", MANY],
            env=os.environ
            | {
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": str(Path(__file__).parent),
                "HELION_MSL_CACHE_DIR": str(tmp_path / seed),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        texts.append(finished.stdout)
    assert texts[0] == texts[1]
    assert "struct tuple_" in texts[0]
    assert "float4(" in texts[0]
    assert texts[0].count("static inline") > 10


def test_the_argument_table_follows_the_buffers() -> None:
    text = "def kernel(x, n, out):\n    out[n, 1] = x[n] + x.size(0)\n"
    types = {"x": vector(), "n": INT, "out": TensorType(FLOAT, 2, strides=(None, 1))}
    table = translate(text, types).arguments
    found = [(entry.name, entry.kind, entry.parameter, entry.dimension, entry.is_written) for entry in table]
    assert found == [
        ("x", "tensor", 0, 0, False),
        ("n", "scalar", 1, 0, False),
        ("out", "tensor", 2, 0, True),
        ("x_size_0", "size", 0, 0, False),
        ("out_stride_0", "stride", 2, 0, False),
    ]


def test_offsets_into_large_tensors_are_64_bits_wide() -> None:
    text = "def kernel(x, out):\n    i = ml.tgid[0] * 256 + ml.tid[0]\n    out[i] = x[i, 3]\n"
    types = {"x": TensorType(FLOAT, 2, is_large=True), "out": vector()}
    assert body(text, types) == textwrap.dedent("""\
        long i = long(tgid.x) * 256L + long(tid.x);
        out[i] = x[i * x_size_1 + 3L];""")
