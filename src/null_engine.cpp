#include "null_engine.h"

#include <atomic>

namespace helion_msl {
namespace {

std::atomic<int> open_measurements = 0;

bool is_measuring() {
  return open_measurements.load(std::memory_order_relaxed) > 0;
}

class NullEngine final : public Engine {
 public:
  explicit NullEngine(Engine &engine) : engine_(engine) {}

  DeviceKind device() const override { return engine_.device(); }
  std::string description() override { return "null: launches are dropped, in place of " + engine_.description(); }
  std::shared_ptr<const CompiledKernel> compile(const CompileRequest &request) override {
    return engine_.compile(request);
  }
  void launch(const CompiledKernel &kernel, std::span<const BoundArgument> arguments, Dimensions grid,
              Dimensions threads) override {
    if (!is_measuring()) engine_.launch(kernel, arguments, grid, threads);
  }
  void launch_all(std::span<const PreparedLaunch> launches, std::span<const BoundArgument> arguments) override {
    if (!is_measuring()) engine_.launch_all(launches, arguments);
  }
  bool launch_is_long(const CompiledKernel &kernel, Dimensions grid, Dimensions threads) const override {
    return !is_measuring() && engine_.launch_is_long(kernel, grid, threads);
  }
  void synchronize() override { engine_.synchronize(); }
  void commit() override { engine_.commit(); }

 private:
  Engine &engine_;
};

// One for each device, made when first asked for. Kernels keep its address: it lives as long as the process.
NullEngine &null_engine(Engine &engine) {
  if (engine.device() == DeviceKind::cpu) {
    static auto &null = *new NullEngine(engine);
    return null;
  }
  static auto &null = *new NullEngine(engine);
  return null;
}

}  // namespace

void begin_null_engine() {
  open_measurements.fetch_add(1, std::memory_order_relaxed);
}

void end_null_engine() {
  open_measurements.fetch_sub(1, std::memory_order_relaxed);
}

Engine &engine_or_null(Engine &engine) {
  return is_measuring() ? null_engine(engine) : engine;
}

}  // namespace helion_msl
