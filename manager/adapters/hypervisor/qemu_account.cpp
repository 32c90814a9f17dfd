// See qemu_account.hpp.
#include "manager/adapters/hypervisor/qemu_account.hpp"

#include <array>
#include <filesystem>
#include <fstream>

#include <grp.h>
#include <sodium.h>

namespace understudy::manager {
namespace {

/// What systemd's documentation of users and groups calls unused, up to 2^31.
constexpr std::uint32_t kFirstUnused = 0x70000000;
constexpr std::uint32_t kPerCluster = 1024;
constexpr std::uint32_t kClusters = 1U << 18U;
static_assert(std::uint64_t{kFirstUnused} + std::uint64_t{kClusters} * kPerCluster == std::uint64_t{1} << 31U);

/// The first directory on the way to `path` that other accounts cannot pass; empty: none. What is not there yet is open.
std::string closed_on_the_way(const std::filesystem::path& path) {
    std::filesystem::path so_far;
    for (const auto& part : path) {
        so_far /= part;
        std::error_code missing;
        const auto status = std::filesystem::status(so_far, missing);
        if (missing || status.type() != std::filesystem::file_type::directory) return {};
        if ((status.permissions() & std::filesystem::perms::others_exec) == std::filesystem::perms::none) return so_far.string();
    }
    return {};
}

bool closed_itself(const std::string& path) {
    std::error_code missing;
    const auto status = std::filesystem::status(path, missing);
    return !missing && status.type() == std::filesystem::file_type::regular &&
           (status.permissions() & std::filesystem::perms::others_read) == std::filesystem::perms::none;
}

/// In a container of somebody without rights most numbers mean nobody.
bool exists_here(const AccountRange& range) {
    std::ifstream map("/proc/self/uid_map");
    std::uint64_t inside = 0;
    std::uint64_t outside = 0;
    std::uint64_t count = 0;
    while (map >> inside >> outside >> count) {
        if (inside <= range.first && range.last < inside + count) return true;
    }
    return false;
}

}  // namespace

AccountRange accounts_of(const std::string& cluster) {
    unsigned char sum[16];
    ::crypto_generichash(sum, sizeof sum, reinterpret_cast<const unsigned char*>(cluster.data()), cluster.size(), nullptr, 0);
    const std::uint32_t number = (sum[0] | sum[1] << 8U | sum[2] << 16U) % kClusters;
    const std::uint32_t first = kFirstUnused + number * kPerCluster;
    return {first, first + kPerCluster - 1};
}

std::uint32_t account_of_door(const AccountRange& range, std::uint16_t door_port) { return range.first + door_port % kPerCluster; }

std::uint32_t processor_group() {
    group entry{};
    group* found = nullptr;
    std::array<char, 8192> room{};
    ::getgrnam_r(kProcessorGroup, &entry, room.data(), room.size(), &found);
    return found == nullptr ? 0 : found->gr_gid;
}

std::string why_not_without_rights(const AccountRange& range, const std::vector<std::string>& paths) {
    if (!exists_here(range)) {
        return "accounts " + std::to_string(range.first) + " to " + std::to_string(range.last) +
               " do not exist in this container; give it the whole range of accounts";
    }
    for (const std::string& path : paths) {
        const std::string closed = closed_on_the_way(path);
        if (!closed.empty()) return closed + " is closed to other accounts; open it with: chmod o+x " + closed;
        if (closed_itself(path)) return path + " is closed to other accounts; open it with: chmod o+r " + path;
    }
    return {};
}

}  // namespace understudy::manager
