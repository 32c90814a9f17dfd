// See session_run.hpp.
#include "nodes/execution/session_run.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

namespace understudy::node {
namespace {

constexpr int kStatusDescriptor = 3;
constexpr const char* kWordFolder = "/run/understudy";
constexpr const char* kWordFile = "ended";

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

/// What the first process of a session wrote down at the end: in words, and as its exit status.
struct LastWord {
    std::string words;
    std::string status;
};

LastWord last_word(const std::string& root) {
    std::ifstream from(root + kWordFolder + "/" + kWordFile);
    LastWord word;
    std::getline(from, word.words);
    std::getline(from, word.status);
    return word;
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
    if (word_watch_ != 0) ground_.loop.unwatch(word_watch_);
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
    watch_word();
}

/// The kernel takes a session apart process by process before the end of its first one can be seen. The first one's
/// word is there before. Without a watch the end is noticed all the same, only later.
void SessionRun::watch_word() {
    word_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!word_ || ::inotify_add_watch(word_.get(), (root_ + kWordFolder).c_str(), IN_CLOSE_WRITE | IN_ONLYDIR) < 0) return;
    word_watch_ = ground_.loop.watch(word_.get(), EPOLLIN, [this](std::uint32_t) { note_word(); });
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

void SessionRun::note_word() {
    alignas(inotify_event) char events[4096];
    bool spoke = false;
    for (ssize_t got = 0; (got = ::read(word_.get(), events, sizeof events)) > 0;) {
        for (const char* at = events; at < events + got;) {
            const auto* event = reinterpret_cast<const inotify_event*>(at);
            spoke = spoke || (event->len > 0 && std::string_view(event->name) == kWordFile);
            at += sizeof *event + event->len;
        }
    }
    const std::string status = spoke ? last_word(root_).status : "";
    if (status.empty()) return;
    group_.kill();               // nothing of it acts any more when its end is told
    over(status == "0" ? Ending::closed : Ending::crashed, "the session ended");
}

void SessionRun::note_end() {
    const ProcessEnd end = take_end(child_);
    child_ = {};
    over(end.clean() ? Ending::closed : Ending::crashed, "the session's first process " + describe(end));
}

void SessionRun::over(Ending ending, const std::string& otherwise) {
    for (Loop::Id* watch : {&process_watch_, &word_watch_}) {
        if (*watch != 0) ground_.loop.unwatch(*watch);
        *watch = 0;
    }
    char part[512];
    for (ssize_t got = 0; status_ && (got = ::read(status_.get(), part, sizeof part)) > 0;) status_text_.append(part, static_cast<std::size_t>(got));
    const auto at = status_text_.find("failed ");
    std::string words = last_word(root_).words;
    const auto listener = listener_;  // they may destroy this object
    if (!runs_ || at != std::string::npos) {
        if (at != std::string::npos) words = status_text_.substr(at + 7, status_text_.find('\n', at) - at - 7);
        if (words.empty()) words = otherwise;
        if (const auto last = last_log_lines(root_ + "/run/understudy/log"); !last.empty()) words += " (its last words: " + last + ")";
        listener.on_failed(words);
        return;
    }
    listener.on_ended(ending, words.empty() ? otherwise : words);
}

}  // namespace understudy::node
