// See process_watch.hpp.
#include "manager/runtime/process_watch.hpp"

#include <array>
#include <cassert>
#include <cstring>
#include <fstream>
#include <string>

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace understudy::manager {
namespace {

/// A zombie this old has nobody who waits for it: whoever starts a program on purpose waits at once.
constexpr Duration kOrphanAge{1'000'000};

std::string words_for(const siginfo_t& end) {
    if (end.si_code == CLD_EXITED) return "with status " + std::to_string(end.si_status);
    return std::string("by signal ") + std::to_string(end.si_status) + " (" + ::strsignal(end.si_status) + ")";
}

/// Daemons are in a session of their own; what libvirt starts and waits for is in ours, and so is the
/// process between it and a daemon until it bears QEMU's name.
bool is_ended_daemon(pid_t pid) {
    if (::getsid(pid) == ::getsid(0)) return false;
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    // Not by iterators: the process may be gone for good before this is read, and they would throw then.
    std::string status;
    std::getline(file, status);
    return status.find("(qemu-") != std::string::npos;
}

}  // namespace

void reap_ended_daemons() {
    siginfo_t end{};
    while (::waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid != 0 && is_ended_daemon(end.si_pid)) {
        if (::waitid(P_PID, static_cast<id_t>(end.si_pid), &end, WEXITED | WNOHANG) != 0) return;
        end = {};
    }
}

ProcessWatch::ProcessWatch() : watch_(::epoll_create1(EPOLL_CLOEXEC)) { assert(watch_); }

void ProcessWatch::add(NodeId node, std::int64_t pid, UniqueFd process) {
    remove(node);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = next_ticket_;
    if (::epoll_ctl(watch_.get(), EPOLL_CTL_ADD, process.get(), &wanted) != 0) return;
    tickets_.emplace(next_ticket_, node);
    watched_.emplace(node, Watched{next_ticket_, pid, std::move(process)});
    ++next_ticket_;
}

void ProcessWatch::remove(NodeId node) {
    const auto found = watched_.find(node);
    if (found == watched_.end()) return;
    ::epoll_ctl(watch_.get(), EPOLL_CTL_DEL, found->second.process.get(), nullptr);
    tickets_.erase(found->second.ticket);
    watched_.erase(found);
}

std::vector<ProcessWatch::Ended> ProcessWatch::look() {
    std::array<epoll_event, 64> ready{};
    const int count = ::epoll_wait(watch_.get(), ready.data(), static_cast<int>(ready.size()), 0);
    std::vector<Ended> ended;
    for (int i = 0; i < count; ++i) {
        const std::uint64_t ticket = ready[static_cast<std::size_t>(i)].data.u64;
        const auto found = tickets_.find(ticket);
        if (found != tickets_.end()) ended.push_back({found->second, ticket});
    }
    return ended;
}

std::optional<ProcessWatch::Ending> ProcessWatch::confirm(const Ended& ended) {
    const auto found = watched_.find(ended.node);
    if (found == watched_.end() || found->second.ticket != ended.ticket) return std::nullopt;
    siginfo_t end{};
    const auto process = static_cast<id_t>(found->second.process.get());
    Ending ending{"process " + std::to_string(found->second.pid) + " of the hypervisor ended", false};
    if (::waitid(P_PIDFD, process, &end, WEXITED | WNOHANG) == 0 && end.si_pid != 0) {
        ending.cause += " " + words_for(end);
        ending.by_itself = end.si_code == CLD_EXITED;
    }
    remove(ended.node);
    return ending;
}

void ProcessWatch::reap_orphans(TimePoint now) {
    reap_ended_daemons();
    siginfo_t end{};
    if (::waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0) {
        zombie_ = 0;
        return;
    }
    if (zombie_ != end.si_pid) {
        zombie_ = end.si_pid;
        zombie_since_ = now;
    } else if (now - zombie_since_ >= kOrphanAge) {
        ::waitid(P_PID, static_cast<id_t>(end.si_pid), &end, WEXITED | WNOHANG);
        zombie_ = 0;
    }
}

}  // namespace understudy::manager
