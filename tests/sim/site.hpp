// Hosts with a hypervisor each, and every machine that was ever made. Operations take time, fail, or do
// their work and lose the answer. Capacity is what is really there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "manager/core/actions.hpp"
#include "manager/core/events.hpp"
#include "tests/sim/node.hpp"

namespace understudy::sim {

struct World;

constexpr std::uint64_t kDiskMib = 2048;  ///< of every instance, where disks are counted

class Site {
  public:
    struct Host {
        std::string name;
        std::string domain;
        Place place = 0;
        bool up = true;
        bool unreachable = false;       ///< its hypervisor does not answer
        std::uint32_t failing_permille = 0;
        std::uint32_t vcpus = 0;
        std::uint32_t memory_mib = 0;
        std::uint32_t vcpus_used = 0;
        std::uint64_t disk_mib = 0;     ///< 0: not counted
        std::uint64_t disk_used_mib = 0;
        std::vector<SimNode*> nodes;    ///< that exist there
    };

    Site(World& world, Rng rng) : world_(world), rng_(rng) {}

    void build();
    [[nodiscard]] SimNode* find(NodeId id) const;
    [[nodiscard]] std::vector<Host>& hosts() { return hosts_; }
    [[nodiscard]] const std::vector<Host>& hosts() const { return hosts_; }
    [[nodiscard]] bool host_up(std::uint32_t host) const { return hosts_[host].up; }
    /// Machines that exist and have power, in a fixed order.
    [[nodiscard]] std::vector<SimNode*> powered() const;
    [[nodiscard]] bool hypervisor_answers(std::uint32_t host) const;

    // ---- asked by the manager; `host` is an index
    void create(std::uint32_t host, const manager::CreateInstance& action);
    void resume(std::uint32_t host, const manager::ResumeInstance& action);
    void scrub(std::uint32_t host, const manager::ScrubInstance& action);
    void deploy(std::uint32_t host, const manager::DeployEnvironment& action);
    void destroy(std::uint32_t host, const manager::DestroyInstance& action);
    void list(std::uint32_t host, const manager::ListInstances& action);

    // ---- what goes wrong
    void crash_instance(SimNode& node, const char* cause, bool by_itself = false);
    void crash_host(std::uint32_t host);
    void host_returns(std::uint32_t host);
    void make_orphan(std::uint32_t host, std::uint64_t id);

  private:
    using Work = std::function<Result<manager::Done>()>;
    void operate(std::uint32_t host, SimNode& node, OperationId operation, Duration takes, bool creates, Work work);
    void run_next(SimNode& node);
    void may_give_up(SimNode& node);
    void answer(std::uint32_t host, OperationId operation, Result<manager::Done> outcome, std::uint64_t manager_life);
    static void make(SimNode& node, manager::Tier tier);
    SimNode& node_for(NodeId id, std::uint32_t host);
    void put_on(std::uint32_t host, SimNode& node);
    void take_off(SimNode& node);

    World& world_;
    Rng rng_;
    std::vector<Host> hosts_;
    std::map<NodeId, std::unique_ptr<SimNode>> nodes_;
};

}  // namespace understudy::sim
