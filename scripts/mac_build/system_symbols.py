"""Which library of macOS exports a symbol.

torch's macOS wheels were linked on Macs, so what they import says where most symbols live; ``wall_link`` reads them.
``DOCUMENTED`` lists the few that this project uses and torch does not, each with where it is written.
"""

from __future__ import annotations

import re

METAL = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"
FOUNDATION = "/System/Library/Frameworks/Foundation.framework/Versions/C/Foundation"
CORE_FOUNDATION = "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation"
LIBOBJC = "/usr/lib/libobjc.A.dylib"
LIBCXX = "/usr/lib/libc++.1.dylib"
LIBSYSTEM = "/usr/lib/libSystem.B.dylib"

# What `-framework NAME` lets the linker bind to. Foundation re-exports CoreFoundation.
FRAMEWORKS = {"Metal": {METAL}, "Foundation": {FOUNDATION, CORE_FOUNDATION}}

# By name, what the extension may use of each library.
_EXPORTERS = {
    METAL: ("_MTLCopyAllDevices", r"_OBJC_CLASS_\$_MTL\w+"),
    CORE_FOUNDATION: (
        r"_OBJC_CLASS_\$_NS(Array|Dictionary|Exception|URL)",
        r"_OBJC_EHTYPE_\$_NSException",
    ),
    FOUNDATION: (r"_OBJC_CLASS_\$_NS(Error|ProcessInfo|String)",),
    LIBOBJC: (
        r"_objc_\w+",
        r"_object_getClassName",
        r"___objc_personality_v0",
        r"_OBJC_CLASS_\$_NSObject",
        r"_OBJC_EHTYPE_id",
    ),
    LIBCXX: (
        # Names of namespace std and what its types are made of, by the Itanium ABI's mangling.
        r"__Z(T[ISTV])?(N[KV]*)?(Sa|Sb|Sd|Si|So|Ss|St)\w*",
        r"__ZT[ISTVT](N?10__cxxabiv1)\w*",
        r"__ZTVN10__cxxabiv1\w*",
        r"__Z(na|nw|da|dl)\w*",
        r"___cxa_\w+",
        r"___gxx_personality_v0",
        r"___dynamic_cast",
    ),
}

# Exported by macOS 14's libraries, and not imported by torch.
DOCUMENTED = {
    METAL: {
        "_OBJC_CLASS_$_MTLBinaryArchiveDescriptor": "Metal documentation: class MTLBinaryArchiveDescriptor, macOS 11",
        "_OBJC_CLASS_$_MTLComputePipelineDescriptor": "Metal documentation: class MTLComputePipelineDescriptor, "
        "macOS 10.11",
        "_OBJC_CLASS_$_MTLFunctionConstantValues": "Metal documentation: class MTLFunctionConstantValues, macOS 10.12",
    },
    CORE_FOUNDATION: {
        "_OBJC_CLASS_$_NSException": "Foundation documentation: class NSException, macOS 10.0",
        "_OBJC_EHTYPE_$_NSException": "the exception type that every exported Objective-C class has",
    },
    LIBOBJC: {
        "___objc_personality_v0": "Objective-C runtime: entry points that clang calls for @try",
        "_OBJC_EHTYPE_id": "Objective-C runtime: the exception type of any object, for @catch (id)",
        "_object_getClassName": "Objective-C Runtime documentation: object_getClassName(_:), macOS 10.0",
        "_objc_begin_catch": "Objective-C runtime: entry points that clang calls for @catch",
        "_objc_end_catch": "Objective-C runtime: entry points that clang calls for @catch",
        "_objc_ehtype_vtable": "Objective-C runtime: vtable of the exception types that clang emits",
    },
}

# The C++ library of macOS 14. What came later is refused by the availability annotations of libc++'s own headers, which
# compiler.py turns on; these are the ones below that line which torch does not import.
DOCUMENTED_CXX = {
    r"__ZN?K?St3__14__fs10filesystem\w+": "libc++: <filesystem>, in the library since macOS 10.15",
    r"__ZN?K?NSt3__14__fs10filesystem\w+": "libc++: <filesystem>, in the library since macOS 10.15",
    r"__Z(T[IV])?NK?St3__1(12future_error|15future_category|17__assoc_sub_state)\w*": "libc++: <future>",
    r"__Z(T[IV])?NK?St3__117bad_function_call\w*": "libc++: <functional>, in the library since macOS 10.7",
    r"__ZNSt(11logic|13runtime)_error(C2|aS)ERKS_": "libc++abi: copies of the standard errors, members of the library",
    r"__ZdlPvm(St11align_val_t)?": "libc++abi: sized operator delete, in the library since macOS 10.12",
    r"__(ZnamSt11align_val_t|ZdaPvSt11align_val_t)": "libc++abi: aligned new[] and delete[], there since macOS 10.13",
    r"__ZnamRKSt9nothrow_t": "libc++abi: operator new[](size_t, nothrow)",
}


def is_python(symbol: str) -> bool:
    """Whether the interpreter that loads the extension exports ``symbol``."""
    return re.match(r"_(_?Py)", symbol) is not None


def library_of(symbol: str) -> str | None:
    """The library that a Mac's linker would bind ``symbol`` to, by its name; None for others than the above."""
    for library, patterns in _EXPORTERS.items():
        if any(re.fullmatch(pattern, symbol) for pattern in patterns):
            return library
    return None


def documentation_of(library: str, symbol: str) -> str | None:
    """Where it is written that ``library`` exports ``symbol``, for symbols that torch does not import."""
    if library == LIBCXX:
        return next((source for pattern, source in DOCUMENTED_CXX.items() if re.fullmatch(pattern, symbol)), None)
    return DOCUMENTED.get(library, {}).get(symbol)
