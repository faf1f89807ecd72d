// The nanobind module `helion_msl._C`: reads Python arguments and hands them on.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <charconv>

#include "argument_binding.h"
#include "device_argument.h"
#include "disk_cache_bindings.h"
#include "engine_tools_bindings.h"
#include "engines.h"
#include "errors.h"
#include "graph_object.h"
#include "helion_launcher.h"
#include "kernel_dispatcher.h"
#include "kernel_object.h"
#include "launcher.h"
#include "msl_scanner.h"
#include "null_engine.h"
#include "python_arguments.h"
#include "python_errors.h"
#include "tensor_layout.h"
#include "toolchain_bridge.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace helion_msl {
namespace {

MathMode read_math_mode(nb::handle math_mode) {
  const std::string_view name = text_of(math_mode.ptr(), "math_mode");
  if (name == "safe") return MathMode::safe;
  if (name == "fast") return MathMode::fast;
  throw ArgumentError("math_mode must be \"safe\" or \"fast\", not \"" + std::string(name) + "\"");
}

ConstantValue read_constant(const std::string &name, nb::handle value) {
  const ArgumentError refusal("function constant '" + name + "' must be a bool, an int or a float");
  ArgumentValue read;
  ExportedTensors exported;
  try {
    read_argument(value.ptr(), 0, read, exported);
  } catch (const ArgumentError &) {
    throw refusal;  // which names the constant, where the other counts arguments
  }
  switch (read.kind) {
    case ArgumentValue::Kind::boolean:
      return read.boolean;
    case ArgumentValue::Kind::real:
      return read.real;
    case ArgumentValue::Kind::integer: {
      const IntegerValue &integer = read.integer;
      // ulong constants above the range of long travel as the same 64 bits.
      const bool fits = !integer.exceeds_64_bits && (!integer.is_negative || integer.magnitude <= (1ull << 63));
      if (fits) return static_cast<std::int64_t>(integer.is_negative ? 0 - integer.magnitude : integer.magnitude);
      throw ArgumentError("function constant '" + name + "' does not fit 64 bits");
    }
    default:
      throw refusal;
  }
}

Constants read_constants(nb::handle mapping) {
  Constants constants;
  if (mapping.is_none()) return constants;
  if (!PyMapping_Check(mapping.ptr()) || !nb::hasattr(mapping, "items")) {
    throw ArgumentError("constants must be a mapping of names or indices to bool, int or float");
  }
  for (nb::handle item : mapping.attr("items")()) {
    const nb::tuple pair(nb::borrow(item));
    const nb::handle key = pair[0];
    const bool is_index = PyLong_Check(key.ptr()) && !PyBool_Check(key.ptr());
    if (!is_index && !PyUnicode_Check(key.ptr())) {
      throw ArgumentError("a function constant is named by a str or by its index, not by " +
                          nb::cast<std::string>(nb::repr(key)));
    }
    const nb::str text(key);
    const std::string name(text_of(text.ptr(), "constants"));
    constants.insert_or_assign(name, read_constant(name, pair[1]));
  }
  return constants;
}

nb::object compile(nb::handle source, nb::handle name, nb::handle device, nb::handle math_mode, nb::handle constants) {
  KernelKey key{read_device(device), {}};
  key.request.source = text_of(source.ptr(), "msl");
  if (!name.is_none()) key.request.name = text_of(name.ptr(), "name");
  key.request.math_mode = read_math_mode(math_mode);
  key.request.constants = read_constants(constants);
  Engine &engine = engine_for(key.device);
  std::shared_ptr<const CompiledKernel> compiled = find_kernel(key, engine);
  return nb::steal(make_kernel_object({&engine, std::move(compiled), std::move(key.request.source)}));
}

void synchronize(nb::handle device) {
  Engine &engine = engine_for(read_device(device));
  const nb::gil_scoped_release no_gil;
  engine.synchronize();
}

void commit(nb::handle device) {
  engine_for(read_device(device)).commit();
}

std::string engine_description(nb::handle device) {
  Engine &engine = engine_for(read_device(device));
  const nb::gil_scoped_release no_gil;  // may have to ask the compiler for its version
  return engine.description();
}

// What a launch reads off a tensor, for tests and for the curious.
nb::object read_tensor(nb::handle object) {
  ArgumentValue value;
  ExportedTensors exported;
  read_argument(object.ptr(), 0, value, exported);
  if (value.kind != ArgumentValue::Kind::tensor) return nb::none();
  const TensorView &tensor = value.tensor;
  nb::dict result;
  result["data"] = reinterpret_cast<std::uintptr_t>(tensor.data);
  result["byte_offset"] = tensor.byte_offset;
  result["element_count"] = layout_of(tensor).element_count;
  result["byte_span"] = byte_span(tensor);
  result["dtype"] = data_type_name(tensor.dtype);
  result["device"] = device_name(tensor.device);
  result["is_read_only"] = tensor.is_read_only;
  result["is_read_directly"] = is_read_directly(object.ptr());
  return result;
}

void bind_argument_info(nb::module_ &m) {
  nb::class_<ArgumentInfo>(m, "ArgumentInfo", "What a kernel declares at one buffer index.")
      .def_ro("name", &ArgumentInfo::name, "Name of the parameter.")
      .def_ro("index", &ArgumentInfo::index, "n of ``[[buffer(n)]]`` or ``[[threadgroup(n)]]``.")
      .def_prop_ro(
          "dtype", [](const ArgumentInfo &a) { return scalar_type_name(a.scalar); },
          "torch's name of the scalar type, such as ``\"float32\"``; ``\"opaque\"`` for structs.")
      .def_ro("lanes", &ArgumentInfo::lanes, "Components of a vector type, 1 for scalars.")
      .def_ro("element_size", &ArgumentInfo::element_size, "Bytes of one element as declared.")
      .def_ro("is_reference", &ArgumentInfo::is_reference, "Whether exactly one element is read.")
      .def_ro("is_writable", &ArgumentInfo::is_writable, "Whether the kernel may write there.")
      .def_ro("is_threadgroup_memory", &ArgumentInfo::is_threadgroup_memory,
              "Whether it is threadgroup memory, for which a launch gives the size in bytes.")
      .def("__repr__", [](const ArgumentInfo &a) {
        return "<" + a.name + ": " + declared_type(a) + (a.is_threadgroup_memory ? ", threadgroup " : ", buffer ") +
               std::to_string(a.index) + ">";
      });
}

void bind_cache(nb::module_ &m) {
  nb::class_<CacheStatistics>(m, "CacheInfo", "State of the in-memory cache of compiled kernels.")
      .def_ro("hits", &CacheStatistics::hits, "Look-ups that found a kernel.")
      .def_ro("misses", &CacheStatistics::misses, "Look-ups that started a compile.")
      .def_ro("size", &CacheStatistics::size, "Kernels held now.")
      .def_ro("capacity", &CacheStatistics::capacity,
              "Most kernels held; ``HELION_MSL_CACHE_SIZE`` in the environment sets it.")
      .def("__repr__", [](const CacheStatistics &s) {
        return "CacheInfo(hits=" + std::to_string(s.hits) + ", misses=" + std::to_string(s.misses) +
               ", size=" + std::to_string(s.size) + ", capacity=" + std::to_string(s.capacity) + ")";
      });
  m.def(
      "cache_info", [] { return kernel_cache().statistics(); },
      "State of the in-memory cache since the start or the last :func:`clear_cache`.");
  m.def(
      "clear_cache", [] { kernel_cache().clear(); },
      "Forgets all compiled kernels; :class:`Kernel` objects and running launches keep theirs.");
}

constexpr const char *launch_doc =
    R"(Runs a kernel, compiling it first where its text is new.

The engine follows the tensors: Apple's GPU for ``mps`` tensors, this machine's cores for CPU tensors. On the GPU the
launch joins PyTorch's own stream, in order, and returns before it has run.

Args:
    msl: Metal Shading Language source. The same ``str`` object is found again without reading it.
    args: one value for each parameter of the kernel that has a buffer index, in ascending order of the indices.
        Tensors (and other objects with ``__dlpack__``) become buffers that begin at their first element; the kernel
        sees memory and no strides. A ``bool``, ``int`` or ``float`` becomes a constant of the declared type, ``bytes``
        (at most 4096) a constant of any type. Parameters that are threadgroup memory, ``threadgroup float *shared
        [[threadgroup(0)]]``, come last: for each, an ``int`` that is its size in bytes.
    grid: number of threadgroups, one to three numbers, x first.
    block_dims: number of threads in a threadgroup, one to three numbers, x first.
    name: the kernel to run, needed where the source has several.

Raises:
    MetalCompileError: the source does not compile.
    UnknownKernelError: the source has no such kernel, or several and ``name`` is None.
    ArgumentError: an argument does not fit the kernel.
    LaunchError: ``grid`` or ``block_dims`` cannot be dispatched.
    KernelError: the kernel failed; on the GPU, raised by a later :func:`synchronize`.
    EngineUnavailableError: there is no compiler or no GPU to run it.)";

