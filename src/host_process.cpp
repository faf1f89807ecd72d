#include "host_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

#include "errors.h"

#if defined(__APPLE__)
#include <crt_externs.h>
#else
extern char **environ;
#endif

namespace helion_msl {
namespace {

// Variables with which clang changes what it includes or how it is called: kernels must not depend on them.
constexpr std::array<std::string_view, 7> dropped_variables = {"CPATH=",
                                                               "C_INCLUDE_PATH=",
                                                               "CPLUS_INCLUDE_PATH=",
                                                               "OBJC_INCLUDE_PATH=",
                                                               "OBJCPLUS_INCLUDE_PATH=",
                                                               "CCC_OVERRIDE_OPTIONS=",
                                                               "CLANG_CONFIG_FILE_USER_DIR="};

char **own_environment() {
#if defined(__APPLE__)
  return *_NSGetEnviron();  // environ(7): `environ` itself is for programs, not for bundles
#else
  return environ;
#endif
}

std::vector<char *> child_environment() {
  std::vector<char *> variables;
  for (char **variable = own_environment(); *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const bool dropped = std::any_of(dropped_variables.begin(), dropped_variables.end(),
                                     [&](std::string_view prefix) { return text.starts_with(prefix); });
    // Diagnostics are read by a program, so they must be in English.
    if (!dropped && !text.starts_with("LC_ALL=") && !text.starts_with("LANG=")) variables.push_back(*variable);
  }
  static char locale[] = "LC_ALL=C";
  variables.push_back(locale);
  variables.push_back(nullptr);
  return variables;
}

// The signal state that programs expect: Python, and threads of others, may have blocked or ignored some.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (const int number : {SIGPIPE, SIGCHLD, SIGXFSZ}) sigaddset(&defaults, number);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes &) = delete;
  SpawnAttributes &operator=(const SpawnAttributes &) = delete;
  const posix_spawnattr_t *get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

class SpawnFiles {
 public:
  explicit SpawnFiles(const std::filesystem::path &log) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions_, 1, 2);
  }
  ~SpawnFiles() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnFiles(const SpawnFiles &) = delete;
  SpawnFiles &operator=(const SpawnFiles &) = delete;
  const posix_spawn_file_actions_t *get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

std::string error_text(int number) {
  return std::generic_category().message(number);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::vector<std::string> parents = {"/tmp", "/var/tmp"};
  const char *chosen = getenv("TMPDIR");
  if (chosen != nullptr && *chosen != '\0') parents.insert(parents.begin(), chosen);
  std::string refusals;
  for (const std::string &parent : parents) {
    std::string pattern = parent + "/helion-msl-XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) {
      path_ = pattern;
      return;
    }
    refusals += (refusals.empty() ? "" : "; ") + parent + ": " + error_text(errno);
  }
  throw EngineUnavailableError("there is no place for temporary files (" + refusals +
                               "); set TMPDIR to a directory that can be written");
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ProcessResult::how_it_ended() const {
  if (signal == 0) return "exit code " + std::to_string(exit_code);
  return "signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

ProcessResult run_process(const std::vector<std::string> &arguments, const std::filesystem::path &log) {
  std::vector<char *> argv;
  for (const std::string &argument : arguments) argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  const SpawnFiles files(log);
  const SpawnAttributes attributes;
  const std::vector<char *> environment = child_environment();
  pid_t process = 0;
  const int error =
      posix_spawnp(&process, argv.front(), files.get(), attributes.get(), argv.data(), environment.data());
  if (error != 0) {
    throw EngineUnavailableError("cannot run the compiler " + arguments.front() + ": " + error_text(error));
  }
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    // A process that ignores SIGCHLD is not told how its children end; the file they were to make tells.
    if (errno != EINTR) break;
  }
  ProcessResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  result.output = read_file(log);
  return result;
}

std::string read_file(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) throw EngineUnavailableError("cannot read the temporary file " + path.string());
  return content;
}

void write_file(const std::filesystem::path &path, std::string_view content) {
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) {
    throw EngineUnavailableError("cannot write the temporary file " + path.string() + ": is the disk full?");
  }
}

}  // namespace helion_msl
