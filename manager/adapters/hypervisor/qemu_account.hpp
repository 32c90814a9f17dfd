// Under which account the QEMU of an instance runs, where it needs no rights: a number that nobody else has, not even the
// other instances, so a guest that breaks out of its QEMU finds nothing that it may open but its own disk. The numbers of
// a cluster are neighbours, so one rule of a packet filter tells them from everybody else. No entry in /etc/passwd is needed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace understudy::manager {

struct QemuAccount {
    std::uint32_t user = 0;
    std::uint32_t group = 0;
    bool operator==(const QemuAccount&) const = default;
};

/// What QEMU runs as: an account for each instance, or whoever runs the manager.
enum class QemuRights : std::uint8_t { own_account, as_the_manager };

/// The numbers that belong to a cluster, both ends included.
struct AccountRange {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    bool operator==(const AccountRange&) const = default;
};

/// In the range that Linux systems leave unused (from 1879048192). Two clusters have different ones, but for one chance
/// in 262,144.
[[nodiscard]] AccountRange accounts_of(const std::string& cluster);

/// Doors of one machine have different ports, so its instances have different accounts (beyond 1024 of them some share one).
[[nodiscard]] std::uint32_t account_of_door(const AccountRange& range, std::uint16_t door_port);

/// The group that may use /dev/kvm.
inline constexpr const char* kProcessorGroup = "kvm";
/// 0 where there is none.
[[nodiscard]] std::uint32_t processor_group();

/// Why QEMU cannot run under an account of its own here, and what to do about it; empty: it can. `paths` are the files and
/// folders that it has to reach.
[[nodiscard]] std::string why_not_without_rights(const AccountRange& range, const std::vector<std::string>& paths);

}  // namespace understudy::manager
