// One machine with the real agent core in it: power, boot, the agent's process, sessions, desktops,
// checkpoints. What this file says runs is the truth that the oracles judge by.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nodes/core/agent_core.hpp"
#include "nodes/core/ticket_book.hpp"
#include "protocol/codec.hpp"
#include "tests/sim/network.hpp"

namespace understudy::sim {

struct World;

inline constexpr std::uint32_t kSlots = 4;  ///< assignments one machine carries

class SimNode {
  public:
    SimNode(World& world, NodeId id, std::uint32_t host, Place place, Rng rng);

    // ---- the machine
    /// Fresh disk and identity, power on.
    void install();
    /// Restored from a snapshot of a booted machine; goes on when it is told to.
    void install_standing_still();
    /// Fresh identity; the agent speaks at once. Nothing where it does not stand still.
    void go_on();
    void power_on();
    void power_off();
    void reboot(Duration off_for);
    [[nodiscard]] bool powered() const { return powered_; }
    [[nodiscard]] bool stands_still() const { return still_; }

    // ---- the agent's process
    void crash_agent(Duration restart_after);
    void pause();
    void resume();
    [[nodiscard]] bool paused() const { return paused_; }
    [[nodiscard]] bool agent_runs() const { return agent_ != nullptr; }

    // ---- what reaches it
    void receive(const Bytes& bytes, std::uint64_t identity);
    void link_up();
    /// Would its door open for these claims, now, if the way were free?
    [[nodiscard]] bool admits(const TicketClaims& claims) const;
    /// What a bearer was given at a door: void when that agent's process is gone or an epoch has risen.
    struct Pass {
        std::uint64_t incarnation = 0;
        Epoch epoch = 0;
        Epoch serving_epoch = 0;
        bool operator==(const Pass&) const = default;
    };
    /// As a door does: a ticket lets in once and until its end, and what it gives lets in again. False: not with this one.
    [[nodiscard]] bool lets_in(const TicketClaims& claims, Pass& pass);
    void checkpoint_arrived(SessionId session, const CheckpointInfo& info, Epoch epoch);
    void end_session(SessionId session, Ending ending);
    void jump_wall(std::int64_t ms) { clock_.wall_offset_ms += ms; }

    // ---- the truth
    [[nodiscard]] NodeId id() const { return id_; }
    [[nodiscard]] std::uint32_t host() const { return host_; }
    [[nodiscard]] Place place() const { return place_; }
    [[nodiscard]] std::uint64_t identity() const { return identity_; }
    [[nodiscard]] const Endpoint& door() const { return door_; }
    /// What a hypervisor knows of it: not the key.
    [[nodiscard]] Endpoint address() const { return {door_.host, door_.port}; }
    /// Does something of this session act as primary here, at this instant? Its epoch, or none.
    [[nodiscard]] std::optional<Epoch> acting(SessionId session) const;
    /// As acting(), but also what may act again without being told anything: paused inside its lease.
    [[nodiscard]] std::optional<Epoch> could_act(SessionId session) const;
    [[nodiscard]] bool runs_session(SessionId session, Epoch epoch) const;
    [[nodiscard]] bool stands_by(SessionId session) const;
    [[nodiscard]] bool shows_desktop(TerminalId terminal, Epoch epoch) const;
    [[nodiscard]] bool desktop_stands_by(TerminalId terminal) const;
    /// The window of this session on this desktop is connected to the session's present node.
    [[nodiscard]] bool window_connected(TerminalId terminal, SessionId session, Epoch epoch) const;
    [[nodiscard]] std::vector<SessionId> running_sessions() const;
    /// Since when it has what the application knew: it runs it, or holds a checkpoint of it. Nothing: it does not.
    [[nodiscard]] std::optional<TimePoint> memory_since(SessionId session, Epoch not_before) const;
    [[nodiscard]] bool holds_something() const { return !processes_.empty() || !screens_.empty(); }

    std::set<std::string> environments;  ///< digests of bundles that are attached
    bool exists = false;      ///< known to its hypervisor
    std::uint32_t vcpus = 1;
    std::uint32_t memory_mib = 1024;
    std::uint64_t disk_mib = 0;
    bool dirty = false;       ///< somebody's data is on it
    bool mixed_version = false;
    std::vector<std::function<void()>> waiting_operations;  ///< hypervisor work on it, one at a time
    bool operation_runs = false;

  private:
    enum class Run : std::uint8_t { none, starting, running, stopping };
    struct Process {
        AssignSession assign;
        Run run = Run::none;
        bool frozen = false;
        std::uint64_t generation = 0;
        std::uint64_t sequence = 0;
        std::vector<CheckpointInfo> held;
        TimePoint memory_since = kNever;  ///< it runs, or holds something
    };
    struct Screen {
        AssignDesktop assign;
        bool up = false;
        std::uint64_t generation = 0;
        bool polling = false;
        std::map<SessionId, WindowStatus> shown;
        std::map<SessionId, Pass> passes;  ///< kept by the windows' processes
    };

    void start_agent();
    void stop_agent();
    void tell_agent(node::Event event);
    void apply(node::Step step);
    void schedule(TimePoint local_wake);
    void act(const node::SendToManager& action);
    void act(const node::PerformSession& action);
    void act(const node::PerformDesktop& action);
    void act(const node::FreezeSession& action);
    void act(const node::ThawSession& action);
    void act(const node::CloseDoor&) {}
    void act(const node::OpenDoor&) {}
    void act(const node::Witness& action);
    void start_primary(Process& process);
    void release(Process& process);
    void later(SessionId session, Duration delay, std::function<void(Process&)> then);
    void later(TerminalId terminal, Duration delay, std::function<void(Screen&)> then);
    void take_checkpoint(SessionId session);
    void bring_checkpoint(Process& process);
    void report(const Process& process, Phase phase, Ending ending = Ending::none, const char* detail = "");
    void report(const Screen& screen, Phase phase);
    void poll(TerminalId terminal);
    [[nodiscard]] TimePoint local() const;
    [[nodiscard]] bool runs(const Process& process) const;

    World& world_;
    NodeId id_;
    std::uint32_t host_;
    Place place_;
    Rng rng_;
    Clock clock_;
    Endpoint door_;
    bool powered_ = false;
    bool still_ = false;
    bool paused_ = false;
    std::uint64_t identity_ = 0;   ///< new with every installation: keys of the old one are void
    std::uint64_t life_ = 0;       ///< rises whenever what was planned for the agent becomes void
    std::unique_ptr<node::AgentCore> agent_;
    std::uint64_t sequence_ = 0;
    std::uint64_t incarnation_ = 0;
    node::TicketBook book_;  ///< remembered by the agent's process
    std::uint64_t timer_ = 0;
    TimePoint timer_at_ = kNever;  ///< real
    TimePoint wake_ = kNever;      ///< local, as the core wants it
    std::vector<node::Event> backlog_;
    std::map<SessionId, Process> processes_;
    std::map<TerminalId, Screen> screens_;
};

}  // namespace understudy::sim
