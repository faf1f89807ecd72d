// What every header of the library begins with.
#pragma once

#include "constants.h"
#include "keywords.h"
#include "predefined.h"
#include "vector_operators.h"
#include "vector_types.h"
