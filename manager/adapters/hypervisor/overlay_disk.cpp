// See overlay_disk.hpp. Any worker's thread.
#include "manager/adapters/hypervisor/overlay_disk.hpp"

#include <chrono>
#include <vector>

#include "manager/adapters/system/run_program.hpp"

namespace understudy::manager {
namespace {

constexpr std::chrono::seconds kDiskPatience{30};

}  // namespace

Result<void> make_overlay(const Backing& backing, const std::string& disk, std::optional<std::uint64_t> size_bytes) {
    std::vector<std::string> command{"qemu-img", "create", "-q", "-f", "qcow2", "-F", backing.format, "-b", backing.path, disk};
    if (size_bytes) command.push_back(std::to_string(*size_bytes));
    return run_program(command, kDiskPatience).map([](const std::string&) {});
}

}  // namespace understudy::manager
