// See process.hpp.
#include "nodes/agent/base/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace understudy::node {
namespace {

constexpr int kFirstSafe = 200;  // descriptors are parked above this while 0.. are being arranged

std::string find_program(const std::string& name, const std::map<std::string, std::string>& environment) {
    if (name.find('/') != std::string::npos) return name;
    const auto path = environment.find("PATH");
    std::string rest = path == environment.end() ? "/usr/bin:/bin" : path->second;
    while (!rest.empty()) {
        const auto colon = rest.find(':');
        const std::string candidate = rest.substr(0, colon) + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
        rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
    }
    return {};
}

// Everything the new process needs, laid out before it exists: between clone and exec it may not
// allocate, because another thread may hold the allocator's lock at that moment.
struct Prepared {
    std::string program;
    std::vector<std::string> variables;
    std::vector<char*> arguments;
    std::vector<char*> environment;
    std::vector<std::pair<int, int>> descriptors;
    pid_t parent = 0;
};

// Returns the number the pipe for problems has afterwards, or -1.
int arrange_descriptors(const Prepared& prepared, int problem_pipe) {
    int parked[64];
    std::size_t count = 0;
    if (prepared.descriptors.size() > std::size(parked)) return -1;
    for (const auto& [wanted, ours] : prepared.descriptors) {
        parked[count] = ::fcntl(ours, F_DUPFD, kFirstSafe);
        if (parked[count++] < 0) return -1;
    }
    const int pipe = ::fcntl(problem_pipe, F_DUPFD_CLOEXEC, kFirstSafe);
    if (pipe < 0) return -1;
    const int nothing = ::open("/dev/null", O_RDWR);
    for (int number = 0; number < 3; ++number) ::dup2(nothing, number);
    ::close_range(3, kFirstSafe - 1, 0);
    count = 0;
    for (const auto& [wanted, ours] : prepared.descriptors) {
        if (::dup2(parked[count++], wanted) < 0) return -1;
    }
    // What is left up there belongs to other parts of the agent, or was parked.
    if (pipe > kFirstSafe) ::close_range(kFirstSafe, static_cast<unsigned>(pipe) - 1, 0);
    ::close_range(static_cast<unsigned>(pipe) + 1, ~0U, 0);
    return pipe;
}

[[noreturn]] void become(const Spawn& what, const Prepared& prepared, int problem_pipe) {
    int pipe = problem_pipe;
    const auto give_up = [&pipe] {
        const int problem = errno;
        [[maybe_unused]] const auto written = ::write(pipe, &problem, sizeof problem);
        ::_exit(127);
    };
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Inside a new PID namespace the parent shows as 0; the signal works all the same.
    if ((what.namespaces & CLONE_NEWPID) == 0 && ::getppid() != prepared.parent) ::_exit(127);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGCHLD, SIGHUP}) ::signal(number, SIG_DFL);
    ::setsid();
    ::setpriority(PRIO_PROCESS, 0, what.nice);
    // The agent is spared when memory runs out; what it starts is not.
    if (const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC); score >= 0) {
        [[maybe_unused]] const auto written = ::write(score, "0", 1);
        ::close(score);
    }
    pipe = arrange_descriptors(prepared, problem_pipe);
    if (pipe < 0) ::_exit(127);
    if (::chdir(what.folder.c_str()) != 0) give_up();
    if (what.account != nullptr) {
        const gid_t group = what.account->group;
        if (::syscall(SYS_setgroups, 1, &group) != 0 || ::syscall(SYS_setresgid, group, group, group) != 0 ||
            ::syscall(SYS_setresuid, what.account->user, what.account->user, what.account->user) != 0) {
            give_up();
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user clears it
    }
    ::execve(prepared.program.c_str(), prepared.arguments.data(), prepared.environment.data());
    give_up();
    ::_exit(127);
}

Result<Prepared> prepare(const Spawn& what) {
    Prepared prepared;
    if (what.command.empty()) return failure(ErrorCode::invalid, "no command to start");
    prepared.program = find_program(what.command.front(), what.environment);
    if (prepared.program.empty() || ::access(prepared.program.c_str(), X_OK) != 0) {
        return failure(ErrorCode::not_found, "the program " + what.command.front() + " is not installed on this node");
    }
    for (const auto& word : what.command) prepared.arguments.push_back(const_cast<char*>(word.c_str()));
    prepared.arguments.push_back(nullptr);
    for (const auto& [name, value] : what.environment) prepared.variables.push_back(name + "=" + value);
    for (auto& variable : prepared.variables) prepared.environment.push_back(variable.data());
    prepared.environment.push_back(nullptr);
    for (const auto& pair : what.descriptors) prepared.descriptors.push_back(pair);
    prepared.parent = ::getpid();
    return prepared;
}

}  // namespace

Result<Account> find_account(const std::string& name) {
    char buffer[4096];
    passwd entry{};
    passwd* found = nullptr;
    ::getpwnam_r(name.c_str(), &entry, buffer, sizeof buffer, &found);
    if (found == nullptr) return failure(ErrorCode::not_found, "there is no account '" + name + "' on this node");
    return Account{entry.pw_uid, entry.pw_gid, entry.pw_dir, name};
}

Result<Child> spawn(const Spawn& what) {
    auto prepared = prepare(what);
    if (!prepared) return tl::unexpected(prepared.error());
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return failure(ErrorCode::failed, std::string("pipe: ") + std::strerror(errno));
    Descriptor problem_out(ends[0]);
    Descriptor problem_in(ends[1]);

    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = what.namespaces | CLONE_PIDFD | (what.cgroup >= 0 ? CLONE_INTO_CGROUP : 0ULL);
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    if (what.cgroup >= 0) arguments.cgroup = static_cast<std::uint64_t>(what.cgroup);
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid == 0) become(what, *prepared, ends[1]);
    if (pid < 0) {
        return failure(ErrorCode::failed, "can't start " + what.command.front() + ": " + std::strerror(errno));
    }
    ::fcntl(problem_out.get(), F_SETFL, O_NONBLOCK);
    return Child{pid, Descriptor(pidfd), std::move(problem_out)};
}

ProcessEnd take_end(const Child& child) {
    siginfo_t info{};
    // Restored sessions are clones without the usual exit signal: __WALL covers them.
    if (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED | WNOHANG | __WALL) != 0 || info.si_pid == 0) {
        return {};
    }
    int problem = 0;
    if (child.problem && ::read(child.problem.get(), &problem, sizeof problem) != static_cast<ssize_t>(sizeof problem)) problem = 0;
    return {true, info.si_code != CLD_EXITED, info.si_status, problem};
}

std::string describe(const ProcessEnd& end) {
    if (!end.known) return "ended";
    if (end.problem != 0) return std::string("could not be started: ") + std::strerror(end.problem);
    if (end.signalled) return "was killed by signal " + std::to_string(end.number) + " (" + ::strsignal(end.number) + ")";
    return "ended with status " + std::to_string(end.number);
}

std::map<std::string, std::string> plain_environment() {
    return {{"PATH", "/opt/understudy/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {"LANG", "C.UTF-8"}};
}

}  // namespace understudy::node
