// Makes the plan's faults happen, and ends them: each when its time is over, all that do not stay at the end
// of the safety phase.
#pragma once

#include <functional>
#include <vector>

#include "protocol/ids.hpp"
#include "tests/sim/plan.hpp"

namespace understudy::sim {

struct World;
class SimNode;

/// What applies to everything while some fault lasts.
struct Conditions {
    std::uint32_t mixed_versions_permille = 0;
    std::uint32_t start_failing_permille = 0;
    std::uint32_t creation_failing_permille = 0;
    std::uint32_t reply_lost_permille = 0;
    std::uint32_t fence_failing_permille = 0;
    std::uint32_t resume_failing_permille = 0;
    std::uint32_t deploy_failing_permille = 0;
    std::uint32_t receipt_missing_permille = 0;
    std::int64_t creation_slowness = 1;
    bool people_work = true;   ///< they move windows
};

class FaultDriver {
  public:
    FaultDriver(World& world, Rng rng) : world_(world), rng_(rng) {}

    void plan_all();
    /// Ends what does not stay. What stays is kept below half of the hosts.
    void heal();

  private:
    struct Active {
        std::function<void()> end;
        bool stays = false;
    };
    void begin(const Fault& fault);
    void for_a_while(const Fault& fault, std::function<void()> end);
    void break_network(const Fault& fault);
    void break_machines(const Fault& fault);
    void break_hosts(const Fault& fault);
    void break_store(const Fault& fault);
    void trouble_people(const Fault& fault);
    void wish_something(Rng& rng);
    void switch_off_host_of(NodeId node, Rng& rng);
    void talk_nonsense(Rng& rng);
    [[nodiscard]] std::vector<SimNode*> some_nodes(std::uint64_t pick, std::uint32_t count);

    World& world_;
    Rng rng_;
    std::vector<Active> active_;
};

}  // namespace understudy::sim
