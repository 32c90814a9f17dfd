// See session_run.hpp.
#include "nodes/execution/session_run.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace understudy::node {
namespace {

constexpr int kStatusDescriptor = 3;

// What is left of a run: killed at once, taken apart by the cleaner.
struct Remains {
    Cgroup group;
    Child child;
    Remains(Cgroup taken_group, Child taken_child) : group(std::move(taken_group)), child(std::move(taken_child)) {}
    Remains(Remains&&) = default;
    Remains& operator=(Remains&&) = default;
    ~Remains() {
        if (child.pid <= 0 || !child.pidfd) return;
        siginfo_t info{};
        ::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED | __WALL);
    }
};

std::string first_line(const std::string& file) {
    std::ifstream from(file);
    std::string line;
    std::getline(from, line);
    return line;
}

std::string last_log_lines(const std::string& file) {
    std::ifstream from(file);
    std::string line;
    std::string last;
    while (std::getline(from, line)) {
        if (!line.empty()) last = line;
    }
    return last;
}

}  // namespace

SessionRun::SessionRun(Ground& ground, std::string name, std::string root, Listener listener)
    : ground_(ground), name_(std::move(name)), root_(std::move(root)), listener_(std::move(listener)) {}

SessionRun::~SessionRun() {
    if (process_watch_ != 0) ground_.loop.unwatch(process_watch_);
    if (status_watch_ != 0) ground_.loop.unwatch(status_watch_);
    group_.thaw();
    group_.kill();
    ground_.dispose(Remains(std::move(group_), std::move(child_)));
}

Result<int> SessionRun::make_group() {
    auto group = Cgroup::make(ground_.settings.cgroup_root, name_);
    if (!group) return tl::unexpected(group.error());
    group_ = std::move(*group);
    return group_.descriptor();
}

Result<> SessionRun::start(SessionId session, const Application& application, const std::string& environment) {
    if (auto made = make_group(); !made) return tl::unexpected(made.error());
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failure(ErrorCode::failed, std::string("pipe: ") + std::strerror(errno));
    status_.reset(ends[0]);
    const Descriptor theirs(ends[1]);
    const auto& settings = ground_.settings;
    const auto& account = settings.account;
    Spawn what;
    what.command = {settings.programs_folder + "/bin/understudy-session-init", "enter", "--root", root_, "--status", std::to_string(kStatusDescriptor),
                    "--host-name", "session-" + to_string(session), "--geometry", settings.geometry, "--user", std::to_string(account.user),
                    "--group", std::to_string(account.group), "--user-name", account.name, "--home", account.home, "--environment", environment, "--"};
    what.command.insert(what.command.end(), application.command.begin(), application.command.end());
    what.environment = plain_environment();
    what.descriptors[kStatusDescriptor] = theirs.get();
    what.namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWTIME;
    what.cgroup = group_.descriptor();
    auto child = spawn(what);
    if (!child) return tl::unexpected(child.error());
    child_ = std::move(*child);
    watch_status();
    watch_process();
    return {};
}

Result<> SessionRun::adopt(int pid) {
    child_.pid = pid;
    child_.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!child_.pidfd) {
        child_.pid = -1;
        return failure(ErrorCode::failed, std::string("the restored session was gone at once: ") + std::strerror(errno));
    }
    runs_ = true;
    watch_process();
    return {};
}

void SessionRun::watch_process() {
    process_watch_ = ground_.loop.watch(child_.pidfd.get(), EPOLLIN, [this](std::uint32_t) { note_end(); });
}

void SessionRun::watch_status() {
    status_watch_ = ground_.loop.watch(status_.get(), EPOLLIN, [this](std::uint32_t) {
        char part[512];
        const auto got = ::read(status_.get(), part, sizeof part);
        if (got > 0) status_text_.append(part, static_cast<std::size_t>(got));
        if (got < 0 && errno == EAGAIN) return;
        if (!runs_ && status_text_.find("running\n") != std::string::npos) {
            runs_ = true;
            listener_.on_running();
        }
        if (got > 0) return;
        ground_.loop.unwatch(status_watch_);
        status_watch_ = 0;
        status_.reset();
    });
}

void SessionRun::note_end() {
    ground_.loop.unwatch(process_watch_);
    process_watch_ = 0;
    const ProcessEnd end = take_end(child_);
    child_ = {};
    char part[512];
    for (ssize_t got = 0; status_ && (got = ::read(status_.get(), part, sizeof part)) > 0;) status_text_.append(part, static_cast<std::size_t>(got));
    const auto at = status_text_.find("failed ");
    std::string words = first_line(root_ + "/run/understudy/ended");
    const auto listener = listener_;  // they may destroy this object
    if (!runs_ || at != std::string::npos) {
        if (at != std::string::npos) words = status_text_.substr(at + 7, status_text_.find('\n', at) - at - 7);
        if (words.empty()) words = "the session's first process " + describe(end);
        if (const auto last = last_log_lines(root_ + "/run/understudy/log"); !last.empty()) words += " (its last words: " + last + ")";
        listener.on_failed(words);
        return;
    }
    if (words.empty()) words = "the session's first process " + describe(end);
    listener.on_ended(end.clean() ? Ending::closed : Ending::crashed, words);
}

}  // namespace understudy::node
