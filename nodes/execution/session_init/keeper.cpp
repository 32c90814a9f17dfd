// See keeper.hpp.
#include "keeper.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace understudy::session {
namespace {

constexpr std::size_t kLogBytes = 64 * 1024;   // what a chatty application may leave behind
constexpr int kWindowManagerStarts = 20;
constexpr int kScreenPatienceMs = 60000;
constexpr const char* kManagerSettings = "/.understudy/openbox.xml";
constexpr int kManagerPatienceMs = 10000;     // then the application is seen without a frame, which is better than not at all
constexpr const char* kManagerWord = "/run/understudy/managed";

std::string runtime_folder(const Options& options) { return "/run/user/" + std::to_string(options.user); }

std::string describe(const char* who, int status) {
    if (WIFSIGNALED(status)) return std::string(who) + " was killed by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
    return std::string(who) + " ended with status " + std::to_string(WEXITSTATUS(status));
}

std::string find_program(const std::string& name, const std::string& path) {
    if (name.find('/') != std::string::npos) return name;
    for (std::size_t at = 0; at <= path.size();) {
        const auto colon = path.find(':', at);
        const std::string candidate = path.substr(at, colon - at) + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
        if (colon == std::string::npos) break;
        at = colon + 1;
    }
    return {};
}

constexpr const char* kPath = "/opt/environment/bin:/usr/local/bin:/usr/bin:/bin:/usr/games";

}  // namespace

Keeper::Keeper(Options options) : options_(std::move(options)) {
    const std::string runtime = runtime_folder(options_);
    environment_ = {std::string("PATH=") + kPath, "HOME=" + options_.home, "USER=" + options_.user_name, "LOGNAME=" + options_.user_name,
                    "SHELL=/bin/bash", "LANG=C.UTF-8", "DISPLAY=:1", "XDG_RUNTIME_DIR=" + runtime,
                    "DBUS_SESSION_BUS_ADDRESS=unix:path=" + runtime + "/bus",
                    // Accessibility buses are two more processes in every checkpoint, and nobody listens.
                    "NO_AT_BRIDGE=1", "GTK_A11Y=none",
                    // dconf would want a service on the system bus.
                    "GSETTINGS_BACKEND=keyfile"};
}

bool Keeper::open_own_descriptors() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    output_ = ends[0];
    output_in_ = ends[1];
    ::fcntl(output_, F_SETFL, O_NONBLOCK);
    log_ = ::open(kLogFile, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

    bus_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = runtime_folder(options_) + "/bus";
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ::unlink(path.c_str());
    const bool bound = ::bind(bus_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(bus_, 16) == 0;
    return signals_ >= 0 && log_ >= 0 && bound && ::chown(path.c_str(), options_.user, options_.group) == 0;
}

// `keep_from` is given to the program as descriptor `keep_as`; -1: none.
pid_t Keeper::start(const std::vector<std::string>& command, int keep_from, int keep_as) {
    const std::string program = find_program(command.front(), kPath);
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    auto variables = environment_;
    // dbus-daemon checks that the descriptors were meant for it.
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    if (keep_as == 3) {
        variables.push_back("LISTEN_FDS=1");
        variables.push_back("LISTEN_PID=" + std::to_string(::getpid()));
    }
    std::vector<char*> environment;
    for (auto& variable : variables) environment.push_back(variable.data());
    environment.push_back(nullptr);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setsid();
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, 0);
    ::dup2(output_in_, 1);
    ::dup2(output_in_, 2);
    if (keep_from >= 0) ::dup2(keep_from, keep_as);
    ::close_range(keep_from >= 0 ? static_cast<unsigned>(keep_as) + 1 : 3, ~0U, 0);
    if (keep_from >= 0 && keep_as > 3) ::close_range(3, static_cast<unsigned>(keep_as) - 1, 0);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::setgroups(1, &options_.group) != 0 || ::setresgid(options_.group, options_.group, options_.group) != 0 ||
        ::setresuid(options_.user, options_.user, options_.user) != 0 || ::chdir(options_.home.c_str()) != 0) {
        ::_exit(126);
    }
    ::execve(program.c_str(), arguments.data(), environment.data());
    ::_exit(127);
}

bool Keeper::start_screen() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    screen_ = start({"Xvnc", ":1", "-geometry", options_.geometry, "-depth", "24", "-rfbport", "-1", "-rfbunixpath", kScreenSocket,
                     "-rfbunixmode", "0600", "-SecurityTypes", "None", "-AlwaysShared", "-AcceptSetDesktopSize=1",
                     // Abstract sockets belong to the guest's network namespace and would clash.
                     "-nolisten", "tcp", "-nolisten", "local", "-ac", "-extension", "GLX", "-noreset", "-displayfd", "5"},
                    ends[1], 5);
    ::close(ends[1]);
    pollfd ready{ends[0], POLLIN, 0};
    // The number and the newline come in two writes, and the server dies if nobody takes the second.
    char last = '\0';
    while (screen_ > 0 && last != '\n' && ::poll(&ready, 1, kScreenPatienceMs) == 1 && ::read(ends[0], &last, 1) == 1) {
    }
    const bool up = last == '\n';
    ::close(ends[0]);
    return up;
}

