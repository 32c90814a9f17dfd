// See fake_node.hpp.
#include "tests/golden/fake_node.hpp"

#include <algorithm>
#include <utility>

namespace understudy::golden {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStartSession = 300ms;
constexpr Duration kStartDesktop = 300ms;
constexpr Duration kPromoteDesktop = 10ms;
constexpr Duration kStandBy = 100ms;
constexpr Duration kLetGo = 50ms;
constexpr Duration kLastCheckpoint = 200ms;
constexpr Duration kShowWindow = 50ms;
constexpr Duration kTryWindow = 500ms;
constexpr Duration kKnock = 1ms;
constexpr Duration kKnockPatience = 500ms;

node::Identity identity(NodeId id, std::uint64_t incarnation, std::uint32_t slots) {
    node::Identity made;
    made.node = id;
    made.incarnation = incarnation;
    made.software = "golden";
    made.slots = slots;
    made.can_checkpoint = true;
    return made;
}

bool is_over(Phase phase) { return phase == Phase::ended || phase == Phase::failed || phase == Phase::released; }

}  // namespace

FakeNode::FakeNode(Surroundings& around, NodeId id, std::uint64_t incarnation, std::uint32_t slots)
    : around_(around), id_(id), core_(identity(id, incarnation, slots)) {}

void FakeNode::start() { take(core_.start(around_.now())); }

void FakeNode::feed(node::Event event) {
    if (dead_) return;
    if (paused_) {
        missed_.push_back([this, kept = std::move(event)] { feed(kept); });
        return;
    }
    take(core_.handle(around_.now(), event));
}

void FakeNode::hear(const Message& message) { feed(node::FromManager{message}); }
void FakeNode::link(bool up) { feed(node::LinkChanged{up}); }
void FakeNode::pause() { paused_ = true; }

void FakeNode::resume() {
    paused_ = false;
    for (const auto& act : std::exchange(missed_, {})) act();
}

void FakeNode::take(node::Step step) {
    const std::uint64_t number = ++wake_number_;
    for (const node::Action& action : step.actions) carry_out(action);
    if (step.wake_at == kNever) return;
    const Duration delay = std::max(step.wake_at - around_.now(), Duration{0});
    around_.later(delay, [this, number] {
        if (number == wake_number_) feed(node::Woken{});
    });
}

/// The node's own work: it stands still with the node and dies with it.
void FakeNode::after(Duration delay, std::function<void()> act) {
    around_.later(delay, [this, kept = std::move(act)] {
        if (dead_) return;
        if (paused_) missed_.push_back(kept);
        else kept();
    });
}

