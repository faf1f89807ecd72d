"""The parts of the Helion plug-in. Nothing here is imported before :func:`helion_msl.register_helion_backend` runs.

Everything below this package imports Helion, whose import takes seconds:

- ``backend``: the backend class that Helion finds under the name ``"metal"``
- ``values``, ``expressions``: Inductor's operations as Metal Python with known types
- ``handlers``, ``lowerings``: put ``expressions`` in the place of Helion's own expression generator
- ``threads``, ``tiles``: how the elements of a tile are spread over the threads of a threadgroup
- ``reductions``, ``groups``: sums, extrema and their positions across those threads
- ``cooperative``, ``tile_program``: kernels whose threads work together on a tile, with ``elements`` (dimensions,
  parts, loops over elements), ``memory`` (arrays, barriers), ``regions`` and ``products`` (matrix products),
  ``tile_reductions`` (reductions, scans), ``flow``, ``types_of_text``, ``statements``, ``slices`` (what the code of one
  element depends on, and of what type it is)
- ``markers``, ``matmul``, ``combine``: what stands for a product, reduction or scan until the kernel is complete
- ``tidy``, ``simplify``: rewrite Helion's generated function into plain Metal Python
- ``operations``, ``tile_operations``: Helion's own operations (``hl.load`` and others), registered under this backend's
  name
- ``launcher``: what the generated host function calls
"""
