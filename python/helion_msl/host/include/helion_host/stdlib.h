// Everything of <metal_stdlib>.
#pragma once

#include "atomic.h"
#include "internals.h"
#include "limits.h"
#include "math_modes.h"
#include "matrix.h"
#include "pack.h"
#include "quadgroup.h"
#include "simdgroup.h"
#include "simdgroup_matrix.h"
#include "synchronization.h"
#include "utility.h"
