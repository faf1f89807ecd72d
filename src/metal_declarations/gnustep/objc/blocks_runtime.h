// GNUstep's headers include this file of a newer Objective-C runtime when blocks are on; Debian has the functions in
// libBlocksRuntime.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

void *_Block_copy(const void *block);
void _Block_release(const void *block);

#ifdef __cplusplus
}
#endif
