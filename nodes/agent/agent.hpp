// Ties the deciding core to the world: messages and what happens go in, actions are carried out.
// Everything here belongs to one thread.
#pragma once

#include <memory>
#include <string>

#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/config.hpp"
#include "nodes/agent/door.hpp"
#include "nodes/agent/lease_term.hpp"
#include "nodes/agent/link.hpp"
#include "nodes/agent/load.hpp"
#include "nodes/agent/own_keys.hpp"
#include "nodes/agent/witness.hpp"
#include "nodes/core/agent_core.hpp"
#include "nodes/execution/sessions.hpp"
#include "nodes/presentation/desktops.hpp"

namespace understudy::node {

class Agent {
  public:
    /// How long finding out about checkpoints may delay a start.
    static constexpr int kProbePatienceMs = 3'000;

    /// Takes the door's port and clears what an earlier agent left. Errors: `failed` (port in use, no account, …).
    [[nodiscard]] static Result<std::unique_ptr<Agent>> start(const Config& config, OwnKeys keys);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    /// Names its key if it was given a one-time key, connects, and returns when it was asked to end. `signals`: a signalfd;
    /// SIGHUP replaces this agent's key, others end it. Errors: `invalid` (keys), `refused` (the one-time key), `failed`.
    [[nodiscard]] Result<> run(int signals);

  private:
    Agent(const Config& config, OwnKeys keys, const Identity& identity);
    [[nodiscard]] Result<> open_parts(const Account& account, Descriptor listener, streams::DoorIdentity door, bool can_checkpoint, const std::string& reason);
    void open_door(Descriptor listener, streams::DoorIdentity identity);
    [[nodiscard]] Result<> begin();
    [[nodiscard]] Result<std::unique_ptr<Link>> connect();
    void hear(const Message& message);
    void take_signals(int signals);
    void look_at_keys();
    void renew_keys();
    void take_new_key(const KeyNamed& named);
    void look_at_next_link();
    void feed(const Event& event);
    void carry_out(const Step& step);
    void on(const SendToManager& action);
    void on(const PerformSession& action);
    void on(const PerformDesktop& action);
    void on(const FreezeSession& action);
    void on(const ThawSession& action);
    void on(const CloseDoor& action);
    void on(const OpenDoor& action);
    void on(const Witness& action);
    void measure_load();
    void note_away(Duration late, Duration at_work);

    const Config config_;
    const std::uint64_t incarnation_;
    Loop loop_;
    AgentCore core_;
    LeaseTerm lease_{loop_};
    /// For streams to the doors of others: checkpoints, which give way to what people look at. Outlives who uses it.
    streams::Pump pump_{streams::Pump::kHandshakePatience, 5};
    OwnKeys keys_;
    Loop::Id renewing_ = 0;              ///< says the name of the next key again; 0: none is to be
    std::unique_ptr<Link> link_;
    std::unique_ptr<Link> link_next_;    ///< under the key that is next, until it stands
    std::unique_ptr<Link> link_before_;  ///< under the key before, until the manager was heard under this one
    std::unique_ptr<Sessions> sessions_;
    std::unique_ptr<Desktops> desktops_;
    std::unique_ptr<Door> door_;
    Witnesses witnesses_;
    LoadMeter load_;
    TimePoint wake_at_ = kNever;
    bool ending_ = false;
    std::vector<Event> waiting_;  ///< happened while an event was being carried out
    bool feeding_ = false;
};

}  // namespace understudy::node
