# CMake's view of the Mac that compiler.py builds for. wall_compile.py sets HELION_MSL_CROSS_TOOLS to a directory of
# programs that call it.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_SYSTEM_VERSION 23)  # of Darwin, in macOS 14

set(HELION_MSL_CROSS_TOOLS "$ENV{HELION_MSL_CROSS_TOOLS}")
set(CMAKE_C_COMPILER "${HELION_MSL_CROSS_TOOLS}/cc")
set(CMAKE_CXX_COMPILER "${HELION_MSL_CROSS_TOOLS}/c++")
set(CMAKE_OBJC_COMPILER "${HELION_MSL_CROSS_TOOLS}/cc")
set(CMAKE_OBJCXX_COMPILER "${HELION_MSL_CROSS_TOOLS}/c++")
set(CMAKE_AR "${HELION_MSL_CROSS_TOOLS}/ar" CACHE FILEPATH "")
set(CMAKE_RANLIB "${HELION_MSL_CROSS_TOOLS}/ranlib" CACHE FILEPATH "")
# Nothing here has a run-time search path to change.
set(CMAKE_INSTALL_NAME_TOOL true CACHE FILEPATH "")
set(CMAKE_STRIP true CACHE FILEPATH "")  # the linker has left out local symbols already

# The frameworks exist as stubs that are made from what is linked, so test programs stay unlinked.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
# They cannot be linked, so say what CMake would find out from them: threads are in libSystem.
set(CMAKE_HAVE_LIBC_PTHREAD TRUE)
