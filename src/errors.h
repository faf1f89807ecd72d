// The errors that leave an engine. bindings.cpp raises each as the Python class of the same name in helion_msl.errors.
#pragma once

#include <stdexcept>
#include <string>

namespace helion_msl {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// MSL that does not compile. what() holds the diagnostics and the numbered source lines that they name.
struct MetalCompileError : Error {
  using Error::Error;
};
// The source has no kernel of that name, or several and no name was given; what() lists those there are.
struct UnknownKernelError : Error {
  using Error::Error;
};
// Wrong number, kind, dtype or device of the arguments of a launch.
struct ArgumentError : Error {
  using Error::Error;
};
// A grid or a threadgroup that cannot be dispatched.
struct LaunchError : Error {
  using Error::Error;
};
// A kernel failed while it ran: a divergent barrier, a failed assertion, a GPU fault.
struct KernelError : Error {
  using Error::Error;
};
// No device or no compiler on this machine; what() says what to install.
struct EngineUnavailableError : Error {
  using Error::Error;
};

}  // namespace helion_msl
