// See run_program.hpp.
#include "manager/adapters/system/run_program.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/runtime/unique_fd.hpp"

extern char** environ;

namespace understudy::manager {
namespace {

constexpr std::size_t kMostOutput = 64 * 1024;
using Clock = std::chrono::steady_clock;

struct Child {
    pid_t pid = -1;
    UniqueFd output;
};

/// The child starts with no blocked signal and the default actions: a mask is inherited over exec.
/// `input`: its standard input, in a process group of its own; -1: none.
Result<Child> start(const std::vector<std::string>& command, int input = -1) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return failure(ErrorCode::failed, std::string("cannot make a pipe: ") + std::strerror(errno));
    UniqueFd reading(ends[0]);
    const UniqueFd writing(ends[1]);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    if (input >= 0) posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    else posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, writing.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, writing.get(), STDERR_FILENO);
    sigset_t none;
    sigset_t defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    const int group = input >= 0 ? POSIX_SPAWN_SETPGROUP : 0;
    posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group));
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_t pid = -1;
    const int problem = ::posix_spawnp(&pid, arguments.front(), &files, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (problem != 0) {
        return failure(ErrorCode::failed, "cannot start " + command.front() + ": " + std::strerror(problem));
    }
    return Child{pid, std::move(reading)};
}

/// Reads until the end of the output, the limit, or `until`. True at the end of the output.
bool read_output(const Child& child, Clock::time_point limit, const std::string& until, std::string& text) {
    char buffer[4096];
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - Clock::now()).count();
        pollfd waiting{child.output.get(), POLLIN, 0};
        if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left) + 1) == 0) return false;
        const ssize_t got = ::read(child.output.get(), buffer, sizeof buffer);
        if (got == 0) return true;
        if (got < 0) continue;
        if (text.size() < kMostOutput) text.append(buffer, static_cast<std::size_t>(got));
        if (!until.empty() && text.find(until) != std::string::npos) return false;
    }
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

}  // namespace

Result<std::string> run_program(const std::vector<std::string>& command, std::chrono::milliseconds limit) {
    auto child = start(command);
    if (!child) return tl::unexpected(child.error());
    std::string text;
    const bool ended = read_output(*child, Clock::now() + limit, {}, text);
    if (!ended) ::kill(child->pid, SIGKILL);
    int status = 0;
    while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) {
        return failure(ErrorCode::failed, command.front() + " did not end within " + std::to_string(limit.count()) + " ms");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return failure(ErrorCode::failed, command.front() + " failed: " + trimmed(text));
    }
    return text;
}

Result<Finished> run_with_input(const std::vector<std::string>& command, const std::string& input,
                                std::chrono::milliseconds limit) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return failure(ErrorCode::failed, std::string("cannot make a pipe: ") + std::strerror(errno));
    UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    // It fits into the pipe, so nobody has to read before it is written; who ends without reading is no error here.
    const bool written = ::write(writing.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size());
    writing = UniqueFd();
    if (!written) return failure(ErrorCode::failed, "cannot write the input of " + command.front());
    auto child = start(command, reading.get());
    if (!child) return tl::unexpected(child.error());
    Finished finished;
    const bool ended = read_output(*child, Clock::now() + limit, {}, finished.text);
    if (!ended) ::kill(-child->pid, SIGKILL);
    int status = 0;
    while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) {
        return failure(ErrorCode::failed, command.front() + " did not end within " + std::to_string(limit.count()) + " ms and was killed; it had said: " +
                                              trimmed(finished.text));
    }
    if (!WIFEXITED(status)) return failure(ErrorCode::failed, command.front() + " was killed by signal " + std::to_string(WTERMSIG(status)));
    finished.status = WEXITSTATUS(status);
    return finished;
}

Result<Heard> listen_to_program(const std::vector<std::string>& command, std::chrono::milliseconds limit,
                                const std::string& until) {
    auto child = start(command);
    if (!child) return tl::unexpected(child.error());
    Heard heard;
    heard.ended = read_output(*child, Clock::now() + limit, until, heard.text);
    if (!heard.ended) ::kill(child->pid, SIGKILL);
    int status = 0;
    while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return heard;
}

}  // namespace understudy::manager