void FakeNode::carry_out(const node::Action& action) {
    if (const auto* send = std::get_if<node::SendToManager>(&action)) around_.to_manager(id_, send->message);
    else if (const auto* session = std::get_if<node::PerformSession>(&action)) perform(session->assign);
    else if (const auto* desktop = std::get_if<node::PerformDesktop>(&action)) perform(desktop->assign);
    else if (const auto* freeze = std::get_if<node::FreezeSession>(&action)) sessions_[freeze->session].frozen = true;
    else if (const auto* witness = std::get_if<node::Witness>(&action)) {
        const bool reached = around_.peer(id_, witness->suspect) != nullptr && !around_.peer(id_, witness->suspect)->paused();
        after(reached ? kKnock : kKnockPatience, [this, asked = *witness, reached] {
            feed(node::WitnessResult{asked.request, asked.suspect, reached, reached ? 1000u : 500'000u});
        });
    }
    else if (const auto* thaw = std::get_if<node::ThawSession>(&action)) sessions_[thaw->session].frozen = false;
}

// ---------------------------------------------------------------- sessions

void FakeNode::set_phase(SessionId id, Phase phase, Ending ending, std::string detail) {
    Session& session = sessions_[id];
    session.phase = phase;
    SessionStatus status;
    status.session = id;
    status.epoch = session.assign.epoch;
    status.phase = phase;
    status.ending = ending;
    status.in_force = session.assign.protection;
    status.checkpoints = session.checkpoints;
    status.detail = std::move(detail);
    if (session.assign.duty == Duty::primary) status.restored_from = session.assign.restore;
    feed(node::SessionHappened{std::move(status)});
}

void FakeNode::perform(const AssignSession& assign) {
    Session& session = sessions_[assign.session];
    const bool same = session.assign.epoch == assign.epoch && session.assign.duty == assign.duty && !is_over(session.phase);
    session.assign = assign;
    if (same && assign.duty != Duty::released) return;  // peers and admitted epochs only
    const SessionId id = assign.session;
    const std::uint64_t work = ++session.work;
    const auto unless_changed = [this, id, work](auto act) {
        return [this, id, work, act] {
            if (sessions_[id].work == work) act();
        };
    };
    if (assign.duty == Duty::primary) {
        session.phase = Phase::preparing;
        session.frozen = false;
        session.sequence = 0;
        after(kStartSession + extra_, unless_changed([this, id] {
                  if (start_failure_.empty()) set_phase(id, Phase::running, Ending::none, {});
                  else set_phase(id, Phase::failed, Ending::none, start_failure_);
              }));
    } else if (assign.duty == Duty::backup) {
        session.phase = Phase::preparing;
        after(kStandBy + extra_, unless_changed([this, id] {
                  if (start_failure_.empty()) set_phase(id, Phase::standby, Ending::none, {});
                  else set_phase(id, Phase::failed, Ending::none, start_failure_);
              }));
    } else if (!assign.peers.empty()) {
        checkpoint(id);
        after(kLastCheckpoint + extra_, unless_changed([this, id] { set_phase(id, Phase::ended, Ending::none, "handed over"); }));
    } else {
        session.checkpoints.clear();
        after(kLetGo + extra_, unless_changed([this, id] { set_phase(id, Phase::released, Ending::none, {}); }));
    }
}

void FakeNode::checkpoint(SessionId id) {
    Session& session = sessions_[id];
    CheckpointInfo info;
    info.id = {session.assign.epoch, ++session.sequence};
    info.taken_wall_ms = around_.wall_ms();
    info.bytes = 1000000;
    info.pause_ms = 20;
    const std::vector<Peer> peers = session.assign.peers;
    for (const Peer& peer : peers) {
        after(100ms, [this, id, info, to = peer.node] {
            if (FakeNode* there = around_.peer(id_, to)) there->receive(id, info);
        });
    }
}

void FakeNode::receive(SessionId id, const CheckpointInfo& info) {
    Session& session = sessions_[id];
    if (dead_ || paused_ || session.assign.duty != Duty::backup) return;
    session.checkpoints.push_back(info);
    if (session.checkpoints.size() > 2) session.checkpoints.erase(session.checkpoints.begin());
    set_phase(id, Phase::standby, Ending::none, {});
}

void FakeNode::end_session(SessionId id, Ending ending, const std::string& detail) {
    ++sessions_[id].work;
    set_phase(id, Phase::ended, ending, detail);
}

std::optional<Epoch> FakeNode::acts(SessionId id) const {
    const auto found = sessions_.find(id);
    if (dead_ || found == sessions_.end()) return {};
    const Session& session = found->second;
    if (session.phase != Phase::running || session.frozen || session.assign.duty != Duty::primary) return {};
    return session.assign.epoch;
}

// ---------------------------------------------------------------- desktops

void FakeNode::set_phase(TerminalId id, Phase phase, std::string detail) {
    Desktop& desktop = desktops_[id];
    desktop.phase = phase;
    DesktopStatus status;
    status.terminal = id;
    status.epoch = desktop.assign.epoch;
    status.phase = phase;
    status.windows = desktop.windows;
    status.detail = std::move(detail);
    feed(node::DesktopHappened{std::move(status)});
}

void FakeNode::perform(const AssignDesktop& assign) {
    Desktop& desktop = desktops_[assign.terminal];
    const bool same = desktop.assign.epoch == assign.epoch && desktop.assign.duty == assign.duty && !is_over(desktop.phase);
    const bool was_ready = desktop.phase == Phase::standby && desktop.assign.duty == Duty::backup;
    desktop.assign = assign;
    const TerminalId id = assign.terminal;
    if (same && assign.duty != Duty::released) {
        if (desktop.phase == Phase::running || desktop.phase == Phase::standby) show_windows(id);
        return;
    }
    const std::uint64_t work = ++desktop.work;
    const auto unless_changed = [this, id, work](auto act) {
        return [this, id, work, act] {
            if (desktops_[id].work == work) act();
        };
    };
    if (assign.duty == Duty::released) {
        desktop.windows.clear();
        after(kLetGo, unless_changed([this, id] { set_phase(id, Phase::released, {}); }));
        return;
    }
    for (WindowStatus& window : desktop.windows) window.connected = window.picture = false;  // they connect with new tickets
    const Phase reached = assign.duty == Duty::primary ? Phase::running : Phase::standby;
    const Duration delay = (reached == Phase::running && was_ready ? kPromoteDesktop : kStartDesktop) + extra_;
    desktop.phase = Phase::preparing;
    after(delay, unless_changed([this, id, reached] {
              if (!start_failure_.empty()) {
                  set_phase(id, Phase::failed, start_failure_);
                  return;
              }
              set_phase(id, reached, {});
              show_windows(id);
          }));
}

void FakeNode::show_windows(TerminalId id) {
    after(kShowWindow, [this, id, look = ++desktops_[id].looks] {
        Desktop& desktop = desktops_[id];
        if (look != desktop.looks) return;  // a newer look is on its way
        if (desktop.phase != Phase::running && desktop.phase != Phase::standby) return;
        std::vector<WindowStatus> windows;
        bool again = false;
        for (const WindowSource& window : desktop.assign.windows) {
            WindowStatus status{window.session, window.session_epoch, false, false, 0};
            if (window.endpoint.port != 0) {
                FakeNode* there = around_.peer(id_, window.ticket.claims.door);
                const bool open = there != nullptr && !there->paused_ &&
                                  there->core_.admits(window.ticket.claims, around_.now()).has_value();
                status.connected = status.picture = open;
                again = again || !open;
                const auto spoilt = desktop.spoilt.find(window.session);
                if (open && spoilt != desktop.spoilt.end() && spoilt->second == window.ticket.claims.serial) {
                    status.connected = status.picture = false;
                    status.void_ticket = spoilt->second;
                }
            }
            windows.push_back(status);
        }
        if (again) after(kTryWindow, [this, id] { show_windows(id); });
        if (windows == desktop.windows) return;
        desktop.windows = std::move(windows);
        set_phase(id, desktop.phase, {});
    });
}

void FakeNode::spoil_ticket(TerminalId terminal, SessionId session) {
    Desktop& desktop = desktops_.at(terminal);
    for (const WindowSource& window : desktop.assign.windows) {
        if (window.session == session) desktop.spoilt[session] = window.ticket.claims.serial;
    }
    show_windows(terminal);
}

void FakeNode::end_desktop(TerminalId id, const std::string& detail) {
    ++desktops_[id].work;
    set_phase(id, Phase::ended, detail);
}

void FakeNode::report_layout(TerminalId id, std::vector<WindowPlace> places) { feed(node::LayoutChanged{id, std::move(places)}); }

bool FakeNode::shows(TerminalId id) const {
    const auto found = desktops_.find(id);
    return !dead_ && !paused_ && found != desktops_.end() && found->second.phase == Phase::running;
}

}  // namespace understudy::golden
