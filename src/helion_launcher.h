// What Helion's generated host functions call: the native launcher, and the cache of dispatches in front of Helion's
// own.
#pragma once

typedef struct _object PyObject;

namespace helion_msl {

// Adds `_helion_launch(kernel, grid, *args, _block_dims, **options)` to the module.
void bind_helion_launcher(PyObject *module);

// Adds `_HelionDispatch` to the module.
void bind_helion_dispatch(PyObject *module);

}  // namespace helion_msl
