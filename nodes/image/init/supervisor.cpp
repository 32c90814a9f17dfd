// Keeps the agent running and ends the guest. Owns the one thread of process 1.
#include "supervisor.hpp"

#include <algorithm>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace understudy::guest {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kFirstBackOff{100};
constexpr milliseconds kLongestBackOff{10'000};
// An agent that ran this long is not in a loop of failures: it is started again at once.
constexpr seconds kStableAfter{30};
// The agent gets this long to close sessions and streams before it is killed.
constexpr seconds kAgentGrace{10};
constexpr milliseconds kOthersGrace{2'000};

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGPWR}) sigaddset(&set, number);
  return set;
}

// In the new process: a session of its own, no blocked signals, output into the pipe.
[[noreturn]] void become(const std::vector<std::string>& command, int output) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::close_range(3, ~0U, 0);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const char* const environment[] = {"PATH=/opt/understudy/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                     "HOME=/root", "LANG=C.UTF-8", "TERM=linux", nullptr};
  ::execve(arguments[0], arguments.data(), const_cast<char* const*>(environment));
  ::dprintf(STDERR_FILENO, "can't start %s: %s\n", arguments[0], std::strerror(errno));
  ::_exit(127);
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return std::string("was ended by signal ") + strsignal(WTERMSIG(status));
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Supervisor::Supervisor(Console& console, std::vector<std::string> command)
    : console_(console), command_(std::move(command)) {}

Supervisor::~Supervisor() {
  if (signals_ >= 0) ::close(signals_);
  if (output_ >= 0) ::close(output_);
}

Outcome Supervisor::prepare() {
  const sigset_t set = watched_signals();
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return system_error("block signals");
  signals_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals_ < 0) return system_error("open a signal descriptor");
  return {};
}

void Supervisor::run_aside(int (*work)(int), int argument) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work(argument));
  if (child > 0) aside_ = child;
}

void Supervisor::start_agent() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    console_.say("can't make a pipe for the agent's output: " + std::string(std::strerror(errno)));
    next_start_ = Clock::now() + kLongestBackOff;
    return;
  }
  const pid_t child = ::fork();
  if (child == 0) become(command_, ends[1]);
  ::close(ends[1]);
  if (child < 0) {
    console_.say("can't start a process for the agent: " + std::string(std::strerror(errno)));
    ::close(ends[0]);
    next_start_ = Clock::now() + kLongestBackOff;
    return;
  }
  // What the last agent's children still write is not worth keeping two pipes for.
  if (output_ >= 0) ::close(output_);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  output_ = ends[0];
  agent_ = child;
  agent_started_ = Clock::now();
  console_.say("started " + command_.front() + " as process " + std::to_string(child));
}

void Supervisor::note_agent_end(int status) {
  agent_ = -1;
  read_output();
  const auto now = Clock::now();
  const bool was_stable = now - agent_started_ >= kStableAfter;
  back_off_ = was_stable ? kFirstBackOff : std::clamp(back_off_ * 2, kFirstBackOff, kLongestBackOff);
  next_start_ = now + back_off_;
  console_.say(command_.front() + " " + describe_end(status) +
               (ending_asked_ ? "" : "; starting it again in " + std::to_string(back_off_.count()) + " ms"));
}

void Supervisor::bury_ended_processes() {
  int status = 0;
  for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (ended == agent_) note_agent_end(status);
    if (ended == aside_) {
      aside_ = -1;
      if (status != 0) console_.say("some drivers could not be loaded; the kernel's log may say why");
      console_.open_ports();
      power_button_.open_devices();
    }
  }
}

void Supervisor::read_output() {
  char part[4096];
  for (ssize_t got = 0; output_ >= 0 && (got = ::read(output_, part, sizeof part)) >= 0;) {
    if (got == 0) {
      ::close(output_);
      output_ = -1;
    } else {
      console_.pass_on({part, static_cast<std::size_t>(got)});
    }
  }
}

void Supervisor::ask_to_end(Ending ending, const char* why) {
  if (ending_asked_) return;
  ending_asked_ = true;
  ending_ = ending;
  patience_ends_ = Clock::now() + kAgentGrace;
  console_.say(std::string(ending == Ending::kPowerOff ? "switching off: " : "restarting: ") + why);
  if (agent_ > 0) ::kill(agent_, SIGTERM);
}

void Supervisor::handle_signals() {
  struct signalfd_siginfo info {};
  while (::read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    switch (info.ssi_signo) {
      case SIGTERM: ask_to_end(Ending::kPowerOff, "asked by SIGTERM"); break;
      case SIGPWR: ask_to_end(Ending::kPowerOff, "asked by SIGPWR"); break;
      case SIGINT: ask_to_end(Ending::kRestart, "asked by SIGINT or Ctrl-Alt-Del"); break;
      default: break;
    }
  }
  bury_ended_processes();
}

bool Supervisor::is_over() const {
  return ending_asked_ && (agent_ < 0 || Clock::now() >= patience_ends_);
}

int Supervisor::wait_limit_ms() const {
  Clock::time_point until{};
  if (ending_asked_) {
    until = patience_ends_;
  } else if (agent_ < 0) {
    until = next_start_;
  } else {
    return -1;
  }
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::max<decltype(left)>(left, 0));
}

void Supervisor::wait_for_something() {
  std::vector<struct pollfd> watched{{signals_, POLLIN, 0}};
  if (output_ >= 0) watched.push_back({output_, POLLIN, 0});
  for (const int device : power_button_.descriptors()) watched.push_back({device, POLLIN, 0});
  ::poll(watched.data(), watched.size(), wait_limit_ms());
}

Ending Supervisor::run() {
  while (!is_over()) {
    if (!ending_asked_ && agent_ < 0 && Clock::now() >= next_start_) start_agent();
    wait_for_something();
    read_output();
    handle_signals();
    if (power_button_.was_pressed()) ask_to_end(Ending::kPowerOff, "the power button was pressed");
  }
  end_all_processes();
  return ending_;
}

void Supervisor::end_all_processes() {
  ::kill(-1, SIGTERM);
  const auto until = Clock::now() + kOthersGrace;
  const sigset_t set = watched_signals();
  for (;;) {
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (ended < 0) return;  // nobody is left
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(until - Clock::now());
    if (left.count() <= 0) break;
    const struct timespec limit {static_cast<time_t>(left.count() / 1'000'000'000), static_cast<long>(left.count() % 1'000'000'000)};
    ::sigtimedwait(&set, nullptr, &limit);
  }
  ::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
}

}  // namespace understudy::guest
