// Carries the core's actions to peers, hypervisors and the log. Owned by the loop's thread.
#pragma once

#include <functional>

#include "manager/core/core.hpp"
#include "manager/core/state.hpp"
#include "manager/runtime/hypervisor_port.hpp"
#include "manager/runtime/log_port.hpp"
#include "manager/runtime/peers_port.hpp"
#include "manager/runtime/ports.hpp"

namespace understudy::manager {

class Outlet : public OutletPort {
  public:
    /// Hears of every answer to an administrator before it leaves.
    using ReplyHeard = std::function<void(ClientId, const AdminReply&)>;

    /// `core` gives the names of hosts; all outlive this.
    Outlet(const Core& core, PeersPort& peers, HypervisorPort& hypervisors, const LogSink& log, ReplyHeard heard)
        : core_(core), peers_(peers), hypervisors_(hypervisors), log_(log), heard_(std::move(heard)) {}

    void send_to_node(NodeId to, const Message& message) override;
    void send_to_client(ClientId to, const Message& message) override;
    void create(const CreateInstance& action) override;
    void resume(const ResumeInstance& action) override;
    void scrub(const ScrubInstance& action) override;
    void deploy(const DeployEnvironment& action) override;
    void destroy(const DestroyInstance& action) override;
    void list(const ListInstances& action) override;
    void fence(const FenceHost& action) override;
    void note(const Note& action) override;

  private:
    /// Makes sure that the hypervisors know which host is meant; returns its name.
    std::string name_host(HostId id);

    const Core& core_;
    PeersPort& peers_;
    HypervisorPort& hypervisors_;
    const LogSink& log_;
    ReplyHeard heard_;
};

}  // namespace understudy::manager
