#include "kernel_cache.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>

#include "errors.h"

namespace helion_msl {
namespace {

constexpr std::size_t default_capacity = 1024;

// Python objects with equal text that one kernel is found by without reading it: enough for the modules that share a
// kernel, and a bound for programs that build the text anew for every launch.
constexpr std::size_t max_identities = 4;

// Constants are the same when their bits are: 0.0 and -0.0 are two values, and a NaN is equal to itself.
std::int64_t bits_of(const ConstantValue &value) {
  if (const auto *real = std::get_if<double>(&value)) return std::bit_cast<std::int64_t>(*real);
  if (const auto *integer = std::get_if<std::int64_t>(&value)) return *integer;
  return std::get<bool>(value) ? 1 : 0;
}

bool same_constant(const Constants::value_type &a, const Constants::value_type &b) {
  return a.first == b.first && a.second.index() == b.second.index() && bits_of(a.second) == bits_of(b.second);
}

void mix(std::size_t &seed, std::size_t hash) {
  seed ^= hash + 0x9e3779b97f4a7c15u + (seed << 6) + (seed >> 2);
}

}  // namespace

std::size_t KernelCache::KeyHash::operator()(const KernelKey *key) const {
  const CompileRequest &request = key->request;
  std::size_t seed = std::hash<std::string>{}(request.source);
  mix(seed, std::hash<std::string>{}(request.name));
  mix(seed, static_cast<std::size_t>(key->device) * 2 + static_cast<std::size_t>(request.math_mode));
  for (const auto &[name, value] : request.constants) {
    mix(seed, std::hash<std::string>{}(name));
    mix(seed, static_cast<std::size_t>(bits_of(value)));
  }
  return seed;
}

bool KernelCache::KeyEqual::operator()(const KernelKey *a, const KernelKey *b) const {
  const CompileRequest &x = a->request;
  const CompileRequest &y = b->request;
  return a->device == b->device && x.math_mode == y.math_mode && x.name == y.name && x.source == y.source &&
         std::ranges::equal(x.constants, y.constants, same_constant);
}

std::size_t KernelCache::IdentityHash::operator()(const SourceIdentity &identity) const {
  // Objects are aligned to 16 bytes, so the low bits say nothing.
  std::size_t seed = reinterpret_cast<std::uintptr_t>(identity.source) >> 4;
  mix(seed, reinterpret_cast<std::uintptr_t>(identity.name) >> 4);
  mix(seed, static_cast<std::size_t>(identity.device));
  return seed;
}

KernelCache::KernelCache(std::size_t capacity, CountReference retain, CountReference release)
    : capacity_(capacity), retain_(retain), release_(release) {}

// One of the thread's few: a collision costs a lock.
KernelCache::Recent &KernelCache::recent_of(const SourceIdentity &identity) {
  static thread_local std::array<Recent, 16> recents;
  return recents[IdentityHash{}(identity) % recents.size()];
}

KernelCache::Kernel KernelCache::find(const SourceIdentity &identity) {
  Recent &recent = recent_of(identity);
  // An identity's objects are released after the generation has grown, and its caller holds those that it asks for: a
  // generation that is still the same means that they are the same objects.
  if (recent.cache == this && recent.identity == identity &&
      recent.generation == generation_.load(std::memory_order_acquire)) {
    if (const std::shared_ptr<Found> found = recent.found.lock()) return use(found);
  }
  const std::lock_guard lock(mutex_);
  const auto entry = by_identity_.find(identity);
  if (entry == by_identity_.end()) return nullptr;
  recent = {this, identity, generation_.load(std::memory_order_relaxed), entry->second->found};
  return use(entry->second->found);
}

KernelCache::Kernel KernelCache::find(const KernelKey &key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(&key);
  return found == by_key_.end() ? nullptr : use(found->second->found);
}

KernelCache::Kernel KernelCache::use(const std::shared_ptr<Found> &found) {
  found->last_use.store(hits_.fetch_add(1, std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return found->kernel;
}

KernelCache::Kernel KernelCache::find_or_compile(const KernelKey &key, Engine &engine) {
  std::shared_ptr<Compilation> compilation;
  std::shared_future<Kernel> pending;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = by_key_.find(&key); found != by_key_.end()) return use(found->second->found);
    auto running = compilations_.find(&key);
    if (running != compilations_.end() && running->second->process != ::getpid()) {
      compilations_.erase(running);
      running = compilations_.end();
    }
    if (running != compilations_.end()) {
      ++hits_;
      pending = running->second->result;
    } else {
      ++misses_;
      compilation = std::make_shared<Compilation>(Compilation{key, ::getpid(), {}, {}});
      compilation->result = compilation->promise.get_future().share();
      compilations_.emplace(&compilation->key, compilation);
    }
  }
  return compilation ? compile(compilation, engine) : pending.get();
}

KernelCache::Kernel KernelCache::compile(const std::shared_ptr<Compilation> &compilation, Engine &engine) {
  Kernel kernel;
  std::exception_ptr failure;
  try {
    kernel = engine.compile(compilation->key.request);
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    compilations_.erase(&compilation->key);
    if (kernel) insert_locked(compilation->key, kernel);
  }
  if (failure) {
    compilation->promise.set_exception(failure);
    std::rethrow_exception(failure);
  }
  compilation->promise.set_value(kernel);
  return kernel;
}

void KernelCache::insert_locked(const KernelKey &key, const Kernel &kernel) {
  if (by_key_.contains(&key)) return;
  const auto found = std::make_shared<Found>(kernel);
  found->last_use.store(hits_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  entries_.push_front(Entry{key, found, {}});
  by_key_.emplace(&entries_.front().key, entries_.begin());
  const auto last_use = [](const Entry &entry) { return entry.found->last_use.load(std::memory_order_relaxed); };
  while (entries_.size() > capacity_) {
    // From the back, so that of two that were used last at the same hit the older one goes.
    const auto oldest = std::prev(std::ranges::min_element(entries_.rbegin(), entries_.rend(), {}, last_use).base());
    for (const SourceIdentity &identity : oldest->identities) forget_identity_locked(identity);
    by_key_.erase(&oldest->key);
    entries_.erase(oldest);
  }
}

void KernelCache::remember(const SourceIdentity &identity, const KernelKey &key) {
  const std::lock_guard lock(mutex_);
  release_forgotten_locked();
  const auto found = by_key_.find(&key);
  if (found == by_key_.end() || by_identity_.contains(identity)) return;
  std::vector<SourceIdentity> &identities = found->second->identities;
  if (identities.size() == max_identities) {
    forget_identity_locked(identities.front());
    identities.erase(identities.begin());
  }
  retain_(identity.source);
  if (identity.name != nullptr) retain_(identity.name);
  identities.push_back(identity);
  by_identity_.emplace(identity, found->second);
  release_forgotten_locked();
}

void KernelCache::forget_identity_locked(const SourceIdentity &identity) {
  by_identity_.erase(identity);
  forgotten_.push_back(identity);
  generation_.fetch_add(1, std::memory_order_release);
}

void KernelCache::release_forgotten_locked() {
  for (const SourceIdentity &identity : forgotten_) {
    release_(identity.source);
    if (identity.name != nullptr) release_(identity.name);
  }
  forgotten_.clear();
}

void KernelCache::clear() {
  Entries dropped;  // destroyed after the lock: unloading a kernel takes its time
  const std::lock_guard lock(mutex_);
  for (const auto &[identity, entry] : by_identity_) forgotten_.push_back(identity);
  by_identity_.clear();
  by_key_.clear();
  dropped.swap(entries_);
  hits_ = 0;
  misses_ = 0;
  generation_.fetch_add(1, std::memory_order_release);
  release_forgotten_locked();
}

CacheStatistics KernelCache::statistics() {
  const std::lock_guard lock(mutex_);
  return {.hits = hits_, .misses = misses_, .size = entries_.size(), .capacity = capacity_};
}

std::size_t cache_capacity_from_environment() {
  const char *text = std::getenv("HELION_MSL_CACHE_SIZE");
  if (text == nullptr || *text == '\0') return default_capacity;
  std::size_t capacity = 0;
  const char *end = text + std::strlen(text);
  const auto [rest, status] = std::from_chars(text, end, capacity);
  if (status != std::errc() || rest != end || capacity == 0) {
    throw Error("HELION_MSL_CACHE_SIZE must be a positive integer, the number of compiled kernels kept, not '" +
                std::string(text) + "'");
  }
  return capacity;
}

}  // namespace helion_msl
