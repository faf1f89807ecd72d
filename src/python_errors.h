// C++ errors become Python exceptions.
#pragma once

namespace helion_msl {

// Makes every nanobind function of the module raise the classes of errors.h as those of helion_msl.errors.
void register_error_translator();

}  // namespace helion_msl
