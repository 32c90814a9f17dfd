// What tests with real virtual machines share: the guest image, files of instances, and what the loop would do
// with what an adapter reports.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "manager/adapters/hypervisor/libvirt_hypervisor.hpp"
#include "manager/runtime/mailbox.hpp"
#include "manager/runtime/process_watch.hpp"
#include "tests/contract/hypervisor_suite.hpp"
#include "tests/contract/temporary_directory.hpp"

namespace understudy::test {

[[nodiscard]] manager::LibvirtLibrary& library();
[[nodiscard]] std::string image_directory();

/// One adapter. At the embedded driver below the rig's own directory (no `uri`) guests have our programs, and an
/// agent that looks for a manager in vain. Elsewhere they have a disk without programs: they boot, and their
/// process 1 says that the agent is missing.
class MachineRig {
  public:
    explicit MachineRig(std::string uri = {}, std::map<std::string, std::string> door_addresses = {});
    ~MachineRig();
    MachineRig(const MachineRig&) = delete;
    MachineRig& operator=(const MachineRig&) = delete;

    [[nodiscard]] manager::LibvirtHypervisor& hypervisor() { return *hypervisor_; }
    [[nodiscard]] manager::InstanceFiles& files() { return *files_; }
    [[nodiscard]] std::string console(std::uint64_t id) const { return files_->path(NodeId(id), "console.log"); }
    /// A bundle that guests can mount.
    [[nodiscard]] manager::Bundle make_environment(const std::string& name);
    [[nodiscard]] Subject subject(const std::string& host = "alpha") { return {*hypervisor_, told_, host, bundle_}; }

    /// Hands what the workers reported to the watch, as the loop does.
    void deliver();
    manager::ProcessWatch watch;
    std::map<NodeId, std::int64_t> pids;
    std::map<NodeId, std::string> stopped;  ///< what the adapter said about those that stopped by themselves

  private:
    TemporaryDirectory directory_;
    manager::DoorPorts ports_{20000, 60000};
    std::unique_ptr<manager::InstanceFiles> files_;
    manager::Mailbox<manager::Arrival> mailbox_;
    Told told_;
    manager::Bundle bundle_ = put_bundle(directory_ / "environments");
    std::unique_ptr<manager::LibvirtHypervisor> hypervisor_;
    // The loop does this in the manager: libvirt waits for the daemons that it ended.
    std::atomic<bool> stopping_ = false;
    std::thread reaper_;
};

/// The embedded driver's root is fixed at the first connection of a program: all tests share this one.
[[nodiscard]] MachineRig& embedded_machine();

/// Waits until the file has this text; says what it has otherwise.
[[nodiscard]] bool file_says(const std::string& file, const std::string& text, std::chrono::seconds patience);

[[nodiscard]] std::int64_t ms_since(std::chrono::steady_clock::time_point start);

}  // namespace understudy::test
