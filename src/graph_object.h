// `helion_msl.Graph`: a sequence of launches as a Python object that is called to repeat them.
#pragma once

typedef struct _object PyObject;

namespace helion_msl {

// A new `Graph` with the parameters of a dict, to be recorded by entering it.
PyObject *make_graph_object(PyObject *parameters);

// Adds the type to the module.
void bind_graph(PyObject *module);

}  // namespace helion_msl
