// A node for golden scripts: the real agent core, and a performer that does at fixed delays what the real
// programs do. It also knows the truth (what really acts), against which promises are checked.
// Single-threaded; owned by the stage.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nodes/core/agent_core.hpp"

namespace understudy::golden {

class FakeNode;

/// What a fake node needs from the stage.
class Surroundings {
  public:
    virtual ~Surroundings() = default;
    [[nodiscard]] virtual TimePoint now() const = 0;
    [[nodiscard]] virtual std::int64_t wall_ms() const = 0;
    virtual void later(Duration delay, std::function<void()> act) = 0;
    virtual void to_manager(NodeId from, Message message) = 0;
    /// None when it does not run or cannot be reached from `from`.
    virtual FakeNode* peer(NodeId from, NodeId id) = 0;
};

class FakeNode {
  public:
    FakeNode(Surroundings& around, NodeId id, std::uint64_t incarnation, std::uint32_t slots);
    FakeNode(const FakeNode&) = delete;
    FakeNode& operator=(const FakeNode&) = delete;

    void start();
    void hear(const Message& message);
    void link(bool up);

    /// The whole node stands still (a paused machine); what arrives meanwhile is handled afterwards.
    void pause();
    [[nodiscard]] bool paused() const { return paused_; }
    void resume();

    void checkpoint(SessionId session);                  ///< takes one and brings it to the peers
    void receive(SessionId session, const CheckpointInfo& info);
    void end_session(SessionId session, Ending ending, const std::string& detail);
    void end_desktop(TerminalId terminal, const std::string& detail);
    /// A door takes this window's present ticket no more: it is seen connected again with the next one.
    void spoil_ticket(TerminalId terminal, SessionId session);
    void report_layout(TerminalId terminal, std::vector<WindowPlace> places);
    void fail_starts(std::string detail) { start_failure_ = std::move(detail); }
    void become_slow(Duration delay) { extra_ = delay; }

    /// Epoch under which the session truly acts here now (running, not frozen); none: it does not.
    [[nodiscard]] std::optional<Epoch> acts(SessionId session) const;
    [[nodiscard]] bool shows(TerminalId terminal) const;
    [[nodiscard]] bool dead() const { return dead_; }
    void die() { dead_ = true; }
    [[nodiscard]] const node::AgentCore& core() const { return core_; }

  private:
    struct Session {
        AssignSession assign;
        Phase phase = Phase::preparing;
        bool frozen = false;
        std::uint64_t work = 0;  ///< rises with every change: older work under way is void
        std::vector<CheckpointInfo> checkpoints;
        std::uint64_t sequence = 0;
    };
    struct Desktop {
        AssignDesktop assign;
        Phase phase = Phase::preparing;
        std::uint64_t work = 0;
        std::uint64_t looks = 0;
        std::vector<WindowStatus> windows;
        std::map<SessionId, std::uint64_t> spoilt;  ///< serials
    };

    void feed(node::Event event);
    void take(node::Step step);
    void carry_out(const node::Action& action);
    void perform(const AssignSession& assign);
    void perform(const AssignDesktop& assign);
    void set_phase(SessionId id, Phase phase, Ending ending, std::string detail);
    void set_phase(TerminalId id, Phase phase, std::string detail);
    void show_windows(TerminalId id);
    void after(Duration delay, std::function<void()> act);

    Surroundings& around_;
    NodeId id_;
    node::AgentCore core_;
    bool dead_ = false;
    bool paused_ = false;
    std::vector<std::function<void()>> missed_;
    std::uint64_t wake_number_ = 0;
    std::map<SessionId, Session> sessions_;
    std::map<TerminalId, Desktop> desktops_;
    std::string start_failure_;
    Duration extra_{0};
};

}  // namespace understudy::golden
