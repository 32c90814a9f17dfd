// The QEMU process of an instance on this machine: found, watched and ended through a pidfd, so that a
// number used again never hits a stranger. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "manager/adapters/hypervisor/qemu_account.hpp"
#include "manager/runtime/unique_fd.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

struct QemuProcess {
    std::int64_t pid = 0;
    UniqueFd process;  ///< a pidfd; none: there is no such process
};

/// The process that `pid_file` names, if it is alive and runs the domain `domain`.
[[nodiscard]] QemuProcess open_qemu_process(const std::string& pid_file, const std::string& domain);

/// Another descriptor for the same process.
[[nodiscard]] UniqueFd duplicate(const UniqueFd& descriptor);

/// True when the process has ended.
[[nodiscard]] bool has_ended(const UniqueFd& process);

/// No file that it writes becomes larger than this; what is beyond is not written, and QEMU goes on. `account`: its own; none: ours.
/// Errors: `failed`, in the system's words.
[[nodiscard]] Result<> limit_files(const QemuProcess& qemu, const std::optional<QemuAccount>& account, std::uint64_t bytes);

/// Kills it and waits until it has ended; reaps it if it is a child of ours. False: it is still there.
[[nodiscard]] bool end_process(const UniqueFd& process, std::chrono::milliseconds patience);

}  // namespace understudy::manager
