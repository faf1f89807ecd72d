"""Builds the extension for the Mac on Linux, and checks what comes out: `make wall-compile` and `make wall-link`.

The compiler is the one in the ziglang wheel, which brings Darwin's libc, Objective-C and dispatch headers; the headers
of Foundation and Metal are ``src/metal_declarations``. The wheel that is built shows that the code compiles and links
for the Mac and is packed right. Wheels for users are built on Macs, by ``.github/workflows``.
"""
