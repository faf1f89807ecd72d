"""The translator behind :mod:`helion_msl.walker`, in the order in which a kernel passes through it.

==================  ===============================================================================================
``source``          where a function's text comes from, and errors that point into it
``outline``         the names of a function, by which its translation is found again
``types``           what a value can be: scalars, tensors, threadgroup arrays; promotion and join
``ir``              the typed intermediate representation
``fold``            constructors that leave out what does nothing (``x * 1``, ``True and c``)
``survey``          what must be known of a function before it is parsed: assigned names, loops
``parse_*``         Python AST to IR, one method for each node class; every error about the language is found here:
                    ``values``, ``conditions``, ``expressions``, ``assignments``, ``loops``, ``statements``
``calls``           calls of Python functions, each translated once for each combination of types (``program``)
``messages``        ``assert`` and ``print``
``intrinsics``      what ``helion_msl.language``, ``math`` and the builtins mean in IR, with ``functions`` (of numbers),
                    ``threads`` (positions, barriers, simdgroups), ``atomics`` and ``binding`` (of arguments)
``vectors``         vectors of two to four numbers; ``simdgroup_matrix`` and ``matmul``: matrices
``divergence``      barriers that not all threads can reach
``helion_dialect``  the language that Helion's own Metal backend emits
``infer``           repeats the parse until the types of all variables are stable
``counters``        loops that count in their variable itself; ``hoist``: offsets computed in front of loops
``scopes``          where C++ declares each variable
``printer``         IR to MSL, with ``printer_statements``, ``printer_expressions`` and ``literals``
``prelude``         MSL helper functions that printed kernels call
``explain``         a report on one specialization, for people
``translation``     what a translation is; with ``source``, ``outline``, ``types``, ``dialect``, ``annotations``,
                    ``captured`` it is all that a process loads whose kernels have been translated before
``captured``        what a kernel reads from around it, so that a change compiles it anew
==================  ===============================================================================================
"""
