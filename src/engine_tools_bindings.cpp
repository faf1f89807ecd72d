#include "engine_tools_bindings.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>

#include "argument_binding.h"
#include "device_argument.h"
#include "engines.h"
#include "errors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace helion_msl {
namespace {

// Of a file that need not exist, as open() takes it.
std::string read_path(nb::handle path) {
  const nb::object text = nb::steal(PyOS_FSPath(path.ptr()));
  if (!text.is_valid()) throw nb::python_error();
  std::string bytes;
  if (PyUnicode_Check(text.ptr())) {
    bytes = nb::cast<std::string>(text);
  } else {
    bytes.assign(PyBytes_AsString(text.ptr()), static_cast<std::size_t>(PyBytes_Size(text.ptr())));
  }
  if (bytes.find('\0') != std::string::npos) throw ArgumentError("a path has no zero byte, which would end it");
  return bytes;
}

// A device with its tools, as the two context managers hold them.
struct ToolsOf {
  DeviceKind device;
  EngineTools *tools;

  explicit ToolsOf(nb::handle device_argument) : device(read_device(device_argument)), tools(&tools_for(device)) {}
};

// The time of launches inside of a `with` block.
class GpuTime {
 public:
  explicit GpuTime(nb::handle device) : of_(device) {}
  GpuTime(const GpuTime &) = delete;
  GpuTime &operator=(const GpuTime &) = delete;
  // A generator that is dropped inside of the block never leaves it.
  ~GpuTime() {
    if (region_) of_.tools->cancel_gpu_time(region_);
  }

  void enter() {
    if (region_) throw LaunchError("this gpu_time() is being measured already; make another one");
    seconds_.reset();
    const nb::gil_scoped_release no_gil;
    region_ = of_.tools->begin_gpu_time();
  }

  void exit(bool has_failed) {
    if (!region_) throw LaunchError("this gpu_time() has not been entered");
    const std::shared_ptr<GpuTimeRegion> region = std::move(region_);
    region_ = nullptr;
    if (has_failed) return of_.tools->cancel_gpu_time(region);
    const nb::gil_scoped_release no_gil;
    seconds_ = of_.tools->end_gpu_time(region);
  }

  std::optional<double> seconds() const { return seconds_; }
  DeviceKind device() const { return of_.device; }

 private:
  ToolsOf of_;
  std::shared_ptr<GpuTimeRegion> region_;
  std::optional<double> seconds_;
};

// A GPU trace of what happens inside of a `with` block.
class Capture {
 public:
  Capture(nb::handle path, nb::handle device) : of_(device), path_(read_path(path)) {}

  void enter() {
    const nb::gil_scoped_release no_gil;
    of_.tools->begin_capture(path_);
  }
  void exit() {
    const nb::gil_scoped_release no_gil;
    of_.tools->end_capture();
  }

  const std::string &path() const { return path_; }

