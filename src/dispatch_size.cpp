#include "dispatch_size.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <limits>
#include <string>

#include "errors.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

constexpr std::uint64_t max_uint = std::numeric_limits<std::uint32_t>::max();

std::string text_of(PyObject *value) {
  auto text = nb::cast<std::string>(nb::repr(nb::borrow(value)));
  constexpr std::size_t limit = 80;
  return text.size() <= limit ? text : text.substr(0, limit) + "...";
}

[[noreturn]] void refuse(std::string_view name, PyObject *value, const char *wanted) {
  throw LaunchError(std::string(name) + " must be " + wanted + ", not " + text_of(value));
}

std::uint32_t read_size(PyObject *item, std::string_view name, PyObject *whole) {
  nb::object index;
  if (!PyLong_CheckExact(item)) {
    // True counts as 1 in Python; as a number of threadgroups it is a mistake.
    if (PyBool_Check(item) || !PyIndex_Check(item)) refuse(name, whole, "an int or one to three ints");
    index = nb::steal(PyNumber_Index(item));
    if (!index.is_valid()) throw nb::python_error();
    item = index.ptr();
  }
  int overflow = 0;
  const long long size = PyLong_AsLongLongAndOverflow(item, &overflow);
  if (overflow < 0 || (overflow == 0 && size < 1)) refuse(name, whole, "at least 1 in every dimension");
  if (overflow > 0 || static_cast<unsigned long long>(size) > max_uint) {
    refuse(name, whole, "at most 4294967295 in every dimension");
  }
  return static_cast<std::uint32_t>(size);
}

std::string text_of(Dimensions size) {
  return "(" + std::to_string(size.x) + ", " + std::to_string(size.y) + ", " + std::to_string(size.z) + ")";
}

}  // namespace

Dimensions read_dimensions(PyObject *value, std::string_view name) {
  if (PyLong_Check(value) || (PyIndex_Check(value) && !PySequence_Check(value))) {
    return {read_size(value, name, value), 1, 1};
  }
  nb::object items;
  PyObject *tuple = value;
  if (!PyTuple_Check(value)) {
    const bool is_list_of_numbers = PySequence_Check(value) && !PyUnicode_Check(value) && !PyBytes_Check(value);
    if (!is_list_of_numbers) refuse(name, value, "an int or one to three ints");
    items = nb::steal(PySequence_Tuple(value));
    if (!items.is_valid()) throw nb::python_error();
    tuple = items.ptr();
  }
  const Py_ssize_t count = PyTuple_Size(tuple);
  if (count < 1 || count > 3) refuse(name, value, "an int or one to three ints");
  Dimensions size;
  size.x = read_size(PyTuple_GetItem(tuple, 0), name, value);
  if (count > 1) size.y = read_size(PyTuple_GetItem(tuple, 1), name, value);
  if (count > 2) size.z = read_size(PyTuple_GetItem(tuple, 2), name, value);
  return size;
}

void check_dispatch_size(const KernelInfo &kernel, Dimensions grid, Dimensions threads) {
  const std::uint64_t limit = kernel.max_total_threads_per_threadgroup;
  const std::uint64_t plane = std::uint64_t{threads.x} * threads.y;
  // A plane above the limit could overflow 64 bits with the third factor.
  if (plane > limit || plane * threads.z > limit) {
    throw LaunchError("block_dims " + text_of(threads) + " asks for " +
                      (plane > max_uint ? "more than 4294967295" : std::to_string(plane * threads.z)) +
                      " threads in a threadgroup, but kernel '" + kernel.name + "' allows at most " +
                      std::to_string(limit));
  }
  const auto &required = kernel.required_threads_per_threadgroup;
  if (required[0] != 0 && (required[0] != threads.x || required[1] != threads.y || required[2] != threads.z)) {
    throw LaunchError("block_dims is " + text_of(threads) + ", but kernel '" + kernel.name + "' requires " +
                      text_of(Dimensions{required[0], required[1], required[2]}));
  }
  const auto check_axis = [&](std::uint64_t groups, std::uint64_t size, char axis) {
    if (groups * size <= max_uint) return;
    throw LaunchError("grid " + text_of(grid) + " times block_dims " + text_of(threads) + " is " +
                      std::to_string(groups * size) + " threads along " + axis +
                      ", but positions in the grid have 32 bits, so 4294967295 is the most");
  };
  check_axis(grid.x, threads.x, 'x');
  check_axis(grid.y, threads.y, 'y');
  check_axis(grid.z, threads.z, 'z');
  // Threadgroups are counted in 64 bits.
  const std::uint64_t groups = std::uint64_t{grid.x} * grid.y;
  if (groups > std::numeric_limits<std::uint64_t>::max() / grid.z) {
    throw LaunchError("grid " + text_of(grid) + " has more than 2^64 threadgroups");
  }
}

}  // namespace helion_msl
