// Gives blocking hypervisors threads, one set per host, and makes them the port that the loop uses.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "manager/adapters/hypervisor/keyed_workers.hpp"
#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/hypervisor_port.hpp"

namespace understudy::manager {

class HypervisorWorkers : public HypervisorPort {
  public:
    /// `parallel`: creations and scrubs at once, per host.
    HypervisorWorkers(std::uint32_t parallel, ArrivalSink sink);
    ~HypervisorWorkers() override;

    /// Several hosts may share one hypervisor, which outlives this. Finds out about the host's acceleration
    /// at once. Precondition: before the loop starts.
    void add_host(const std::string& name, Hypervisor& hypervisor);

    void name_host(HostId host, const std::string& name) override;
    void create(const CreateInstance& action) override;
    void resume(const ResumeInstance& action) override;
    void scrub(const ScrubInstance& action) override;
    void deploy(const DeployEnvironment& action) override;
    void destroy(const DestroyInstance& action) override;
    void fence(const FenceHost& action) override;
    void list(const ListInstances& action) override;

  private:
    struct Host {
        std::string name;
        Hypervisor* hypervisor = nullptr;
        std::unique_ptr<KeyedWorkers> workers;
    };
    /// nullptr: the configuration has no such host (any more).
    [[nodiscard]] Host* host_of(HostId id);
    void answer(OperationId operation, Result<Done> outcome);
    void answer_list(HostId id, Host& host);
    void not_supported(OperationId operation, const Host& host, const std::string& what);
    void no_host(OperationId operation, HostId id);

    std::uint32_t parallel_;
    ArrivalSink sink_;
    std::map<std::string, Host> hosts_;
    std::map<HostId, std::string> names_;
    std::mutex answering_;            ///< a list that an operation overtook must not be told after it
    std::uint64_t answered_ = 0;
};

}  // namespace understudy::manager
