// From a kernel's C++ function to its entry in the table of abi.h. The scanner of the extension writes, behind each
// kernel, where each of its parameters comes from; their types are taken from the function itself.
#pragma once

#include "abi.h"
#include "kernel_argument.h"
#include "place.h"
#include "platform.h"
#include "reconvergence.h"
#include "scalar.h"
#include "vector.h"

namespace helion_host {

// What a kernel returns here instead of void: whether the thread came to the end of its body. A number that nobody
// reads costs nothing once the kernel is inlined.
enum thread_end : helion_host_u32 { left = 0, finished = 1 };

// ---- Where a parameter comes from -----------------------------------------------------------------------------------

// MSL specification, "Attributes for Kernel Function Input Arguments".
enum class position_kind {
  thread_position_in_grid,
  thread_position_in_threadgroup,
  thread_index_in_threadgroup,
  threadgroup_position_in_grid,
  threads_per_threadgroup,
  dispatch_threads_per_threadgroup,
  threadgroups_per_grid,
  threads_per_grid,
  grid_size,
  grid_origin,
  thread_index_in_simdgroup,
  simdgroup_index_in_threadgroup,
  simdgroups_per_threadgroup,
  dispatch_simdgroups_per_threadgroup,
  threads_per_simdgroup,
  thread_execution_width,
  thread_index_in_quadgroup,
  quadgroup_index_in_threadgroup,
  quadgroups_per_threadgroup,
  dispatch_quadgroups_per_threadgroup,
};

inline constexpr int no_index = -1;
inline constexpr int next_index = -2;

template <position_kind position_>
struct position {
  static constexpr int index = no_index;
  static constexpr position_kind kind = position_;
};
// [[buffer(n)]]
template <auto n>
struct buffer {
  static_assert(n >= 0 && n < 31, "[[buffer(n)]]: n goes from 0 to 30");
  static constexpr int index = static_cast<int>(n);
};
// A buffer without an index of its own.
struct next_buffer {
  static constexpr int index = next_index;
};
// A buffer of `constant` memory.
template <class Input>
struct in_constant_memory : Input {
  static constexpr bool is_constant = true;
};
// [[threadgroup(n)]]: memory of the threadgroup, whose size the launch gives.
template <auto n>
struct threadgroup_memory {
  static_assert(n >= 0 && n < 31, "[[threadgroup(n)]]: n goes from 0 to 30");
  static constexpr int index = no_index;
  static constexpr int threadgroup_index = static_cast<int>(n);
};
// A buffer that is there where a function constant is true.
template <class Input, bool is_present>
struct optional : Input {};
template <class Input>
struct optional<Input, false> {
  static constexpr int index = no_index;
};
template <class Input>
constexpr int threadgroup_index_of() {
  if constexpr (requires { Input::threadgroup_index; }) {
    return Input::threadgroup_index;
  } else {
    return no_index;
  }
}
template <class Input>
inline constexpr bool is_threadgroup_memory = threadgroup_index_of<Input>() != no_index;

template <class Input>
inline constexpr bool is_buffer = Input::index != no_index;
template <class Input>
inline constexpr bool is_position = requires { Input::kind; };
template <class Input>
inline constexpr bool is_constant = requires { Input::is_constant; };

// ---- Limits
// -----------------------------------------------------------------------------------------------------------

template <auto n>
struct max_total_threads {
  static constexpr void add_to(helion_host_kernel &entry) {
    entry.max_total_threads_per_threadgroup = static_cast<helion_host_u32>(n);
  }
};
template <auto x, auto y = 1, auto z = 1>
struct required_threads {
  static constexpr void add_to(helion_host_kernel &entry) {
    entry.required_threads_per_threadgroup[0] = static_cast<helion_host_u32>(x);
    entry.required_threads_per_threadgroup[1] = static_cast<helion_host_u32>(y);
    entry.required_threads_per_threadgroup[2] = static_cast<helion_host_u32>(z);
  }
};
template <class... Limits>
struct limits {
  static constexpr void add_to(helion_host_kernel &entry) { (Limits::add_to(entry), ...); }
};

// ---- Positions
// --------------------------------------------------------------------------------------------------------

template <position_kind kind>
HELION_MSL_FUNC constexpr auto value_of(const place &at) {
  using enum position_kind;
  constexpr uint32 simd_width = HELION_HOST_SIMD_WIDTH;
  constexpr uint32 quad_width = 4;
  if constexpr (kind == thread_position_in_grid) return at.global;
  if constexpr (kind == thread_position_in_threadgroup) return at.local;
  if constexpr (kind == thread_index_in_threadgroup) return at.index;
  if constexpr (kind == threadgroup_position_in_grid) return at.group;
  if constexpr (kind == threads_per_threadgroup || kind == dispatch_threads_per_threadgroup) return at.threads;
  if constexpr (kind == threadgroups_per_grid) return at.threadgroups;
  if constexpr (kind == threads_per_grid || kind == grid_size) return at.threadgroups * at.threads;
  if constexpr (kind == grid_origin) return triple{0, 0, 0};
  if constexpr (kind == thread_index_in_simdgroup) return at.index % simd_width;
  if constexpr (kind == simdgroup_index_in_threadgroup) return at.index / simd_width;
  if constexpr (kind == simdgroups_per_threadgroup || kind == dispatch_simdgroups_per_threadgroup) {
    return divide_up(at.threads.product(), simd_width);
  }
  if constexpr (kind == threads_per_simdgroup || kind == thread_execution_width) return simd_width;
  if constexpr (kind == thread_index_in_quadgroup) return at.index % quad_width;
  if constexpr (kind == quadgroup_index_in_threadgroup) return at.index / quad_width;
  if constexpr (kind == quadgroups_per_threadgroup || kind == dispatch_quadgroups_per_threadgroup) {
    return divide_up(at.threads.product(), quad_width);
  }
}

// Whether a position tells the threads of one threadgroup from those of another.
constexpr bool depends_on_threadgroup(position_kind kind) {
  using enum position_kind;
  switch (kind) {
    case thread_position_in_threadgroup:
    case thread_index_in_threadgroup:
    case threadgroup_position_in_grid:
    case thread_index_in_simdgroup:
    case simdgroup_index_in_threadgroup:
    case thread_index_in_quadgroup:
    case quadgroup_index_in_threadgroup:
      return true;
    default:
      return false;
  }
}
template <class Input>
constexpr bool input_depends_on_threadgroup() {
  if constexpr (is_position<Input>) {
    return depends_on_threadgroup(Input::kind);
  }
  return false;
}

// Whether the type of a parameter can hold what its attribute says: MSL specification, the table of the same
// attributes.
template <class Parameter, class Input>
constexpr bool is_fit() {
  if constexpr (is_position<Input>) {
    using element = element_t<Parameter>;
    constexpr bool is_scalar = __is_same(decltype(value_of<Input::kind>(place())), uint32);
    return (__is_same(element, uint) || __is_same(element, ushort)) && vector_size<Parameter> <= (is_scalar ? 1 : 3);
  }
  return true;
}

// Whether a parameter points to halves or bfloats.
template <class Parameter>
constexpr bool points_to_small_floats() {
  using element = metal::remove_cv_t<metal::remove_pointer_t<metal::remove_cv_t<Parameter>>>;
  return __is_pointer(Parameter) && (__is_same(element, float16) || __is_same(element, metal::bfloat));
}

// As the type that the parameter is declared with.
template <class Parameter>
HELION_MSL_FUNC constexpr Parameter position_as(uint32 value) {
  return static_cast<Parameter>(value);
}
template <class Parameter>
HELION_MSL_FUNC constexpr Parameter position_as(triple value) {
  using element = element_t<Parameter>;
  constexpr int size = vector_size<Parameter>;
  if constexpr (size == 1) {
    return static_cast<Parameter>(value.x);
  } else if constexpr (size == 2) {
    return Parameter(static_cast<element>(value.x), static_cast<element>(value.y));
  } else {
    return Parameter(static_cast<element>(value.x), static_cast<element>(value.y), static_cast<element>(value.z));
  }
}

// ---- The table of arguments -----------------------------------------------------------------------------------------

// Buffer indices of all parameters: parameters without one take the lowest that is free, in their order.
template <int count>
struct buffer_indices {
  int values[count == 0 ? 1 : count];
  int buffers = 0;

