// Stands for libdispatch's <dispatch/dispatch.h> where there is none: the part that the Metal engine uses.
#pragma once

typedef struct dispatch_queue_s *dispatch_queue_t;
typedef void (*dispatch_function_t)(void *context);

#ifdef __cplusplus
extern "C" {
#endif

// Runs `work(context)` on `queue` and returns when it has returned.
void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work);

// Keeps `context` under `key`, an address that is only compared, with `queue`.
void dispatch_queue_set_specific(dispatch_queue_t queue, const void *key, void *context,
                                 dispatch_function_t destructor);
// What the queue that runs the caller keeps under `key`; null where there is no such queue, or it keeps nothing.
void *dispatch_get_specific(const void *key);

#ifdef __cplusplus
}
#endif
