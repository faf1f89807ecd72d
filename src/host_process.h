// Running another program: no shell, no fork of a threaded process, its output in files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace helion_msl {

// A directory of this process alone, removed with all that is in it.
class TemporaryDirectory {
 public:
  // Throws EngineUnavailableError where none can be made.
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory &) = delete;
  TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
  const std::filesystem::path &path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct ProcessResult {
  int exit_code = 0;  // -1 where a signal ended it
  int signal = 0;
  std::string output;  // standard output and standard error
  bool succeeded() const { return exit_code == 0 && signal == 0; }
  // "exit code 1" or "signal 9 (Killed)".
  std::string how_it_ended() const;
};

// Runs `arguments` and waits for its end. Its output goes to `log`, a file that is made for it. Throws
// EngineUnavailableError where the program cannot be started.
ProcessResult run_process(const std::vector<std::string> &arguments, const std::filesystem::path &log);

// Reads or writes a whole file; throws EngineUnavailableError.
std::string read_file(const std::filesystem::path &path);
void write_file(const std::filesystem::path &path, std::string_view content);

}  // namespace helion_msl