  constexpr explicit buffer_indices(const int *declared) : values{} {
    for (int i = 0; i < count; ++i) {
      values[i] = declared[i];
      buffers += declared[i] != no_index;
    }
    for (int i = 0, free = 0; i < count; ++i) {
      if (values[i] != next_index) continue;
      while (is_used(free)) ++free;
      values[i] = free;
    }
  }
  constexpr bool is_used(int index) const {
    for (int i = 0; i < count; ++i) {
      if (values[i] == index) return true;
    }
    return false;
  }
  constexpr bool are_distinct() const {
    for (int i = 0; i < count; ++i) {
      for (int j = 0; j < i; ++j) {
        if (values[i] >= 0 && values[i] == values[j]) return false;
      }
    }
    return true;
  }
  // Place of parameter i among the arguments, which ascend by index.
  constexpr int slot(int i) const {
    int slot = 0;
    for (int j = 0; j < count; ++j) slot += values[j] >= 0 && values[j] < values[i];
    return slot;
  }
};

// Names the kernel in the table of threadgroup variables: an address of its own that does not keep the function itself
// in the library.
template <auto Function>
inline constexpr char kernel_identity = 0;

// ---- Parameters of one launch
// -----------------------------------------------------------------------------------------

template <int i, class Parameter, class Input>
struct bound_parameter {
  void *address;
  HELION_MSL_FUNC explicit bound_parameter(void *argument) : address(argument) {}
  HELION_MSL_FUNC Parameter get(const place &) const { return argument_value<Parameter>(address); }
};
template <int i, class Parameter, class Input>
  requires is_position<Input>
struct bound_parameter<i, Parameter, Input> {
  HELION_MSL_FUNC explicit bound_parameter(void *) {}
  HELION_MSL_FUNC Parameter get(const place &at) const { return position_as<Parameter>(value_of<Input::kind>(at)); }
};
template <int i, class Parameter, class Input>
  requires is_threadgroup_memory<Input>
struct bound_parameter<i, Parameter, Input> {
  uint64 offset;
  HELION_MSL_FUNC explicit bound_parameter(void *argument) : offset(reinterpret_cast<uint64>(argument)) {}
  HELION_MSL_FUNC Parameter get(const place &at) const {
    return argument_value<Parameter>(at.threadgroup_memory + offset);
  }
};
// Nothing changes `constant` memory during a launch. A copy lets clang see that: stores through other parameters could
// change the original, so that it would be read again by every thread.
template <class T>
inline constexpr bool is_small = __is_trivially_copyable(T) && !__is_array(T) && sizeof(T) <= 64;
template <int i, class T, class Input>
  requires(is_constant<Input> && is_small<T>)
struct bound_parameter<i, const T &, Input> {
  T value;
  HELION_MSL_FUNC explicit bound_parameter(void *argument) : value(*static_cast<const T *>(argument)) {}
  HELION_MSL_FUNC const T &get(const place &) const { return value; }
};

template <class... Inputs>
struct inputs {};

template <class T, T... i>
struct sequence {};
template <int count>
using sequence_of = __make_integer_seq<sequence, int, count>;

template <class Function, class Inputs>
struct signature;

template <class... Parameters, class... Inputs>
struct signature<thread_end (*)(Parameters...), inputs<Inputs...>> {
  static_assert(sizeof...(Parameters) == sizeof...(Inputs));
  static constexpr int count = sizeof...(Parameters);
  static constexpr int declared[count + 1] = {Inputs::index..., 0};
  static constexpr buffer_indices<count> indices{declared};
  static_assert(indices.are_distinct(), "two parameters of a kernel have the same buffer index");
  static constexpr int declared_threadgroup[count + 1] = {threadgroup_index_of<Inputs>()..., 0};
  static constexpr buffer_indices<count> threadgroup_indices{declared_threadgroup};
  static_assert(threadgroup_indices.are_distinct(), "two parameters of a kernel have the same threadgroup index");
  static constexpr int argument_count = indices.buffers + threadgroup_indices.buffers;
  template <int i, class Input>
  static constexpr int slot = is_buffer<Input> ? indices.slot(i) : indices.buffers + threadgroup_indices.slot(i);
  static_assert(
      (is_fit<Parameters, Inputs>() && ...),
      "a position or a size is passed as uint or ushort, or as a vector of two or three of them; an index or a "
      "count as uint or ushort");

