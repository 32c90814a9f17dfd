// Instances through libvirt, at any URI: the in-process QEMU driver (qemu:///embed, the default: no daemon),
// a local or a remote libvirtd, and the test driver for contract tests. Several hosts may share one URI and
// so one of these. Any thread.
//
// An instance is a transient domain "us-ID" with our mark in its metadata; what does not carry the mark is
// never touched. On this machine its process is watched and ended directly (a pidfd says within a
// millisecond what libvirt says after a second); elsewhere libvirt's events and words count.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "manager/adapters/hypervisor/domain_xml.hpp"
#include "manager/adapters/hypervisor/host_volumes.hpp"
#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "manager/adapters/hypervisor/instance_files.hpp"
#include "manager/adapters/hypervisor/libvirt_connection.hpp"
#include "manager/adapters/hypervisor/machine_template.hpp"
#include "manager/adapters/hypervisor/qemu_process.hpp"
#include "manager/runtime/arrivals.hpp"

namespace understudy::manager {

struct LibvirtOptions {
    std::string uri;
    std::string cluster;                             ///< the mark
    std::string acceleration_file;                   ///< where a verdict is remembered
    std::map<std::string, std::string> door_addresses;  ///< host name → address of its doors
};

class LibvirtHypervisor : public Hypervisor {
  public:
    /// The library, the files and the ports outlive this. What is in `files` already keeps its port.
    LibvirtHypervisor(LibvirtOptions options, LibvirtLibrary& library, InstanceFiles& files, DoorPorts& ports, ArrivalSink sink);

    [[nodiscard]] Result<Endpoint> create(const InstanceSpec& spec) override;
    [[nodiscard]] Result<Endpoint> resume(NodeId id) override;
    [[nodiscard]] Result<Done> scrub(NodeId id) override;
    [[nodiscard]] Result<> deploy(NodeId id, const Bundle& bundle) override;
    [[nodiscard]] Result<> destroy(NodeId id) override;
    void tidy(NodeId id) override;
    [[nodiscard]] Result<std::vector<ListedInstance>> list(const std::string& host) override;
    [[nodiscard]] AccelerationVerdict acceleration() override;

  private:
    using Driver = LibvirtConnection::Driver;
    struct Found {
        Domain domain;
        InstanceMark mark;
        bool running = false;
    };
    /// What instances are made from, verified.
    struct Parts {
        KnownFile kernel, initrd, base, agent;
    };
    /// Files that an instance runs on, as its host names them.
    struct Disks {
        std::string kernel, initrd, base, agent, disk, seed, console;
    };

    void on_lifecycle(virDomainPtr domain, int event, int detail);

    /// Nothing: there is no such domain. Errors: `unavailable`, `refused` (it is a stranger's).
    [[nodiscard]] Result<std::optional<Found>> find(virConnectPtr connection, NodeId id) const;
    [[nodiscard]] Result<Found> look_at(Domain domain) const;
    [[nodiscard]] Result<Done> start(virConnectPtr connection, const InstanceSpec& spec, std::uint16_t port);
    [[nodiscard]] Result<Parts> parts_of(const InstanceSpec& spec);
    /// Makes everything that the instance runs on anew.
    [[nodiscard]] Result<Disks> make_disks(virConnectPtr connection, const InstanceSpec& spec, const Parts& parts);
    /// On this machine: where the instance's files are.
    [[nodiscard]] Disks disks_here(NodeId id, const Parts& parts) const;
    [[nodiscard]] Result<DomainPlan> plan_for(const InstanceSpec& spec, std::uint16_t port, const Disks& disks);

    // ---- machines that stand still (paused_instances.cpp)
    [[nodiscard]] Result<Done> start_paused(virConnectPtr connection, const InstanceSpec& spec, std::uint16_t port);
    [[nodiscard]] Result<std::string> template_key(const InstanceSpec& spec, const Parts& parts);
    [[nodiscard]] Result<> make_template(virConnectPtr connection, const InstanceSpec& spec, const Parts& parts, const std::string& key);
    [[nodiscard]] Result<> boot_and_freeze(virConnectPtr connection, const InstanceSpec& spec, const Parts& parts, const std::string& key);
    [[nodiscard]] Result<> restore_copy(virConnectPtr connection, const InstanceFile& file, const Parts& parts);
    /// One that an earlier manager began and nobody finishes.
    void end_forgotten_template(Domain domain, const std::string& key);
    [[nodiscard]] Result<> remove_files(virConnectPtr connection, NodeId id);
    /// Success: it does not run any more. libvirt may still list it.
    [[nodiscard]] Result<> stop(NodeId id, const Found& found);
    [[nodiscard]] bool forgotten_by_libvirt(NodeId id);
    [[nodiscard]] std::string pid_file(NodeId id) const;
    [[nodiscard]] QemuProcess process_of(NodeId id) const;
    void watch(NodeId id);
    void unwatch(NodeId id);
    [[nodiscard]] Endpoint door_of(const InstanceMark& mark) const;
    [[nodiscard]] QemuRights rights_here();
    /// What a guest says on its console must not fill the host: a file of it is at most as large as its disk may become.
    void bound_files(const InstanceSpec& spec, const KnownFile& base, std::uint16_t port);
    /// Its QEMU's; none: the manager's own, or a remote libvirt's choice.
    [[nodiscard]] std::optional<QemuAccount> account_of(std::uint16_t port);
    /// What its QEMU writes, and who it is, becomes its account's.
    [[nodiscard]] Result<> hand_over(const DomainPlan& plan, const Disks& disks) const;

    LibvirtOptions options_;
    InstanceFiles& files_;
    DoorPorts& ports_;
    ArrivalSink sink_;
    const AccountRange accounts_;  ///< of the cluster
    const QemuRights rights_;      ///< of QEMUs on this machine that nobody else starts
    LibvirtConnection connection_;
    HostVolumes volumes_;  ///< for hosts elsewhere
    MachineTemplates templates_;
    std::mutex judging_;
    std::optional<AccelerationVerdict> verdict_;
    std::mutex watching_;
    std::map<NodeId, std::int64_t> watched_;  ///< pid, or 0 where there is none to be seen
    std::set<NodeId> stopping_;               ///< on purpose: its end is no event
};

}  // namespace understudy::manager
