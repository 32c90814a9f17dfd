// A hypervisor whose instances are entries in a table: for tests and for trying out configurations. It
// passes the same contract tests as the real ones. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "manager/runtime/arrivals.hpp"

namespace understudy::manager {

class MemoryHypervisor : public Hypervisor {
  public:
    explicit MemoryHypervisor(ArrivalSink sink) : sink_(std::move(sink)) {}

    [[nodiscard]] Result<Endpoint> create(const InstanceSpec& spec) override;
    [[nodiscard]] Result<Endpoint> resume(NodeId id) override;
    [[nodiscard]] Result<Done> scrub(NodeId id) override;
    [[nodiscard]] Result<> deploy(NodeId id, const Bundle& bundle) override;
    [[nodiscard]] Result<> destroy(NodeId id) override;
    void tidy(NodeId) override {}
    [[nodiscard]] Result<std::vector<ListedInstance>> list(const std::string& host) override;
    [[nodiscard]] AccelerationVerdict acceleration() override { return {"none", "there are no real machines"}; }

    /// An instance ends by itself, as a crash would end it.
    void crash(NodeId id);
    /// Every call fails with these words from now on; empty: none does.
    void fail_with(std::string words);

  private:
    struct Instance {
        InstanceSpec spec;
        Endpoint door;
        bool running = true;
        bool paused = false;
        std::set<std::string> environments;  ///< digests
    };
    [[nodiscard]] Result<Instance*> instance(NodeId id);
    [[nodiscard]] Result<> healthy() const;
    void issue_identity(NodeId id);

    std::mutex mutex_;
    ArrivalSink sink_;
    std::map<NodeId, Instance> instances_;
    std::uint16_t next_port_ = 1;
    std::string broken_;
};

}  // namespace understudy::manager