  static constexpr bool needs_threadgroups = (input_depends_on_threadgroup<Inputs>() || ...);
  static constexpr bool has_small_floats = (points_to_small_floats<Parameters>() || ...);

  struct argument_table {
    helion_host_argument arguments[argument_count + 1];
  };

  static constexpr argument_table make_arguments(const char *const *names) {
    argument_table table{};
    int i = 0;
    (add_argument<Parameters, Inputs>(table, i++, names), ...);
    return table;
  }

  template <class Sequence>
  struct bound_parameters;
  template <int... i>
  struct bound_parameters<sequence<int, i...>> : bound_parameter<i, Parameters, Inputs>... {
    HELION_MSL_FUNC explicit bound_parameters(const helion_host_launch &launch)
        : bound_parameter<i, Parameters, Inputs>(address_of<i, Inputs>(launch))... {}

    template <auto Function>
    HELION_MSL_FUNC thread_end call(const place &at) const {
      return Function(bound_parameter<i, Parameters, Inputs>::get(at)...);
    }
    template <int k>
    HELION_MSL_FUNC decltype(auto) parameter(const place &at) const {
      return get_from<k>(*this, at);
    }

   private:
    template <int k, class Parameter, class Input>
    HELION_MSL_FUNC static Parameter get_from(const bound_parameter<k, Parameter, Input> &bound, const place &at) {
      return bound.get(at);
    }
  };
  using bound = bound_parameters<sequence_of<count>>;