 private:
  ToolsOf of_;
  std::string path_;
};

DeviceInfo device_info(nb::handle device) {
  EngineTools &tools = tools_for(read_device(device));
  const nb::gil_scoped_release no_gil;  // may have to ask the compiler for its version
  return tools.device_info();
}

std::string describe(const DeviceInfo &info) {
  std::string text = "<helion_msl.DeviceInfo '" + info.name + "', MSL " + info.language_version + " by " +
                     info.compiler + ", " + info.system;
  if (!info.family.empty()) text += ", family " + info.family;
  if (info.threads) text += ", " + std::to_string(*info.threads) + (*info.threads == 1 ? " thread" : " threads");
  if (info.is_paravirtual) text += ", paravirtual";
  return text + ">";
}

void set_commit_every(nb::handle launches, nb::handle device) {
  const char *refusal = "commit_every takes a number of launches from 0 to 4294967295, not ";
  const nb::object number = nb::steal(PyNumber_Index(launches.ptr()));
  int overflow = 0;
  const long long value = number.is_valid() ? PyLong_AsLongLongAndOverflow(number.ptr(), &overflow) : -1;
  PyErr_Clear();
  if (overflow != 0 || value < 0 || value > UINT32_MAX || PyBool_Check(launches.ptr())) {
    throw ArgumentError(refusal + nb::cast<std::string>(nb::repr(launches)));
  }
  tools_for(read_device(device)).set_commit_every(static_cast<std::uint32_t>(value));
}

void bind_device_info(nb::module_ &m) {
  nb::class_<DeviceInfo>(m, "DeviceInfo",
                         "What a device tells about itself. Texts are empty and numbers None where it has nothing of "
                         "the kind.")
      .def_ro("name", &DeviceInfo::name, "Name of the GPU or of the processor, ``\"Apple M3 Pro\"``.")
      .def_ro("architecture", &DeviceInfo::architecture, "``\"applegpu_g15s\"``, ``\"x86_64\"``.")
      .def_ro("family", &DeviceInfo::family,
              "Highest of Apple's GPU families that it supports, ``\"apple9\"``; empty on the CPU.")
      .def_ro("language_version", &DeviceInfo::language_version,
              "Version of MSL that kernels are compiled as, ``\"3.2\"``.")
      .def_ro("compiler", &DeviceInfo::compiler, "What compiles kernels, ``\"Metal\"`` or ``\"clang 22\"``.")
      .def_ro("system", &DeviceInfo::system, "The operating system and its version.")
      .def_ro("threads", &DeviceInfo::threads, "Threads of the CPU that run kernels; None on a GPU.")
      .def_ro("max_threads_per_threadgroup", &DeviceInfo::max_threads_per_threadgroup,
              "Most threads of a threadgroup along x; a kernel may allow fewer.")
      .def_ro("max_threadgroup_memory", &DeviceInfo::max_threadgroup_memory,
              "Most bytes of threadgroup memory that a threadgroup can have.")
      .def_ro("max_buffer_length", &DeviceInfo::max_buffer_length, "Most bytes of one buffer; None: as memory allows.")
      .def_ro("recommended_working_set", &DeviceInfo::recommended_working_set,
              "Bytes that all buffers together should not exceed.")
      .def_ro("has_unified_memory", &DeviceInfo::has_unified_memory, "Whether CPU and device share their memory.")
      .def_ro("is_paravirtual", &DeviceInfo::is_paravirtual,
              "Whether it is the GPU of a virtual machine, which differs from a physical one.")
      .def("__repr__", describe);
  m.def("device_info", device_info, "device"_a.none() = nb::none(),
        nb::sig("def device_info(device: object = None) -> DeviceInfo"),
        "What kernels on ``device`` (by default the platform's) run on.\n\nRaises:\n    EngineUnavailableError: there "
        "is no compiler or no device.");
}

constexpr const char *gpu_time_doc =
    R"(Measures the time that launches of this package take on the device: ``with gpu_time() as time: ...``.

Leaving the block waits for the launches in it; ``time.seconds`` is then what they took. On the GPU it is the time
between the start and the end of the command buffers that hold them, so PyTorch's kernels in the same buffers count as
well; on the CPU it is the time inside of the launches. What runs at the same time counts once. One block can be open
at a time, in all threads together.

Args:
    device: ``"mps"`` or ``"cpu"``; by default the platform's.

Raises:
    LaunchError: another block is open.
    KernelError: a launch failed on the GPU; raised when the block is left.
    EngineUnavailableError: there is no compiler or no device.)";

