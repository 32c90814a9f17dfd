// A hypervisor whose instances are processes: this program itself, run as a machine (machine.hpp). It is MemoryHypervisor with
// something behind the table that can be killed, stopped and cut off. Any thread.
#pragma once

#include <sys/types.h>

#include <map>
#include <mutex>
#include <string>

#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/unique_fd.hpp"
#include "tests/bench/programs/machine.hpp"

namespace understudy::bench {

class ProcessHypervisor : public manager::Hypervisor {
  public:
    /// `machine`: what all machines have in common. `watched` false: nobody holds a pidfd, as if the machines went on
    /// and only their agents ended.
    ProcessHypervisor(MachineOptions machine, bool watched, manager::ArrivalSink sink);
    ~ProcessHypervisor() override;

    [[nodiscard]] Result<Endpoint> create(const manager::InstanceSpec& spec) override;
    [[nodiscard]] Result<Endpoint> resume(NodeId id) override;
    [[nodiscard]] Result<manager::Done> scrub(NodeId id) override;
    [[nodiscard]] Result<> deploy(NodeId, const manager::Bundle&) override { return {}; }
    [[nodiscard]] Result<> destroy(NodeId id) override;
    void tidy(NodeId) override {}
    [[nodiscard]] Result<std::vector<manager::ListedInstance>> list(const std::string& host) override;
    [[nodiscard]] manager::AccelerationVerdict acceleration() override { return {"none", "its machines are processes"}; }

    /// The process that is this machine; 0: there is none.
    [[nodiscard]] pid_t process(NodeId id);
    /// The address that its connections come from.
    [[nodiscard]] static std::string address(NodeId id);

  private:
    struct Instance {
        manager::InstanceSpec spec;
        pid_t process = 0;
        manager::UniqueFd handle;  ///< a pidfd: whoever watches the process may reap it, and its number may be another's then
    };
    [[nodiscard]] Result<Endpoint> start(Instance& instance);
    void end(Instance& instance);

    MachineOptions machine_;
    bool watched_;
    manager::ArrivalSink sink_;
    std::mutex mutex_;
    std::map<NodeId, Instance> instances_;
};

}  // namespace understudy::bench
