#include "specialization_table.h"

namespace helion_msl {

std::shared_ptr<const LaunchPlan> SpecializationTable::find(const SpecializationKey &key) {
  const nanobind::ft_lock_guard lock(mutex_);
  if (entries_.empty() || !key.is_complete()) return nullptr;
  // Most kernels are called with the same kind of arguments again and again.
  if (are_equal(entries_[last_].words, key.words())) return entries_[last_].plan;
  const std::uint32_t position = slots_[slot_locked(key.words(), hash_of(key.words()))];
  if (position == nothing) return nullptr;
  last_ = position;
  return entries_[position].plan;
}

bool SpecializationTable::insert(const SpecializationKey &key, std::shared_ptr<const LaunchPlan> plan) {
  const nanobind::ft_lock_guard lock(mutex_);
  const bool was_full = entries_.size() == capacity;
  if (was_full) {
    entries_.clear();
    slots_.clear();
    last_ = 0;
  }
  if (slots_.size() < 2 * (entries_.size() + 1)) grow_locked();
  std::uint32_t &position = slots_[slot_locked(key.words(), hash_of(key.words()))];
  if (position != nothing) {
    entries_[position].plan = std::move(plan);
    return was_full;
  }
  const auto words = key.words();
  entries_.push_back({{words.begin(), words.end()}, std::move(plan)});
  position = static_cast<std::uint32_t>(entries_.size() - 1);
  last_ = position;
  return was_full;
}

std::size_t SpecializationTable::size() {
  const nanobind::ft_lock_guard lock(mutex_);
  return entries_.size();
}

std::size_t SpecializationTable::slot_locked(std::span<const std::uint64_t> words, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  while (slots_[slot] != nothing && !are_equal(entries_[slots_[slot]].words, words)) slot = (slot + 1) & mask;
  return slot;
}

void SpecializationTable::grow_locked() {
  slots_.assign(slots_.empty() ? 8 : 2 * slots_.size(), nothing);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    slots_[slot_locked(entries_[i].words, hash_of(entries_[i].words))] = static_cast<std::uint32_t>(i);
  }
}

}  // namespace helion_msl
