// A whole site for benchmarks: the deciding core and agent cores that ship, and a world around them in which
// every operation succeeds and every agent does at once what it is told. Time is simulated; what the core costs is
// real. Single-threaded.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "manager/core/core.hpp"
#include "tests/golden/fake_node.hpp"

namespace understudy::bench {

struct SiteSize {
    std::size_t nodes = 1000;      ///< virtual machines, 100 to a host
    std::size_t terminals = 250;   ///< each with one application and one backup of both kinds: four slots
};

/// How long the core took for events of one kind, in nanoseconds of wall time, one number per event.
using Costs = std::vector<std::uint32_t>;

class Site : public golden::Surroundings {
  public:
    explicit Site(SiteSize size);
    ~Site() override;

    /// Defines everything, boots the machines, brings every terminal, and waits until all have their backups.
    /// Returns what is missing when it never comes so far; empty: all is there.
    [[nodiscard]] std::string build();

    /// Lets simulated time pass.
    void run(Duration span);

    /// The hypervisor's process of this machine ends now.
    void kill(NodeId id);

    /// The machine that serves the most, as the core places it; none: nobody serves.
    [[nodiscard]] NodeId busiest() const;

    [[nodiscard]] const manager::Core& core() const { return *core_; }
    [[nodiscard]] manager::Core& core() { return *core_; }
    [[nodiscard]] const manager::Settings& settings() const { return settings_; }
    [[nodiscard]] manager::Moment moment() const { return {now_, wall_ms()}; }
    [[nodiscard]] std::size_t living() const;

    /// What has been measured since the last call, by kind of event.
    [[nodiscard]] std::map<std::string, Costs> take_costs() { return std::exchange(costs_, {}); }

  private:
    struct Due {
        TimePoint at;
        std::uint64_t order = 0;
        std::function<void()> act;
        bool operator<(const Due& other) const { return at != other.at ? at > other.at : order > other.order; }
    };

    [[nodiscard]] TimePoint now() const override { return now_; }
    [[nodiscard]] std::int64_t wall_ms() const override;
    void later(Duration delay, std::function<void()> act) override;
    void to_manager(NodeId from, Message message) override;
    golden::FakeNode* peer(NodeId from, NodeId id) override;

    void define();
    void tell(const char* kind, const manager::Event& event);
    void take(manager::Step step);
    void carry_out(const manager::Action& action);
    void boot(NodeId id, std::uint32_t slots);
    void seen(const manager::SendToClient& send);
    [[nodiscard]] std::string missing() const;

    SiteSize size_;
    manager::Settings settings_;
    TimePoint now_{Duration{1'000'000'000}};
    std::uint64_t order_ = 0;
    std::priority_queue<Due> agenda_;
    std::unique_ptr<manager::Core> core_;
    TimePoint wake_at_ = kNever;
    std::map<NodeId, std::unique_ptr<golden::FakeNode>> nodes_;
    std::vector<std::unique_ptr<golden::FakeNode>> graveyard_;  ///< what they still had to do finds them dead
    std::map<HostId, std::map<NodeId, std::uint32_t>> instances_;  ///< slots of each
    std::map<std::string, Costs> costs_;
    std::uint64_t boots_ = 0;
};

/// The hosts, pools, profiles and terminals of a site of this size, as wishes of its configuration.
[[nodiscard]] std::vector<manager::Wish> wishes_of(SiteSize size);
[[nodiscard]] std::string terminal_name(std::size_t number);

/// "12.3" from what was measured: the value below which `share` of it lies. 0 when nothing was measured.
[[nodiscard]] double quantile(Costs costs, double share);

/// Bytes that this process has allocated at this moment.
[[nodiscard]] std::size_t allocated_bytes();

}  // namespace understudy::bench
