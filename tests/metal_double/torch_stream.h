// torch's MPS stream over the double, and what a test does with it in torch's name.
#pragma once

#include <cstdint>
#include <functional>

#include <dispatch/dispatch.h>

namespace metal_double {

// The queue of libdispatch that torch makes for its stream.
dispatch_queue_t stream_queue();
// Throws nothing; reports where `what` happens on another thread than the queue's.
void require_stream_queue(const char *what);

// What a test has torch do, each on the stream's queue. A kernel of torch's encodes into the shared encoder; a copy
// ends it and begins another kind of encoder, as torch's blits do.
void torch_kernel(std::function<void()> work);
void torch_copy(std::function<void()> work);
void torch_commit();
void torch_synchronize();
// Other code in the process ends torch's encoder behind its back.
void end_encoder_of_torch();

}  // namespace metal_double
