// Starts the agent, keeps it running, passes on what it writes, buries orphans and ends the guest when
// it is asked to. Owns the one thread of process 1.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

#include "console.hpp"
#include "outcome.hpp"
#include "power.hpp"

namespace understudy::guest {

class Supervisor {
 public:
  /// `command` is the program to keep running, with its arguments; the program is an absolute path.
  Supervisor(Console& console, std::vector<std::string> command);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Blocks the signals that `run` reads. Precondition: called before the first process is started, so
  /// that no ended child is missed.
  [[nodiscard]] Outcome prepare();

  /// Runs a function in a process of its own, so that slow drivers do not delay the agent.
  void run_aside(int (*work)(int), int argument);

  /// Supervises until the guest is asked to end: SIGTERM or SIGPWR, the power button (off), SIGINT
  /// (restart). When it returns every other process has ended.
  [[nodiscard]] Ending run();

 private:
  using Clock = std::chrono::steady_clock;

  void start_agent();
  void note_agent_end(int status);
  void bury_ended_processes();
  void read_output();
  void ask_to_end(Ending ending, const char* why);
  void handle_signals();
  void wait_for_something();
  void end_all_processes();
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] int wait_limit_ms() const;

  Console& console_;
  std::vector<std::string> command_;
  PowerButton power_button_;
  int signals_ = -1;
  int output_ = -1;
  pid_t agent_ = -1;
  pid_t aside_ = -1;
  Clock::time_point agent_started_{};
  Clock::time_point next_start_{};
  std::chrono::milliseconds back_off_{0};
  bool ending_asked_ = false;
  Ending ending_ = Ending::kPowerOff;
  Clock::time_point patience_ends_{};
};

}  // namespace understudy::guest
