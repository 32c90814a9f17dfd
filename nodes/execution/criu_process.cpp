// See criu_process.hpp.
#include "nodes/execution/criu_process.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace understudy::node {
namespace {

// While it dumps, the application stands still: the sooner it is done the better.
constexpr int kDumpNiceness = -10;
// A restore takes whole seconds of a processor. What people are using on this node comes first; what is restored gets
// back the niceness that it had, at the end.
constexpr int kRestoreNiceness = 5;

}  // namespace

Result<std::unique_ptr<CriuProcess>> CriuProcess::start(std::vector<std::string> command, int cgroup, int nice, std::map<int, int> descriptors) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return failure(ErrorCode::failed, std::string("can't make a socket for criu: ") + std::strerror(errno));
    }
    std::unique_ptr<CriuProcess> criu(new CriuProcess);
    criu->socket_.reset(ends[0]);
    const Descriptor theirs(ends[1]);
    descriptors[3] = theirs.get();
    Spawn what;
    what.command = std::move(command);
    what.environment = plain_environment();
    what.descriptors = std::move(descriptors);
    what.cgroup = cgroup;
    what.nice = nice;
    auto child = spawn(what);
    if (!child) return tl::unexpected(child.error());
    criu->child_ = std::move(*child);
    return criu;
}

Result<std::unique_ptr<CriuProcess>> CriuProcess::start_for_dump() { return start({"criu", "swrk", "3"}, -1, kDumpNiceness, {}); }

Result<std::unique_ptr<CriuProcess>> CriuProcess::start_for_restore(const std::string& programs_folder, const std::string& root, int cgroup,
                                                                    std::size_t dead_sockets) {
    std::map<int, int> descriptors;
    std::vector<Descriptor> dead;
    for (std::size_t i = 0; i < dead_sockets; ++i) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) break;
        dead.emplace_back(ends[0]);
        ::close(ends[1]);
        descriptors[first_dead_socket() + static_cast<int>(i)] = ends[0];
    }
    return start({programs_folder + "/bin/understudy-session-init", "restore", root, "criu", "swrk", "3"}, cgroup, kRestoreNiceness, std::move(descriptors));
}

void CriuProcess::cut() const {
    // Half-restored processes may hold the other end: whoever waits for an answer must not wait for them.
    if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
    if (child_.pid > 0) ::syscall(SYS_pidfd_send_signal, child_.pidfd.get(), SIGKILL, nullptr, 0);
}

CriuProcess::~CriuProcess() {
    cut();
    if (child_.pid <= 0) return;
    siginfo_t info{};
    ::waitid(P_PIDFD, static_cast<id_t>(child_.pidfd.get()), &info, WEXITED);
}

}  // namespace understudy::node
