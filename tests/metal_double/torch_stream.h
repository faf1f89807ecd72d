// torch's MPS stream over the double, and what a test does with it in torch's name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <dispatch/dispatch.h>

namespace metal_double {

// The queue of libdispatch that torch makes for the calling thread's stream.
dispatch_queue_t stream_queue();
// Throws nothing; reports where `what` happens on another thread than the one that `queue` runs.
void require_queue(dispatch_queue_t queue, const char *what);

// From torch 2.15 on each thread has a current stream: 0 is the default one, which all threads begin with, 1 to 32 are
// those of torch's pool. Before, there is one stream.
void set_current_stream(int stream);

// What a test has torch do, each on the current stream's queue. A kernel of torch's encodes into the shared encoder; a
// copy ends it and begins another kind of encoder, as torch's blits do.
void torch_kernel(std::function<void()> work);
void torch_copy(std::function<void()> work);
void torch_commit();
// Of the current stream. Returns what torch throws; empty where nothing failed.
std::string torch_synchronize();
// Other code in the process ends torch's encoder behind its back.
void end_encoder_of_torch();

}  // namespace metal_double
