"""The modules that register operations for this backend.

Helion finds this module by its name, in the package of the backend class, and reloads those that it imports when it has
to repeat registrations (``helion._compiler.backend_registry.repair_backend_codegen``).
"""

from helion_msl._helion import operations, tile_operations

__all__ = ["operations", "tile_operations"]
