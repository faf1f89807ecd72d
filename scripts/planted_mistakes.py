"""Mistakes that somebody could make in the Metal engine, each with the tests and the report that give it away."""

from __future__ import annotations

from dataclasses import dataclass

_LAUNCH = "tests/test_metal_launch.py"
_ERRORS = "tests/test_metal_errors.py"
_STREAMS = "tests/test_metal_streams.py"
_REFUSALS = "tests/test_metal_refusals.py"
_TENSORS = "tests/test_torch_tensors.py"
_TOOLS = "tests/test_metal_tools.py"


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        name: what is wrong, for people.
        file: where, below ``src``.
        right: the text that is replaced, which stands there once.
        wrong: what it is replaced by.
        report: a regular expression for what the tests must print.
        tests: the tests that are to notice; the whole wall runs these and more.
    """

    name: str
    file: str
    right: str
    wrong: str
    report: str
    tests: tuple[str, ...]


_ENCODE = "  [encoder setComputePipelineState:kernel.state()];\n"
_SET_BYTES = "      [encoder setBytes:argument.address length:argument.byte_count atIndex:index];\n"

MISTAKES = (
    # Memory
    Mistake(
        "a descriptor is never released",
        "metal_pipeline.mm",
        "const auto descriptor = Retained<MTLComputePipelineDescriptor *>::adopt(",
        "const auto descriptor = Retained<MTLComputePipelineDescriptor *>::retain(",
        r"left over at the end: \d+ MTLComputePipelineDescriptor, where 0 may be",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "the engine retains torch's command buffer",
        "metal_runtime.mm",
        "  stream.command_buffer = buffer;\n",
        "  stream.command_buffer = [buffer retain];\n",
        r"left over at the end: \d+ DoubleCommandBuffer, where 0 may be",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "a pipeline is released too early",
        "metal_pipeline.mm",
        "  info_.name = name;\n",
        "  info_.name = name;\n  [state_.get() release];\n",
        r"-\[DoublePipelineState \w+:?\] sent after the object was released for the last time",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "an autoreleased reflection is taken for an owned one",
        "metal_pipeline.mm",
        "Retained<MTLComputePipelineReflection *>::retain(reflection)",
        "Retained<MTLComputePipelineReflection *>::adopt(reflection)",
        r"AddressSanitizer: \S+|Fatal Python error: \w+ \w+",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "setBytes: gets a pointer to memory that is gone",
        "metal_runtime.mm",
        _SET_BYTES,
        "      const auto *value = static_cast<const char *>(argument.address);\n"
        "      auto *copy = new std::string(value, argument.byte_count);\n"
        "      const void *bytes = copy->data();\n"
        "      delete copy;\n"
        "      [encoder setBytes:bytes length:argument.byte_count atIndex:index];\n",
        r"AddressSanitizer: \S+",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "no autorelease pool around compiling",
        "metal_runtime.mm",
        "    const AutoreleasePool pool;\n    const std::string expanded",
        "    const std::string expanded",
        r"\S+ sent on a thread without an autorelease pool: its result leaks",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "no autorelease pool in the completion handler",
        "metal_command_buffer.mm",
        "      const AutoreleasePool pool;\n      if (record.region)",
        "      if (record.region)",
        r"autorelease called without pool|without pool in place",
        (f"{_ERRORS}::test_a_failed_command_buffer_raises_once_with_kernels_and_reason",),
    ),
    # Encoding
    Mistake(
        "an encoder is kept from one launch to the next",
        "metal_runtime.mm",
        "  const id<MTLComputeCommandEncoder> encoder = torch_",
        "  static const id<MTLComputeCommandEncoder> encoder = torch_",
        r"setComputePipelineState:\]? sent (to an encoder after endEncoding|after the object was released)",
        (f"{_LAUNCH}::test_others_may_end_the_encoder_or_commit_the_buffer_between_launches",),
    ),
    Mistake(
        "the buffer is committed without ending torch's encoder",
        "metal_runtime.mm",
        "    torch_.synchronize(stream.stream, TorchSync::commit);\n",
        "    [(id)stream.command_buffer performSelector:@selector(commit)];\n",
        r"commit while an encoder is open",
        (f"{_LAUNCH}::test_commit_hands_over_and_does_not_wait",),
    ),
    Mistake(
        "the pipeline is not set",
        "metal_runtime.mm",
        _ENCODE,
        "",
        r"dispatchThreadgroups: without a pipeline",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "a tensor's offset is left out",
        "metal_runtime.mm",
        "offset:argument.offset atIndex:index",
        "offset:0 atIndex:index",
        r"FAILED \S+test_views_reach_the_gpu_at_their_offset",
        (f"{_LAUNCH}::test_views_reach_the_gpu_at_their_offset",),
    ),
    Mistake(
        "arguments go to their positions instead of their indices",
        "metal_runtime.mm",
        "const NSUInteger index = declared[i].index;",
        "const NSUInteger index = i + 0 * declared[i].index;",
        r"argument \w+ at index \d+ is missing",
        (f"{_REFUSALS}::test_indices_need_neither_begin_at_0_nor_follow_each_other",),
    ),
    Mistake(
        "two buffers are swapped",
        "metal_runtime.mm",
        "const NSUInteger index = declared[i].index;",
        "const NSUInteger index = declared[arguments.size() - 1 - i].index;",
        r"FAILED \S+test_a_tensor_may_be_freed_right_after_the_launch",
        (f"{_LAUNCH}::test_a_tensor_may_be_freed_right_after_the_launch",),
    ),
    Mistake(
        "a tensor without elements gets no buffer",
        "metal_runtime.mm",
        "[encoder setBuffer:placeholder_.get() offset:0 atIndex:index]",
        "[encoder setBuffer:nil offset:0 atIndex:index]",
        r"argument empty at index 1 is missing",
        (f"{_REFUSALS}::test_a_tensor_without_elements_has_a_buffer_all_the_same",),
    ),
    Mistake(
        "grid and threadgroup are swapped",
        "metal_runtime.mm",
        "[encoder dispatchThreadgroups:grid threadsPerThreadgroup:threads]",
        "[encoder dispatchThreadgroups:threads threadsPerThreadgroup:grid]",
        r"a threadgroup of 4096 x 1 x 1 threads, which the pipeline does not allow",
        (f"{_LAUNCH}::test_a_tensor_may_be_freed_right_after_the_launch",),
    ),
    Mistake(
        "DLPack's data is always taken for the buffer",
        "torch_tensor.cpp",
        "  data = static_cast<std::byte *>(data) - storage_offset;\n",
        "  static_cast<void>(data);\n",
        r"AddressSanitizer: \S+|FAILED \S+test_an_offset_is_found\S*",
        (f"{_STREAMS}::test_an_offset_is_found_however_torch_exports_it",),
    ),
    Mistake(
        "the offset is always taken for a part of DLPack's data",
        "tensor_view.cpp",
        "  if (view.byte_offset != 0) return;\n",
        "  view.byte_offset = 0;\n",
        r"FAILED \S+test_addresses_that_are_no_buffers\S*",
        (f"{_TENSORS}::test_addresses_that_are_no_buffers_are_not_believed",),
    ),
    Mistake(
        "what torch's C function tells of an offset is taken for a buffer",
        "torch_tensor.cpp",
        "  if (view.data != nullptr) view.data = static_cast<std::byte *>(view.data) - view.byte_offset;\n",
        "",
        r"FAILED \S+test_mps_tensors_are_read_directly\S*",
        (f"{_TENSORS}::test_mps_tensors_are_read_directly",),
    ),
    Mistake(
        "addresses are believed without a look at the exchange table",
        "torch_tensor.h",
        "  return compare(object, table, view, memory);\n",
        "  static_cast<void>(table);\n  return true;\n",
        r"FAILED \S+test_addresses_that_are_no_buffers\S*",
        (f"{_TENSORS}::test_addresses_that_are_no_buffers_are_not_believed",),
    ),
    # Order and threads
    Mistake(
        "a launch encodes outside of torch's queue",
        "metal_runtime.mm",
        '  run_on(stream.queue, "launching a kernel", [&] {',
        '  guard_objective_c<LaunchError>("launching a kernel", [&] {\n    const AutoreleasePool pool;',
        r"MPSStream::\w+\(\) outside of torch's queue",
        (f"{_LAUNCH}::test_torch_waits_for_launches_when_it_synchronizes",),
    ),
    Mistake(
        "a commit from inside of the queue waits for the queue",
        "metal_runtime.mm",
        "      commit_stream(stream);\n      encoding = {};\n",
        "      commit();\n      encoding = {};\n",
        r"LaunchError: committing: called from a block on torch's own MPS queue",
        (f"{_LAUNCH}::test_a_commit_follows_every_64_launches",),
    ),
    Mistake(
        "one stream for all threads",
        "metal_runtime.mm",
        "  at::mps::MPSStream *stream = torch_.current_stream();\n  if (stream == last.stream)",
        "  static at::mps::MPSStream *const stream = torch_.current_stream();\n  if (stream == last.stream)",
        r"FAILED \S+test_a_launch_goes_to_its_threads_stream",
        (f"{_STREAMS}::test_a_launch_goes_to_its_threads_stream",),
    ),
    Mistake(
        "synchronize does not wait",
        "metal_runtime.mm",
        "torch_.synchronize(stream->stream, TorchSync::commit_and_wait);",
        "torch_.synchronize(stream->stream, TorchSync::commit);",
        r"FAILED \S+test_synchronize_waits_for_what_torch_alone\S*|left over at the end: \d+ DoubleCommandBuffer",
        (f"{_STREAMS}::test_synchronize_waits_for_what_torch_alone_has_encoded_on_this_threads_stream",),
    ),
    # Failures
    Mistake(
        "no completion handler",
        "metal_command_buffer.mm",
        "handler->complete(completed);",
        "(void)completed;",
        r"DID NOT RAISE",
        (f"{_ERRORS}::test_a_failed_command_buffer_raises_once_with_kernels_and_reason",),
    ),
    Mistake(
        "a failure is raised again and again",
        "metal_command_buffer.mm",
        "    failures.swap(failures_);\n"
        "    std::swap(unlisted, unlisted_failures_);\n"
        "    has_failures_.store(false, std::memory_order_release);\n",
        "    failures = failures_;\n",
        r"FAILED \S+test_a_failure_is_raised_by_the_next_launch_too|KernelError: 1 launch of scale failed on the GPU",
        (f"{_ERRORS}::test_a_failure_is_raised_by_the_next_launch_too",),
    ),
    Mistake(
        "a failure that torch reports too is raised twice",
        "metal_runtime.mm",
        "if (!is_known(error, thrown_by_launches)) throw KernelError(error);",
        "if (true || is_known(error, thrown_by_launches)) throw KernelError(error);",
        r"FAILED \S+test_a_failure_that_a_launch_has_raised_is_not_raised_by_synchronize_again",
        (f"{_STREAMS}::test_a_failure_that_a_launch_has_raised_is_not_raised_by_synchronize_again",),
    ),
    Mistake(
        "Objective-C exceptions are not caught",
        "metal_runtime.mm",
        "      guard_objective_c<LaunchError>(running.doing, [&running] {\n"
        "        const AutoreleasePool pool;\n"
        "        running.body();\n"
        "      });\n",
        "      const AutoreleasePool pool;\n      running.body();\n",
        r"AddressSanitizer: \S+|an exception crossed dispatch_sync",
        (f"{_ERRORS}::test_an_exception_of_metal_while_encoding_becomes_pythons",),
    ),
    Mistake(
        "C++ exceptions cross libdispatch",
        "metal_runtime.mm",
        "    } catch (const std::exception &) {\n      running.error = std::current_exception();",
        "    } catch (const std::bad_alloc &) {\n      running.error = std::current_exception();",
        r"an exception crossed dispatch_sync",
        (f"{_ERRORS}::test_a_stream_without_a_buffer_or_an_encoder",),
    ),
    Mistake(
        "a warning is taken for an error",
        "metal_library.mm",
        "  if (library) return library;",
        "  if (library && error == nil) return library;",
        r"FAILED \S+test_warnings_do_not_stop_a_compile",
        (f"{_ERRORS}::test_warnings_do_not_stop_a_compile",),
    ),
    Mistake(
        "objects that are no NSException are not caught",
        "objective_c_try.m",
        "  } @catch (id thrown) {\n",
        "  } @catch (NSURL *thrown) {\n",
        r"AddressSanitizer: \S+|Fatal Python error: \w+|an exception crossed dispatch_sync|terminate called",
        (f"{_ERRORS}::test_an_object_that_is_no_exception_may_be_thrown_too",),
    ),
    Mistake(
        "exceptions of Metal's in a completion handler are not caught",
        "metal_command_buffer.mm",
        '    guard_objective_c<KernelError>("Metal does not tell", [&] {\n',
        "    const auto read = [](auto &&body) { body(); };\n    read([&] {\n",
        r"AddressSanitizer: \S+|Fatal Python error: \w+|terminate called|Uncaught exception \w+",
        (f"{_ERRORS}::test_an_exception_of_metal_in_the_completion_handler_is_a_failure",),
    ),
    Mistake(
        "torch's queue is not known when it runs the caller",
        "metal_runtime.mm",
        "if (dispatch_get_specific(&queue_key) == (void *)queue) {",
        "if (dispatch_get_specific(&queue_key) == (void *)&queue) {",
        r"dispatch_sync on the queue that runs the caller: libdispatch would never return",
        (f"{_ERRORS}::test_a_call_from_torchs_own_queue_is_refused",),
    ),
    Mistake(
        "codes of other domains are taken for Metal's",
        "metal_command_buffer.mm",
        'if (text_of(error.domain) != "MTLCommandBufferErrorDomain") return {};',
        "if (error == nil) return {};",
        r"FAILED \S+test_codes_of_other_domains_mean_something_else",
        (f"{_ERRORS}::test_codes_of_other_domains_mean_something_else",),
    ),
    Mistake(
        "a kernel that streams launch in turn is named again and again",
        "metal_command_buffer.mm",
        "[&](const KernelName &known) { return *known == *name; }",
        "[](const KernelName &) { return false; }",
        r"FAILED \S+test_a_kernel_that_streams_launch_in_turn_is_named_once",
        (f"{_STREAMS}::test_a_kernel_that_streams_launch_in_turn_is_named_once",),
    ),
    Mistake(
        "a forked process goes on with its parent's GPU",
        "metal_runtime.mm",
        "[] { is_forked_child.store(true, std::memory_order_relaxed); }",
        "[] { is_forked_child.store(false, std::memory_order_relaxed); }",
        r"FAILED \S+test_a_forked_process_is_refused_the_gpu_of_its_parent",
        (f"{_ERRORS}::test_a_forked_process_is_refused_the_gpu_of_its_parent",),
    ),
    # Tools
    Mistake(
        "a debug group is left open where the launch fails",
        "metal_runtime.mm",
        "  } catch (const std::exception &) {\n    [encoder popDebugGroup];\n    throw;\n  }\n",
        "  } catch (const std::exception &) {\n    throw;\n  }\n",
        r"endEncoding inside of a debug group",
        (f"{_TOOLS}::test_a_label_ends_where_its_launch_fails",),
    ),
    Mistake(
        "a debug group is never closed",
        "metal_runtime.mm",
        "    throw;\n  }\n  [encoder popDebugGroup];\n",
        "    throw;\n  }\n",
        r"endEncoding inside of a debug group",
        (f"{_TOOLS}::test_a_label_is_a_debug_group_around_the_launch",),
    ),
    Mistake(
        "a debug group is closed twice",
        "metal_runtime.mm",
        "    throw;\n  }\n  [encoder popDebugGroup];\n",
        "    throw;\n  }\n  [encoder popDebugGroup];\n  [encoder popDebugGroup];\n",
        r"popDebugGroup without a group",
        (f"{_TOOLS}::test_a_label_is_a_debug_group_around_the_launch",),
    ),
    Mistake(
        "a capture begins while torch has a command buffer",
        "metal_tools.mm",
        "  synchronize();\n  guard_objective_c",
        "  commit();\n  guard_objective_c",
        r"FAILED \S+test_a_capture_holds_the_launches_of_its_block_under_their_names",
        (f"{_TOOLS}::test_a_capture_holds_the_launches_of_its_block_under_their_names",),
    ),
    Mistake(
        "a capture ends before its work is committed",
        "metal_tools.mm",
        "  std::exception_ptr failure;\n  try {\n    synchronize();\n",
        "  std::exception_ptr failure;\n  try {\n",
        r"FAILED \S+test_a_capture_holds_the_launches_of_its_block_under_their_names",
        (f"{_TOOLS}::test_a_capture_holds_the_launches_of_its_block_under_their_names",),
    ),
    Mistake(
        "a region of GPU time stays open after a failure",
        "metal_tools.mm",
        "  region_.close(region);\n  synchronize();\n",
        "  synchronize();\n  region_.close(region);\n",
        r"another region is being measured",
        (f"{_TOOLS}::test_a_failed_command_buffer_in_a_region_is_raised_and_the_region_closed",),
    ),
    # Threadgroup memory
    Mistake(
        "threadgroup memory is not rounded up",
        "metal_runtime.mm",
        "[encoder setThreadgroupMemoryLength:(argument.byte_count + 15) / 16 * 16 atIndex:index];",
        "[encoder setThreadgroupMemoryLength:argument.byte_count atIndex:index];",
        r"setThreadgroupMemoryLength: of \d+ bytes, multiples of 16 can be set",
        (f"{_REFUSALS}::test_threadgroup_memory_comes_in_multiples_of_16_bytes",),
    ),
    # Cost
    Mistake(
        "a launch allocates",
        "metal_runtime.mm",
        _ENCODE,
        "  const std::vector<BoundArgument> copies(arguments.begin(), arguments.end());\n  (void)copies;\n" + _ENCODE,
        r"'engine_allocations': [1-9]\d*",
        (f"{_LAUNCH}::test_what_a_launch_costs",),
    ),
    Mistake(
        "a launch makes an NSString",
        "metal_runtime.mm",
        _ENCODE,
        "  [NSString stringWithUTF8String:kernel.info().name.c_str()];\n" + _ENCODE,
        r"'engine_allocations': [1-9]\d*",
        (f"{_LAUNCH}::test_what_a_launch_costs",),
    ),
    Mistake(
        "a launch takes a lock",
        "metal_runtime.mm",
        _ENCODE,
        "  const std::lock_guard lock(mutex_);\n" + _ENCODE,
        r"'engine_locks': [1-9]\d*",
        (f"{_LAUNCH}::test_what_a_launch_costs",),
    ),
    Mistake(
        "a launch sends a message too many",
        "metal_runtime.mm",
        _ENCODE,
        _ENCODE + _ENCODE,
        r"'encoder_messages': \d+",
        (f"{_LAUNCH}::test_what_a_launch_costs",),
    ),
    Mistake(
        "a launch by its source takes the cache's lock",
        "kernel_cache.cpp",
        "  if (recent.cache == this && ",
        "  if (recent.cache == nullptr && ",
        r"'engine_locks': [1-9]\d*",
        (f"{_LAUNCH}::test_a_launch_by_its_source_costs_no_more",),
    ),
    Mistake(
        "the errors of one stream hide those of another",
        "metal_runtime.mm",
        "        torch_errors.push_back(message_of_torch(error));\n",
        "        torch_errors.assign(1, message_of_torch(error));\n",
        r"FAILED \S+test_what_torch_raises_on_one_stream_is_not_lost_to_what_is_known_of_another",
        (f"{_STREAMS}::test_what_torch_raises_on_one_stream_is_not_lost_to_what_is_known_of_another",),
    ),
    Mistake(
        "pipelines are not stored on disk",
        "metal_pipeline.mm",
        "  if (is_archived && is_usable(pipeline)) {",
        "  if (is_archived && !is_usable(pipeline)) {",
        r"FAILED \S+test_a_second_process_takes_the_pipeline_from_the_archive",
        (f"{_ERRORS}::test_a_second_process_takes_the_pipeline_from_the_archive",),
    ),
)
