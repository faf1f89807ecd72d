// Launch plans by specialization key.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "launch_plan.h"
#include "specialization_key.h"

namespace helion_msl {

// May be used from several threads: the lock is the GIL where there is one.
class SpecializationTable {
 public:
  // A program that makes new constants all the time starts over from here on; its kernels stay in the kernel cache.
  static constexpr std::size_t capacity = 1024;

  // Null where unknown.
  std::shared_ptr<const LaunchPlan> find(const SpecializationKey &key);
  // Returns whether it was full, so that all other plans are gone.
  bool insert(const SpecializationKey &key, std::shared_ptr<const LaunchPlan> plan);
  std::size_t size();

 private:
  struct Entry {
    std::vector<std::uint64_t> words;
    std::shared_ptr<const LaunchPlan> plan;
  };
  static constexpr std::uint32_t nothing = UINT32_MAX;

  // The slot of the key, or the free one where it belongs.
  std::size_t slot_locked(std::span<const std::uint64_t> words, std::uint64_t hash) const;
  void grow_locked();

  nanobind::ft_mutex mutex_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // positions in entries_; a power of two, at most half of them used
  std::size_t last_ = 0;              // the entry found last
};

}  // namespace helion_msl