 private:
  template <class Parameter, class Input>
  static constexpr void add_argument(argument_table &table, int i, const char *const *names) {
    if constexpr (is_buffer<Input>) {
      const int index = indices.values[i];
      table.arguments[indices.slot(i)] = describe_argument<Parameter>(names[i], static_cast<helion_host_u32>(index));
    } else if constexpr (is_threadgroup_memory<Input>) {
      constexpr auto index = static_cast<helion_host_u32>(threadgroup_index_of<Input>());
      helion_host_argument &argument = table.arguments[indices.buffers + threadgroup_indices.slot(i)];
      argument = describe_argument<Parameter>(names[i], index);
      argument.is_threadgroup_memory = 1;
    }
  }

  template <int i, class Input>
  HELION_MSL_FUNC static void *address_of(const helion_host_launch &launch) {
    if constexpr (is_buffer<Input> || is_threadgroup_memory<Input>) {
      return launch.arguments[slot<i, Input>];
    } else {
      return nullptr;
    }
  }
};

// ---- The entry
// ----------------------------------------------------------------------------------------------------------

// Without a lockstep. `Lockstep::run` runs a threadgroup of a kernel whose threads wait for each other.
struct no_lockstep {};

template <auto Function, class Kernel, bool synchronizes, class Lockstep = no_lockstep>
struct kernel_entry {
  static constexpr bool has_lockstep = !__is_same(Lockstep, no_lockstep);
  using parameters = signature<decltype(Function), typename Kernel::inputs>;
  static constexpr auto table = parameters::make_arguments(Kernel::names);

  static constexpr helion_host_kernel describe(const char *name) {
    helion_host_kernel entry{};
    entry.name = name;
    entry.arguments = table.arguments;
    entry.argument_count = static_cast<helion_host_u32>(parameters::argument_count);
    Kernel::limits::add_to(entry);
    entry.function = &kernel_identity<Function>;
    if constexpr (has_lockstep) {
      entry.run_threadgroups = run_in_lockstep;
    } else if constexpr (synchronizes) {
      entry.run_thread = run_thread;
      entry.enter_os_thread = enter_os_thread;
    } else {
      entry.run_thread = run_thread;
      entry.run_threadgroups = run_threadgroups;
    }
    return entry;
  }

  // Any thread_local variable of the library will do: they are allocated together.
  static void enter_os_thread() {
    static thread_local volatile char touched;
    touched = 1;
  }

  static helion_host_u32 run_thread(const helion_host_launch *launch, const helion_host_thread *position) {
    const typename parameters::bound arguments(*launch);
    place at;
    at.threadgroups = as_triple(launch->threadgroups_per_grid);
    at.threads = as_triple(launch->threads_per_threadgroup);
    at.group = as_triple(position->threadgroup_position);
    at.local = as_triple(position->thread_position);
    at.global = at.group * at.threads + at.local;
    at.index = position->thread_index;
    at.threadgroup_memory = position->threadgroup_memory;
    return arguments.template call<Function>(at);
  }

  HELION_HOST_PLAIN_LOOP static void run_in_lockstep(const helion_host_launch *launch, helion_host_u64 begin,
                                                     helion_host_u64 end) {
    const typename parameters::bound arguments(*launch);
    place at;
    at.threadgroups = as_triple(launch->threadgroups_per_grid);
    at.threads = as_triple(launch->threads_per_threadgroup);
    for (helion_host_u64 index = begin; index != end; ++index) {
      const helion_host_u64 row = index / at.threadgroups.x;
      at.group = {static_cast<uint32>(index % at.threadgroups.x), static_cast<uint32>(row % at.threadgroups.y),
                  static_cast<uint32>(row / at.threadgroups.y)};
      Lockstep::run(arguments, at);
    }
  }

