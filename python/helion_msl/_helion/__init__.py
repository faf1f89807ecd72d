"""The parts of the Helion plug-in. Nothing here is imported before :func:`helion_msl.register_helion_backend` runs.

Everything below this package imports Helion, whose import takes seconds:

- ``backend``: the backend class that Helion finds under the name ``"metal"``
- ``values``, ``expressions``: Inductor's operations as Metal Python with known types
- ``handlers``, ``lowerings``: put ``expressions`` in the place of Helion's own expression generator
- ``threads``, ``tiles``: how the elements of a tile are spread over the threads of a threadgroup
- ``reductions``, ``groups``: sums, extrema and their positions across those threads
- ``matmul``, ``products``, ``regions``, ``cooperative``, ``slices``: kernels that multiply matrices, in which all
  threads of a threadgroup work together
- ``tidy``, ``simplify``: rewrite Helion's generated function into plain Metal Python
- ``operations``: Helion's own operations (``hl.load`` and others), registered under this backend's name
- ``launcher``: what the generated host function calls
"""
