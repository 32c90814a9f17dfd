// The manager's process: the real core and the real dispatcher on the simulated network, store and
// hypervisors. It crashes, stands still, and starts again from what the store has kept.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "manager/core/core.hpp"
#include "manager/runtime/dispatcher.hpp"
#include "protocol/codec.hpp"
#include "tests/sim/kernel.hpp"

namespace understudy::sim {

struct World;
class SimNode;

class SimManager : public manager::OutletPort, public manager::SealerPort {
  public:
    SimManager(World& world, Rng rng);

    void start();
    void crash(Duration restart_after, bool lose_unsynced);
    /// Dies, and starts again with an empty store, or with a copy of the store that is at least so old.
    void lose_records(Duration restart_after, Duration copy_age);
    void pause();
    void resume();
    [[nodiscard]] bool up() const { return core_.has_value(); }
    [[nodiscard]] bool paused() const { return paused_; }
    /// Rises with every start: answers to an earlier one find nobody.
    [[nodiscard]] std::uint64_t life() const { return life_; }
    void jump_wall(std::int64_t ms) { clock_.wall_offset_ms += ms; }

    // ---- what reaches it
    void node_said(NodeId from, const Bytes& bytes);
    void client_said(ClientId from, const Bytes& bytes);
    void client_gone(ClientId client);
    void connection_lost(SimNode& node);
    void instance_ended(SimNode& node, const char* cause, bool by_itself = false);
    void operation_done(const manager::OperationDone& done, std::uint64_t life);
    void host_listed(const manager::HostListed& listed, std::uint64_t life);
    void wish(const manager::Intent& intent);
    void feed_nonsense(const manager::Event& event) { feed(event); }

    /// Promise S9, when nothing waits for the store.
    void compare_with_store();
    /// A rehearsal of a host's death, one host after the other: it ends, and changes nothing.
    void rehearse();
    [[nodiscard]] bool quiet() const { return core_ && dispatcher_->quiet(); }
    [[nodiscard]] const manager::Core* core() const { return core_ ? &*core_ : nullptr; }
    [[nodiscard]] std::uint64_t wishes_applied() const { return life_; }

    // ---- OutletPort, SealerPort
    void send_to_node(NodeId to, const Message& message) override;
    void send_to_client(ClientId to, const Message& message) override;
    void create(const manager::CreateInstance& action) override;
    void resume(const manager::ResumeInstance& action) override;
    void scrub(const manager::ScrubInstance& action) override;
    void deploy(const manager::DeployEnvironment& action) override;
    void destroy(const manager::DestroyInstance& action) override;
    void list(const manager::ListInstances& action) override;
    void fence(const manager::FenceHost& action) override;
    void note(const manager::Note& action) override;
    [[nodiscard]] std::string seal(TicketClaims& claims) override;
    [[nodiscard]] std::int64_t wall_ms() const override;
    [[nodiscard]] const std::string& public_key() const override { return key_; }

  private:
    void feed(const manager::Event& event);
    void take(manager::Step step);
    void settle();
    void run(std::function<void()> work);
    void schedule(TimePoint local_wake, bool for_core);
    void configure();
    [[nodiscard]] manager::Moment moment() const;
    [[nodiscard]] std::uint32_t host_index(HostId id) const;

    World& world_;
    Rng rng_;
    Clock clock_;
    std::string key_ = "sim-key";
    std::uint64_t life_ = 0;
    std::uint64_t losses_ = 0;  ///< of the records
    bool paused_ = false;
    std::optional<manager::Core> core_;
    std::unique_ptr<manager::Dispatcher> dispatcher_;
    std::vector<std::function<void()>> backlog_;
    std::uint64_t sequence_ = 0;
    std::size_t rehearsed_ = 0;
    TimePoint core_wake_ = kNever;       ///< local
    TimePoint core_timer_at_ = kNever;   ///< real
    std::uint64_t core_timer_ = 0;
    TimePoint dispatcher_timer_at_ = kNever;
    std::uint64_t dispatcher_timer_ = 0;
};

}  // namespace understudy::sim