  HELION_HOST_PLAIN_LOOP static void run_threadgroups(const helion_host_launch *launch, helion_host_u64 begin,
                                                      helion_host_u64 end) {
    const typename parameters::bound arguments(*launch);
    place at;
    at.threadgroups = as_triple(launch->threadgroups_per_grid);
    at.threads = as_triple(launch->threads_per_threadgroup);
    for (helion_host_u64 index = begin; index != end;) {
      const helion_host_u64 row = index / at.threadgroups.x;
      at.group = {static_cast<uint32>(index % at.threadgroups.x), static_cast<uint32>(row % at.threadgroups.y),
                  static_cast<uint32>(row / at.threadgroups.y)};
      const uint32 rest = at.threadgroups.x - at.group.x;
      const uint32 count = end - index < rest ? static_cast<uint32>(end - index) : rest;
      run_row(arguments, at, count);
      index += count;
    }
  }

 private:
  HELION_MSL_FUNC static constexpr triple as_triple(const helion_host_u32 (&values)[3]) {
    return {values[0], values[1], values[2]};
  }

  // Runs `count` threadgroups that follow each other along x, from `first` on.
  HELION_MSL_FUNC static void run_row(const typename parameters::bound &arguments, place first, uint32 count) {
    if constexpr (parameters::needs_threadgroups) {
      for (; count != 0; --count, ++first.group.x) {
        run_threads(arguments, first, first.threads.x);
      }
    } else {
      // No thread asks which threadgroup it is in: they are as one.
      run_threads(arguments, first, first.threads.x * count);
    }
  }

  // Runs the threads of a threadgroup, or of several that make it `width` threads wide.
  HELION_MSL_FUNC static void run_threads(const typename parameters::bound &arguments, const place &first,
                                          uint32 width) {
    const triple origin = first.group * first.threads;
    for (uint32 z = 0; z < first.threads.z; ++z) {
      for (uint32 y = 0; y < first.threads.y; ++y) {
        const uint32 row = (z * first.threads.y + y) * first.threads.x;
        const auto run = [&](uint32 x) __attribute__((always_inline)) {
          place at = first;
          at.local = {x, y, z};
          at.global = origin + at.local;
          at.index = row + x;
          arguments.template call<Function>(at);
        };
        // The threads of a grid are independent of each other in Metal too, but for atomics and barriers.
        if constexpr (parameters::has_small_floats) {
          each_turn_on_small_floats(width, run);
        } else {
          each_turn(width, run);
        }
      }
    }
  }
};

}  // namespace helion_host

// ---- What the scanner writes
// ------------------------------------------------------------------------------------------

// The linker gathers the entries of this section and marks its beginning and its end; both are null where there are
// none.
#if defined(__APPLE__)
#define HELION_HOST_THREADGROUP_SECTION "__DATA,helion_tg"
#define HELION_HOST_SECTION_BEGIN __asm("section$start$__DATA$helion_tg")
#define HELION_HOST_SECTION_END __asm("section$end$__DATA$helion_tg")
#else
#define HELION_HOST_THREADGROUP_SECTION "helion_threadgroup"
#define HELION_HOST_SECTION_BEGIN __asm("__start_helion_threadgroup") __attribute__((weak))
#define HELION_HOST_SECTION_END __asm("__stop_helion_threadgroup") __attribute__((weak))
#endif

// After the declaration of a threadgroup variable; what follows its name is the kernel that it belongs to.
#define HELION_HOST_THREADGROUP_VARIABLE(variable, ...)                                                          \
  static constinit __attribute__((section(HELION_HOST_THREADGROUP_SECTION),                                      \
                                  used)) helion_host_threadgroup_variable helion_host_threadgroup_##variable = { \
      &helion_host::kernel_identity<__VA_ARGS__>, sizeof(variable)}

#define HELION_HOST_LIBRARY(kernels, count)                                                                        \
  extern "C" __attribute__((visibility("hidden")))                                                                 \
  const helion_host_threadgroup_variable helion_host_variables_begin[] HELION_HOST_SECTION_BEGIN;                  \
  extern "C" __attribute__((visibility("hidden")))                                                                 \
  const helion_host_threadgroup_variable helion_host_variables_end[] HELION_HOST_SECTION_END;                      \
  extern "C" __attribute__((visibility("default"), used)) const struct helion_host_library helion_host_library = { \
      HELION_HOST_ABI_VERSION, count, kernels, helion_host_variables_begin, helion_host_variables_end};