constexpr const char *record_doc =
    R"(Records launches, to repeat them with other tensors by one call.

The launches that this thread makes in the block run as usual, and are recorded::

    with helion_msl.record(x=x, out=out) as graph:
        scale[grid, block](x, scratch)
        add[grid, block](scratch, x, out)
    graph(x=x2, out=out2)

Args:
    parameters: what calls may replace, by name. A tensor is recognized in a launch by its memory, views of it too. For
        an ``int`` or a ``float`` launches are given ``graph["name"]``, which stands in for it.

Returns:
    The graph, to be entered once, and called after that.

Raises:
    ArgumentError: a value cannot be a parameter, or two tensors share memory.)";

// `with _C._NullEngine():`
struct NullEngine {};

constexpr const char *compile_doc =
    R"(Compiles a kernel, or finds it in the cache.

Args:
    msl: Metal Shading Language source.
    name: the kernel wanted, needed where the source has several.
    device: ``"mps"`` or ``"cpu"``; by default ``"mps"`` where there is Metal and ``"cpu"`` elsewhere.
    math_mode: ``"safe"`` follows IEEE 754 as PyTorch's own kernels do, ``"fast"`` allows what Metal's fast math does.
    constants: values of function constants, by name or by index.

Returns:
    The kernel, ready to be called.

