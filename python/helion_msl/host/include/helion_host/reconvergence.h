// What the scanner puts around selections and loops that reach simdgroup operations: the places where lanes that took
// different ways meet again. Objects, so that `break`, `continue` and `return` pass them too.
#pragma once

#include "abi.h"
#include "platform.h"

namespace helion_host {

struct reconvergence_scope {
  HELION_MSL_FUNC reconvergence_scope() {
    HELION_HOST_ONE_CALL_SITE();
    helion_host_scope_begin();
  }
  HELION_MSL_FUNC ~reconvergence_scope() { helion_host_scope_end(); }
};

struct loop_turn {
  HELION_MSL_FUNC loop_turn() {}
  HELION_MSL_FUNC ~loop_turn() { helion_host_scope_turn(); }
};

}  // namespace helion_host
