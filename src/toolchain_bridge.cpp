#include "toolchain_bridge.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "errors.h"
#include "host_compiler.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

using Strings = std::vector<std::string>;

// Called by the host engine without the GIL. No Python exception may travel through it, so one becomes text here.
Toolchain find_toolchain() {
  const nb::gil_scoped_acquire gil;
  try {
    const nb::object found = nb::module_::import_("helion_msl._toolchain").attr("find_toolchain")();
    Toolchain toolchain;
    toolchain.clang = nb::cast<Strings>(found.attr("clang"));
    toolchain.linker = nb::cast<Strings>(found.attr("linker"));
    toolchain.include_directories = nb::cast<Strings>(found.attr("include_directories"));
    toolchain.description = nb::cast<std::string>(found.attr("description"));
    toolchain.version = nb::cast<std::string>(found.attr("version"));
    return toolchain;
  } catch (nb::python_error &error) {
    throw EngineUnavailableError(nb::cast<std::string>(nb::str(error.value())));
  }
}

}  // namespace

void register_toolchain_finder() {
  set_toolchain_finder(find_toolchain);
}

}  // namespace helion_msl
