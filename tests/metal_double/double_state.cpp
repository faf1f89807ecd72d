#include "double_state.h"

#include <chrono>
#include <map>

namespace metal_double {
namespace {

std::mutex state_mutex;
std::vector<std::string> violations;
std::map<std::string, std::int64_t> living_objects;

constexpr std::chrono::seconds patience{60};

// In the thread's own block from its start, since the hook that counts allocations reads it.
__attribute__((tls_model("initial-exec"))) thread_local int depth = 0;

}  // namespace

void report_violation(const std::string &text) {
  const InDouble inside;
  const std::lock_guard lock(state_mutex);
  violations.push_back(text);
}

std::string take_violations() {
  const std::lock_guard lock(state_mutex);
  std::string text;
  for (const auto &violation : violations) text += violation + "\n";
  violations.clear();
  return text;
}

Counters &counters() {
  static Counters instance;
  return instance;
}

InDouble::InDouble() {
  ++depth;
}
InDouble::~InDouble() {
  --depth;
}
bool is_in_double() {
  return depth > 0;
}

Staged &staged() {
  static Staged instance;
  return instance;
}

std::string take_staged(std::string Staged::*member) {
  const std::lock_guard lock(staged().mutex);
  std::string text;
  text.swap(staged().*member);
  return text;
}

std::atomic<std::int64_t> &running_capture() {
  static std::atomic<std::int64_t> instance{0};
  return instance;
}

std::atomic<bool> &eager() {
  static std::atomic<bool> instance{false};
  return instance;
}

void Gate::close(bool closed) {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = closed;
  }
  opened_.notify_all();
}

void Gate::pass() {
  std::unique_lock lock(mutex_);
  if (opened_.wait_for(lock, patience, [this] { return !is_closed_; })) return;
  report_violation("nobody let the double go on: whoever was to do so waits for it");
}

// Neither is ever destroyed: the GPU's threads run until the process ends.
Gate &gpu_gate() {
  static Gate &gate = *new Gate;
  return gate;
}

Gate &compiler_gate() {
  static Gate &gate = *new Gate;
  return gate;
}

void object_born(const char *class_name) {
  const std::lock_guard lock(state_mutex);
  ++living_objects[class_name];
}

void object_died(const char *class_name) {
  const std::lock_guard lock(state_mutex);
  --living_objects[class_name];
}

std::string describe_living_objects() {
  const std::lock_guard lock(state_mutex);
  std::string text;
  for (const auto &[name, count] : living_objects) {
    if (count != 0) text += name + " " + std::to_string(count) + "\n";
  }
  return text;
}

}  // namespace metal_double
