#include "host_divergence.h"

#include <algorithm>
#include <vector>

namespace helion_msl {

namespace {

std::string position_text(const std::array<std::uint32_t, 3> &position) {
  std::string text = "(";
  text += std::to_string(position[0]) + ", " + std::to_string(position[1]) + ", " + std::to_string(position[2]) + ")";
  return text;
}

std::string thread_text(const helion_host_launch &launch, std::uint32_t index) {
  const std::uint32_t width = launch.threads_per_threadgroup[0];
  const std::uint32_t height = launch.threads_per_threadgroup[1];
  return position_text({index % width, index / width % height, index / width / height});
}

// "threads (0, 0, 0)..(15, 0, 0), (20, 0, 0) and 12 more (29 threads)" for linear indices in ascending order.
std::string threads_text(const helion_host_launch &launch, const std::vector<std::uint32_t> &threads) {
  constexpr int max_runs = 4;
  if (threads.size() == 1) return "thread " + thread_text(launch, threads.front());
  std::string text = "threads ";
  int runs = 0;
  for (std::size_t begin = 0, end; begin < threads.size(); begin = end, ++runs) {
    if (runs == max_runs) {
      text += " and " + std::to_string(threads.size() - begin) + " more";
      break;
    }
    end = begin + 1;
    while (end < threads.size() && threads[end] == threads[end - 1] + 1) ++end;
    if (runs > 0) text += ", ";
    text += thread_text(launch, threads[begin]);
    if (end - begin > 1) text += ".." + thread_text(launch, threads[end - 1]);
  }
  return text + " (" + std::to_string(threads.size()) + " threads)";
}

// Where threads of a threadgroup stand that has come to a stop.
enum class Place { simdgroup_barrier, threadgroup_barrier, end };

struct Standing {
  Place place;
  const void *site;  // of the barrier; null at the end
  std::vector<std::uint32_t> threads;
};

void add_thread(std::vector<Standing> &standings, Place place, const void *site, std::uint32_t thread) {
  for (Standing &standing : standings) {
    if (standing.place == place && standing.site == site) return standing.threads.push_back(thread);
  }
  standings.push_back({place, site, {thread}});
}

// Threads by the place where they stand, in the order of the program. Those that left the kernel early are not waited
// for and don't appear.
std::vector<Standing> collect_standings(const HostThreadgroup &threadgroup, std::uint32_t first_simdgroup,
                                        std::uint32_t last_simdgroup) {
  std::vector<Standing> standings;
  for (std::uint32_t index = first_simdgroup; index <= last_simdgroup; ++index) {
    const Simdgroup &simdgroup = threadgroup.simdgroup(index);
    for (std::uint32_t lane = 0; lane < simd_width; ++lane) {
      const std::uint32_t bit = 1u << lane, thread = index * simd_width + lane;
      if (simdgroup.at_simdgroup_barrier & bit) {
        add_thread(standings, Place::simdgroup_barrier, simdgroup.sites[lane], thread);
      } else if (simdgroup.at_threadgroup_barrier & bit) {
        add_thread(standings, Place::threadgroup_barrier, simdgroup.sites[lane], thread);
      } else if (simdgroup.ran_to_end & bit) {
        add_thread(standings, Place::end, nullptr, thread);
      }
    }
  }
  std::stable_sort(standings.begin(), standings.end(), [](const Standing &left, const Standing &right) {
    if ((left.place == Place::end) != (right.place == Place::end)) return right.place == Place::end;
    return left.site < right.site;
  });
  return standings;
}

std::string standing_text(const Standing &standing, bool is_another) {
  const bool one = standing.threads.size() == 1;
  switch (standing.place) {
    case Place::simdgroup_barrier:
      return std::string(one ? "waits at " : "wait at ") + (is_another ? "another" : "a") + " simdgroup_barrier";
    case Place::threadgroup_barrier:
      return std::string(one ? "waits at " : "wait at ") + (is_another ? "another" : "a") + " threadgroup_barrier";
    case Place::end:
      break;
  }
  return one ? "has run to the end of the kernel" : "have run to the end of the kernel";
}

}  // namespace

std::string name_threadgroup(const helion_host_kernel &kernel, const std::array<std::uint32_t, 3> &position) {
  return "kernel '" + std::string(kernel.name) + "', threadgroup " + position_text(position);
}

std::string report_divergence(const HostThreadgroup &threadgroup, Divergence divergence) {
  const bool is_simdgroup = divergence == Divergence::simdgroup_barrier;
  const std::string barrier = is_simdgroup ? "simdgroup_barrier" : "threadgroup_barrier";
  const std::string group = is_simdgroup ? "simdgroup" : "threadgroup";
  const std::uint32_t first = is_simdgroup ? threadgroup.divergent_simdgroup() : 0;
  const std::uint32_t last = is_simdgroup ? first : threadgroup.simdgroup_count() - 1;

  std::string report = name_threadgroup(threadgroup.kernel(), threadgroup.position());
  if (is_simdgroup) report += ", simdgroup " + std::to_string(first);
  report += ": not all threads reach the same " + barrier + ", so those at it would wait forever:";
  std::vector<Place> seen;
  for (const Standing &standing : collect_standings(threadgroup, first, last)) {
    const bool is_another = std::find(seen.begin(), seen.end(), standing.place) != seen.end();
    report += "\n  " + threads_text(threadgroup.launch(), standing.threads) + " " + standing_text(standing, is_another);
    seen.push_back(standing.place);
  }
  return report + "\nEvery thread of the " + group + " must reach the same " + barrier +
         ", equally often; move it out of the `if` or the loop that only some of them take.";
}

}  // namespace helion_msl
