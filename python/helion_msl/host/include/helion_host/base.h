// What every header of the library begins with.
#pragma once

#include "predefined.h"
#include "keywords.h"
#include "constants.h"
#include "vector_types.h"
#include "vector_operators.h"