void Keeper::start_window_manager() {
    if (++window_manager_starts_ > kWindowManagerStarts) return;
    window_manager_ = start({"openbox", "--sm-disable", "--config-file", kManagerSettings}, -1, -1);
}

// What asks to be shown while the window manager is just starting may be forgotten by it, and is never seen. It says
// when it is ready.
void Keeper::start_managing() {
    ::unlink(kManagerWord);
    const bool made = ::mkfifo(kManagerWord, 0600) == 0 && ::chown(kManagerWord, options_.user, options_.group) == 0;
    const int word = made ? ::open(kManagerWord, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    ++window_manager_starts_;
    window_manager_ = start({"openbox", "--sm-disable", "--config-file", kManagerSettings, "--startup", std::string("sh -c 'echo >") + kManagerWord + "'"}, -1, -1);
    pollfd watched[2] = {{word, POLLIN, 0}, {signals_, POLLIN, 0}};  // or somebody ended: that is seen to later
    if (word >= 0) ::poll(watched, 2, kManagerPatienceMs);
    ::close(word);
    ::unlink(kManagerWord);
}

void Keeper::start_message_bus() {
    bus_process_ = start({"dbus-daemon", "--session", "--address=systemd:", "--nofork", "--nopidfile"}, bus_, 3);
}

void Keeper::say(const std::string& status) {
    if (options_.status < 0) return;
    const std::string line = status + "\n";
    [[maybe_unused]] const auto written = ::write(options_.status, line.data(), line.size());
}

End Keeper::end(End how, const std::string& words) {
    // Whoever watches the file knows the end from it long before everything else of the session is gone too.
    const std::string lines = words + "\n" + std::to_string(static_cast<int>(how)) + "\n";
    const int file = ::open(kEndFile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    [[maybe_unused]] const auto written = ::write(file, lines.data(), lines.size());
    ::close(file);
    return how;
}

// True when the session is over.
bool Keeper::reap(End& how) {
    signalfd_siginfo info{};
    while (::read(signals_, &info, sizeof info) > 0) {
    }
    int status = 0;
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        if (ended == application_) {
            const bool closed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
            how = end(closed ? End::closed : End::application_crashed, describe("the application", status));
            return true;
        }
        if (ended == screen_) {
            how = end(End::screen_crashed, describe("the X server", status));
            return true;
        }
        if (ended == window_manager_) start_window_manager();
        if (ended == bus_process_) bus_process_ = -1;
    }
    return false;
}

void Keeper::keep_log() {
    char part[4096];
    for (ssize_t got = 0; (got = ::read(output_, part, sizeof part)) > 0;) {
        const auto length = static_cast<std::size_t>(got);
        if (logged_bytes_ + length > kLogBytes) continue;
        logged_bytes_ += length;
        [[maybe_unused]] const auto written = ::write(log_, part, length);
    }
}

End Keeper::run() {
    const auto could_not = [this](const std::string& why) {
        keep_log();
        say("failed " + why);
        return end(End::could_not_start, why);
    };
    if (options_.command.empty()) return could_not("no command is given for the application");
    if (!open_own_descriptors()) return could_not(std::string("the session's own files could not be opened: ") + std::strerror(errno));
    if (find_program(options_.command.front(), kPath).empty() ||
        ::access(find_program(options_.command.front(), kPath).c_str(), X_OK) != 0) {
        return could_not("the application's program '" + options_.command.front() + "' is not installed on this node");
    }
    if (!start_screen()) return could_not("the X server of the session did not come up");
    say("screen");
    start_managing();
    application_ = start(options_.command, -1, -1);
    if (application_ < 0) return could_not(std::string("the application could not be started: ") + std::strerror(errno));
    say("running");
    if (options_.status >= 0) ::close(options_.status);
    options_.status = -1;

    for (;;) {
        pollfd watched[3] = {{signals_, POLLIN, 0}, {output_, POLLIN, 0}, {bus_process_ < 0 ? bus_ : -1, POLLIN, 0}};
        if (::poll(watched, 3, -1) < 0 && errno != EINTR) return end(End::could_not_start, "process 1 of the session can't wait");
        if ((watched[1].revents & POLLIN) != 0) keep_log();
        End how{};
        if ((watched[0].revents & POLLIN) != 0 && reap(how)) return how;
        if (bus_process_ < 0 && (watched[2].revents & POLLIN) != 0) start_message_bus();
    }
}

}  // namespace understudy::session
