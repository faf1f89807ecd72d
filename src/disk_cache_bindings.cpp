#include "disk_cache_bindings.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "disk_cache.h"
#include "disk_cache_contents.h"
#include "disk_cache_files.h"
#include "errors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace helion_msl {
namespace {

DiskCache cache_of(const std::string &kind) {
  if (std::find(std::begin(disk_cache_kinds), std::end(disk_cache_kinds), kind) == std::end(disk_cache_kinds)) {
    throw Error("the disk cache keeps nothing called '" + kind + "'");
  }
  return {cache_directory_from_environment(), kind, cache_limits_from_environment()};
}

std::string_view view(const nb::bytes &bytes) {
  return {static_cast<const char *>(bytes.data()), bytes.size()};
}

nb::object find(const std::string &kind, const nb::bytes &key) {
  const std::optional<std::string> data = cache_of(kind).read(view(key));
  if (!data) return nb::none();
  return nb::bytes(data->data(), data->size());
}

void store(const std::string &kind, const nb::bytes &key, const nb::bytes &data) {
  cache_of(kind).store_bytes(view(key), view(data));
}

void remove(const std::string &kind, const nb::bytes &key) {
  cache_of(kind).remove(view(key));
}

nb::dict info() {
  const std::string root = cache_directory_from_environment();
  const CacheLimits limits = cache_limits_from_environment();
  nb::dict result;
  result["directory"] = root;
  result["refusal"] = root.empty() ? std::string() : refusal_of_directory(root);
  result["max_bytes"] = limits.bytes;
  result["max_age_seconds"] = limits.seconds;
  nb::dict kinds;
  for (const CacheContents &contents : cache_contents(root)) {
    kinds[contents.kind.c_str()] = nb::make_tuple(contents.entries, contents.bytes);
  }
  result["kinds"] = kinds;
  return result;
}

nb::tuple removed(const CacheRemoval &removal) {
  return nb::make_tuple(removal.entries, removal.bytes);
}

}  // namespace

// For helion_msl's own modules: people use helion_msl.cache.
void bind_disk_cache(nb::module_ &m) {
  m.def("disk_cache_find", find, "kind"_a, "key"_a,
        nb::sig("def disk_cache_find(kind: str, key: bytes) -> bytes | None"));
  m.def("disk_cache_store", store, "kind"_a, "key"_a, "data"_a);
  m.def("disk_cache_remove", remove, "kind"_a, "key"_a);
  m.def("disk_cache_info", info, nb::sig("def disk_cache_info() -> dict[str, typing.Any]"));
  m.def(
      "disk_cache_trim",
      [](std::uint64_t bytes, std::uint64_t seconds) {
        return removed(trim_cache(cache_directory_from_environment(), {bytes, seconds}));
      },
      "max_bytes"_a, "max_age_seconds"_a,
      nb::sig("def disk_cache_trim(max_bytes: int, max_age_seconds: int) -> tuple[int, int]"));
  m.def(
      "disk_cache_clear", [] { return removed(clear_cache_entries(cache_directory_from_environment())); },
      nb::sig("def disk_cache_clear() -> tuple[int, int]"));
}

}  // namespace helion_msl