Raises:
    MetalCompileError: the source does not compile.
    UnknownKernelError: the source has no such kernel, or several and ``name`` is None.
    ArgumentError: ``device``, ``math_mode`` or ``constants`` has no meaning.
    EngineUnavailableError: there is no compiler or no device.)";

}  // namespace
}  // namespace helion_msl

NB_MODULE(_C, m) {
  using namespace helion_msl;
  m.doc() = "The native part of helion_msl: compiles Metal Shading Language and launches kernels.";
  register_error_translator();
  register_toolchain_finder();
  bind_argument_info(m);
  bind_kernel(m.ptr());
  bind_graph(m.ptr());
  bind_kernel_dispatcher(m.ptr());
  bind_helion_launcher(m.ptr());
  bind_helion_dispatch(m.ptr());
  bind_cache(m);
  bind_disk_cache(m);
  bind_engine_tools(m);
  m.def(
      "launch",
      [](nb::handle msl, nb::handle args, nb::handle grid, nb::handle block_dims, nb::handle name) {
        launch_source(msl.ptr(), args.ptr(), grid.ptr(), block_dims.ptr(), name.ptr());
      },
      "msl"_a.none(), "args"_a.none(), "grid"_a.none(), "block_dims"_a.none(), nb::kw_only(),
      "name"_a.none() = nb::none(),
      nb::sig("def launch(msl: str, args: collections.abc.Sequence[object], grid: int | collections.abc.Sequence[int], "
              "block_dims: int | collections.abc.Sequence[int], *, name: str | None = None) -> None"),
      launch_doc);
  m.def(
      "record", [](const nb::kwargs &parameters) { return nb::steal(make_graph_object(parameters.ptr())); },
      nb::sig("def record(**parameters: object) -> Graph"), record_doc);
  m.def("compile", compile, "msl"_a.none(), nb::kw_only(), "name"_a.none() = nb::none(), "device"_a.none() = nb::none(),
        "math_mode"_a.none() = "safe", "constants"_a.none() = nb::none(),
        nb::sig("def compile(msl: str, *, name: str | None = None, device: object = None, math_mode: "
                "typing.Literal['safe', 'fast'] = 'safe', constants: collections.abc.Mapping[str | int, bool | int | "
                "float] | None = None) -> Kernel"),
        compile_doc);
  m.def("synchronize", synchronize, "device"_a.none() = nb::none(),
        nb::sig("def synchronize(device: object = None) -> None"),
        "Waits for all launches on ``device`` (by default the platform's).\n\nRaises:\n    KernelError: one of them "
        "failed on the GPU.");
  m.def("commit", commit, "device"_a.none() = nb::none(), nb::sig("def commit(device: object = None) -> None"),
        "Hands the launches made so far to ``device``, without waiting for them.");
  m.def("engine_description", engine_description, "device"_a.none() = nb::none(),
        nb::sig("def engine_description(device: object = None) -> str"),
        "What runs kernels on ``device``: ``\"metal: Apple M3\"``, ``\"host: clang 22, 2 threads\"``.\n\nRaises:\n    "
        "EngineUnavailableError: there is no compiler or no device.");
  m.def("_read_tensor", read_tensor, "tensor"_a);
  nb::class_<NullEngine>(
      m, "_NullEngine",
      "For benchmarks: while one is entered, the launches of kernels that were looked up or compiled "
      "meanwhile are dropped instead of reaching their engine.")
      .def(nb::init<>())
      .def("__enter__", [](NullEngine &) { begin_null_engine(); })
      .def("__exit__", [](NullEngine &, nb::args) { end_null_engine(); }, nb::arg("exception"));
  m.def("_rewrite_msl", rewrite_msl, "msl"_a, "may_use_lockstep"_a = false);
}
