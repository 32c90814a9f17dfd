// See qemu_process.hpp.
#include "manager/adapters/hypervisor/qemu_process.hpp"

#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/run_program.hpp"

namespace understudy::manager {
namespace {

constexpr std::chrono::seconds kLimitPatience{10};

}  // namespace

QemuProcess open_qemu_process(const std::string& pid_file, const std::string& domain) {
    const auto text = read_file(pid_file);
    const std::int64_t pid = text ? std::strtoll(text->c_str(), nullptr, 10) : 0;
    if (pid <= 1) return {};
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0u)));
    if (!process || has_ended(process)) return {};
    // Looked at only now: from here on the number cannot change its owner unnoticed.
    const auto command = read_file("/proc/" + std::to_string(pid) + "/cmdline");
    if (!command || command->find("guest=" + domain + ",") == std::string::npos) return {};
    return {pid, std::move(process)};
}

UniqueFd duplicate(const UniqueFd& descriptor) { return UniqueFd(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0)); }

bool has_ended(const UniqueFd& process) {
    pollfd waiting{process.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) > 0;
}

Result<> limit_files(const QemuProcess& qemu, const std::optional<QemuAccount>& account, std::uint64_t bytes) {
    std::vector<std::string> command{"prlimit", "--pid", std::to_string(qemu.pid), "--fsize=" + std::to_string(bytes)};
    if (account) {
        // In a container root may not bound others, but everybody may bound himself.
        command.insert(command.begin(), {"setpriv", "--reuid=" + std::to_string(account->user), "--regid=" + std::to_string(account->group), "--clear-groups"});
    }
    return run_program(command, kLimitPatience).map([](const std::string&) {});
}

bool end_process(const UniqueFd& process, std::chrono::milliseconds patience) {
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0u);
    pollfd waiting{process.get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
    siginfo_t end{};
    ::waitid(P_PIDFD, static_cast<id_t>(process.get()), &end, WEXITED | WNOHANG);
    return true;
}

}  // namespace understudy::manager
