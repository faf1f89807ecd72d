// What was found for a specialization key, by that key.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "specialization_key.h"

namespace helion_msl {

// May be used from several threads: the lock is the GIL where there is one. Found is immutable.
template <class Found>
class SpecializationTable {
 public:
  // A program that makes new constants all the time starts over from here on; its kernels stay in the kernel cache.
  static constexpr std::size_t capacity = 1024;

  // Null where unknown.
  std::shared_ptr<const Found> find(const SpecializationKey &key) {
    const nanobind::ft_lock_guard lock(mutex_);
    if (entries_.empty() || !key.is_complete()) return nullptr;
    // Most kernels are called with the same kind of arguments again and again.
    if (are_equal(entries_[last_].words, key.words())) return entries_[last_].found;
    const std::uint32_t position = slots_[slot_locked(key.words(), hash_of(key.words()))];
    if (position == nothing) return nullptr;
    last_ = position;
    return entries_[position].found;
  }

  // Keeps the objects of the key's identities. Must be called with Python's lock, as objects may be released.
  void insert(const SpecializationKey &key, std::shared_ptr<const Found> found) {
    std::vector<Entry> dropped;  // released after the lock
    const nanobind::ft_lock_guard lock(mutex_);
    if (entries_.size() == capacity) drop_locked(dropped);
    if (slots_.size() < 2 * (entries_.size() + 1)) grow_locked();
    std::uint32_t &position = slots_[slot_locked(key.words(), hash_of(key.words()))];
    if (position == nothing) {
      const auto words = key.words();
      Entry entry{{words.begin(), words.end()}, {}, nullptr};
      for (void *object : key.identities()) entry.kept.push_back(nanobind::borrow(static_cast<PyObject *>(object)));
      entries_.push_back(std::move(entry));
      position = static_cast<std::uint32_t>(entries_.size() - 1);
    }
    last_ = position;
    entries_[position].found.swap(found);
  }

  void clear() {
    std::vector<Entry> dropped;
    const nanobind::ft_lock_guard lock(mutex_);
    drop_locked(dropped);
  }

  std::size_t size() {
    const nanobind::ft_lock_guard lock(mutex_);
    return entries_.size();
  }

  // For the garbage collector: calls `visit` with each kept object and each found value until it returns other than 0.
  template <class VisitObject, class VisitFound>
  int traverse(VisitObject visit_object, VisitFound visit_found) const {
    for (const Entry &entry : entries_) {
      for (const nanobind::object &object : entry.kept) {
        if (const int result = visit_object(object.ptr())) return result;
      }
      if (const int result = visit_found(*entry.found)) return result;
    }
    return 0;
  }

 private:
  struct Entry {
    std::vector<std::uint64_t> words;
    std::vector<nanobind::object> kept;  // whose addresses are among the words
    std::shared_ptr<const Found> found;
  };
  static constexpr std::uint32_t nothing = UINT32_MAX;

  // The slot of the key, or the free one where it belongs.
  std::size_t slot_locked(std::span<const std::uint64_t> words, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash & mask;
    while (slots_[slot] != nothing && !are_equal(entries_[slots_[slot]].words, words)) slot = (slot + 1) & mask;
    return slot;
  }

  void grow_locked() {
    slots_.assign(slots_.empty() ? 8 : 2 * slots_.size(), nothing);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      slots_[slot_locked(entries_[i].words, hash_of(entries_[i].words))] = static_cast<std::uint32_t>(i);
    }
  }

  void drop_locked(std::vector<Entry> &dropped) {
    dropped.swap(entries_);
    slots_.clear();
    last_ = 0;
  }

  nanobind::ft_mutex mutex_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // positions in entries_; a power of two, at most half of them used
  std::size_t last_ = 0;              // the entry found last
};

}  // namespace helion_msl
