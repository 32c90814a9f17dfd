// See program.hpp.
#include "program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace understudy::test {
namespace {

void drain(int descriptor, std::string& into) {
    char buffer[65536];
    for (ssize_t length = 0; descriptor >= 0 && (length = ::read(descriptor, buffer, sizeof buffer)) > 0;) {
        into.append(buffer, static_cast<std::size_t>(length));
    }
}

void make_pipe(int (&ends)[2]) {
    const int made = ::pipe2(ends, O_CLOEXEC);
    assert(made == 0);
    static_cast<void>(made);
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "understudy-client-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
}

Program::Program(const std::vector<std::string>& command) {
    ::signal(SIGPIPE, SIG_IGN);
    int input[2];
    int out[2];
    int err[2];
    make_pipe(input);
    make_pipe(out);
    make_pipe(err);
    std::vector<char*> arguments;
    for (const auto& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
    arguments.push_back(nullptr);
    pid_ = ::fork();
    assert(pid_ >= 0);
    if (pid_ == 0) {
        ::dup2(input[0], STDIN_FILENO);
        ::dup2(out[1], STDOUT_FILENO);
        ::dup2(err[1], STDERR_FILENO);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    ::close(input[0]);
    ::close(out[1]);
    ::close(err[1]);
    input_ = input[1];
    out_ = out[0];
    err_ = err[0];
    ::fcntl(out_, F_SETFL, O_NONBLOCK);
    ::fcntl(err_, F_SETFL, O_NONBLOCK);
}

Program::~Program() {
    if (!ended_) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    end_input();
    ::close(out_);
    ::close(err_);
}

void Program::say(const std::string& line) {
    const std::string text = line + "\n";
    static_cast<void>(!::write(input_, text.data(), text.size()));
}

void Program::end_input() {
    if (input_ >= 0) ::close(input_);
    input_ = -1;
}

void Program::interrupt() { ::kill(pid_, SIGTERM); }

void Program::step() {
    drain(out_, output_);
    drain(err_, problems_);
}

std::optional<std::string> Program::line() {
    step();
    const auto end = output_.find('\n', taken_);
    if (end == std::string::npos) return std::nullopt;
    std::string text = output_.substr(taken_, end - taken_);
    taken_ = end + 1;
    return text;
}

bool Program::ended() {
    int status = 0;
    if (!ended_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
        ended_ = true;
        exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        step();
    }
    if (!ended_) step();
    return ended_;
}

}  // namespace understudy::test
