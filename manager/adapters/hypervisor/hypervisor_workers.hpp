// Gives blocking hypervisors threads, one set per host, and makes them the port that the loop uses.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "manager/adapters/fencing/fence_agent.hpp"
#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "manager/adapters/hypervisor/keyed_workers.hpp"
#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/hypervisor_port.hpp"

namespace understudy::manager {

/// Gives the hypervisor of a host that was not there at the start; it outlives the workers. Errors: in words.
using HostOpener = std::function<Result<Hypervisor*>(const HostRecord&)>;

class HypervisorWorkers : public HypervisorPort {
  public:
    /// `parallel`: creations and scrubs at once, per host.
    HypervisorWorkers(std::uint32_t parallel, ArrivalSink sink);
    ~HypervisorWorkers() override;

    /// Several hosts may share one hypervisor, which outlives this. Finds out about the host's acceleration
    /// at once. Precondition: before the loop starts.
    void add_host(const std::string& name, Hypervisor& hypervisor);
    /// This host can be switched off from outside. Precondition: it was added.
    void add_fence(const std::string& name, FenceOptions options);

    /// Without one no host can be defined while the manager runs. Precondition: before the loop starts.
    void set_opener(HostOpener opener) { opener_ = std::move(opener); }

    void know_host(const HostRecord& host) override;
    void probe(const HostRecord& host, std::uint64_t token) override;
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
        std::optional<FenceAgent> fence;
        std::unique_ptr<KeyedWorkers> fencing;  ///< of its own: the hypervisor of a dead host keeps `workers` waiting
    };
    /// nullptr: the configuration has no such host (any more).
    [[nodiscard]] Host* host_of(HostId id);
    void answer(OperationId operation, Result<Done> outcome);
    void answer_list(HostId id, Host& host);
    [[nodiscard]] Result<Hypervisor*> open(const HostRecord& host);
    [[nodiscard]] Error no_host(HostId id) const;

    std::uint32_t parallel_;
    ArrivalSink sink_;
    std::map<std::string, Host> hosts_;
    std::map<HostId, std::string> names_;
    std::map<std::string, std::string> unusable_;  ///< hosts that could not be opened, and why
    HostOpener opener_;
    KeyedWorkers probes_{1};
    std::mutex answering_;            ///< a list that an operation overtook must not be told after it
    std::uint64_t answered_ = 0;
};

}  // namespace understudy::manager