void bind_gpu_time(nb::module_ &m) {
  nb::class_<GpuTime>(m, "GpuTime", "The context manager of :func:`gpu_time`.")
      .def_prop_ro("seconds", &GpuTime::seconds, nb::sig("def seconds(self) -> float | None"),
                   "What the launches took; None before the block is left, or when an exception left it.")
      .def_prop_ro(
          "device", [](const GpuTime &time) { return device_name(time.device()); }, "``\"mps\"`` or ``\"cpu\"``.")
      .def(
          "__enter__",
          [](nb::object self) {
            nb::cast<GpuTime &>(self).enter();
            return self;
          },
          nb::sig("def __enter__(self) -> GpuTime"))
      .def(
          "__exit__", [](GpuTime &time, nb::handle type, nb::handle, nb::handle) { time.exit(!type.is_none()); },
          "type"_a.none() = nb::none(), "value"_a.none() = nb::none(), "traceback"_a.none() = nb::none(),
          nb::sig("def __exit__(self, type: object = None, value: object = None, traceback: object = None) -> None"));
  m.def(
      "gpu_time", [](nb::handle device) { return new GpuTime(device); }, "device"_a.none() = nb::none(),
      nb::rv_policy::take_ownership, nb::sig("def gpu_time(device: object = None) -> GpuTime"), gpu_time_doc);
}

constexpr const char *capture_doc =
    R"(Records all work of the GPU into a ``.gputrace`` document, which Xcode opens: ``with capture("a.gputrace"): ...``.

The process has to be started with ``MTL_CAPTURE_ENABLED=1`` in its environment. Kernels appear under their names. Work
from before the block is not in the document; leaving the block waits for the work in it.

Args:
    path: of the document: ends in ``.gputrace``, and nothing may be there yet.
    device: ``"mps"``, the default on a Mac. The CPU has nothing to capture.

Raises:
    LaunchError: Metal cannot capture, or a capture is running.
    KernelError: a launch failed on the GPU; raised when the block is left, with the document complete.
    EngineUnavailableError: there is no GPU.)";

void bind_capture(nb::module_ &m) {
  nb::class_<Capture>(m, "Capture", "The context manager of :func:`capture`.")
      .def_prop_ro("path", &Capture::path, "Where the document is written.")
      .def(
          "__enter__",
          [](nb::object self) {
            nb::cast<Capture &>(self).enter();
            return self;
          },
          nb::sig("def __enter__(self) -> Capture"))
      .def(
          "__exit__", [](Capture &capture, nb::handle, nb::handle, nb::handle) { capture.exit(); },
          "type"_a.none() = nb::none(), "value"_a.none() = nb::none(), "traceback"_a.none() = nb::none(),
          nb::sig("def __exit__(self, type: object = None, value: object = None, traceback: object = None) -> None"));
  m.def(
      "capture", [](nb::handle path, nb::handle device) { return new Capture(path, device); }, "path"_a,
      "device"_a.none() = nb::none(), nb::rv_policy::take_ownership,
      nb::sig("def capture(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], device: object = None) -> "
              "Capture"),
      capture_doc);
}

}  // namespace

void bind_engine_tools(nb::module_ &m) {
  bind_device_info(m);
  bind_gpu_time(m);
  bind_capture(m);
  m.def(
      "get_commit_every", [](nb::handle device) { return tools_for(read_device(device)).commit_every(); },
      "device"_a.none() = nb::none(), nb::sig("def get_commit_every(device: object = None) -> int"),
      "After how many launches of a stream the engine commits them by itself; 0: never.");
  m.def(
      "set_commit_every", set_commit_every, "launches"_a.none(), "device"_a.none() = nb::none(),
      nb::sig("def set_commit_every(launches: int, device: object = None) -> None"),
      "Sets after how many launches of a stream the engine commits them, so that the GPU starts early.\n\n64 at "
      "first, or ``HELION_MSL_COMMIT_EVERY`` of the environment; 0 leaves it to PyTorch. On the CPU a launch has run "
      "when it returns, and the number has no effect.\n\nRaises:\n    ArgumentError: ``launches`` is no such number.");
  m.def(
      "set_labels", [](bool wanted, nb::handle device) { tools_for(read_device(device)).set_labels(wanted); },
      "wanted"_a, "device"_a.none() = nb::none(),
      nb::sig("def set_labels(wanted: bool, device: object = None) -> None"),
      "Whether launches carry their kernel's name for Instruments, at the cost of two messages to Metal each.\n\n"
      "Off at first; always on during a :func:`capture`.");
}

}  // namespace helion_msl
