// See agent_core.hpp. Pure; the owner's thread.
#include "nodes/core/agent_core.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "protocol/planted.hpp"

namespace understudy::node {
namespace {

constexpr std::size_t kOpenSigns = 64;        ///< heartbeats or Hellos that may still be answered
constexpr std::size_t kRemembered = 4096;     ///< sessions (and desktops) whose accepted epoch is kept

/// Nothing runs any more in these phases.
constexpr bool is_over(Phase phase) {
    return phase == Phase::ended || phase == Phase::failed || phase == Phase::released;
}

/// Given up on demand and done with: nobody needs to hear of it again once the report has arrived.
template <class Held>
bool is_gone(const Held& held) {
    return held.assign.duty == Duty::released && is_over(held.status.phase);
}

template <class Assign>
Version version_of(const Assign& assign) {
    return {assign.epoch, assign.revision};
}

/// The report echoes the assignment it is about.
template <class Held>
void echo(Held& held, std::uint64_t registration, std::uint64_t number) {
    held.status.registration = registration;
    held.status.number = number;
    held.status.epoch = held.assign.epoch;
    held.status.revision = held.assign.revision;
    held.status.duty = held.assign.duty;
    held.status.phase = held.frozen && !is_over(held.actual) ? Phase::frozen : held.actual;
}

HeldSession held(const AssignSession& assign) {
    return {assign.session, assign.terminal, assign.terminal_name, assign.profile, assign.epoch, assign.duty, assign.application,
            assign.protection};
}

HeldDesktop held(const AssignDesktop& assign, const std::vector<WindowPlace>& places) {
    return {assign.terminal, assign.terminal_name, assign.profile, assign.epoch, assign.duty, assign.width, assign.height, places};
}

/// Only a phase that a performer can see for itself.
constexpr bool can_be_seen(Phase phase) { return phase != Phase::frozen && phase <= Phase::released; }

}  // namespace

AgentCore::AgentCore(Identity identity) : identity_(std::move(identity)) {}

Step AgentCore::start(TimePoint now) {
    say_hello(now);
    return finish();
}

Step AgentCore::handle(TimePoint now, const Event& event) {
    // The lease is looked at first: nothing that arrives may be obeyed by a node that has already lost it.
    if (door_open_ && !lease_valid(now)) expire(now);
    std::visit([&](const auto& happened) { on_event(happened, now); }, event);
    sign(now);
    return finish();
}

Step AgentCore::finish() {
    step_.wake_at = next_sign_;
    if (door_open_) step_.wake_at = std::min(step_.wake_at, lease_until_);
    return std::exchange(step_, {});
}

bool AgentCore::lease_valid(TimePoint now) const { return door_open_ && now < lease_until_; }

Epoch AgentCore::accepted_epoch(SessionId session) const {
    const auto at = accepted_sessions_.find(session);
    return at == accepted_sessions_.end() ? 0 : at->second.version.epoch;
}

Epoch AgentCore::accepted_epoch(TerminalId terminal) const {
    const auto at = accepted_desktops_.find(terminal);
    return at == accepted_desktops_.end() ? 0 : at->second.version.epoch;
}

// ---------------------------------------------------------------------------- signs of life

void AgentCore::sign(TimePoint now) {
    if (now < next_sign_) return;
    if (registration_ == 0) {
        say_hello(now);
        return;
    }
    say_heartbeat(now);
    repeat_reports(now);
}

void AgentCore::say_hello(TimePoint now) {
    Hello hello;
    hello.node = identity_.node;
    hello.incarnation = identity_.incarnation;
    hello.number = ++hellos_;
    hello.software = identity_.software;
    hello.host_name = identity_.host_name;
    hello.slots = identity_.slots;
    hello.door_port = identity_.door_port;
    hello.door_key = identity_.door_key;
    hello.memory_mib = identity_.memory_mib;
    hello.can_checkpoint = identity_.can_checkpoint;
    hello.checkpoint_reason = identity_.checkpoint_reason;
    for (auto& [id, session] : sessions_) {
        if (!is_gone(session)) hello.sessions.push_back(session.status);
        if (session.assign.duty != Duty::released && !is_over(session.actual)) hello.held_sessions.push_back(held(session.assign));
    }
    for (auto& [id, desktop] : desktops_) {
        if (!is_gone(desktop)) hello.desktops.push_back(desktop.status);
        if (desktop.assign.duty != Duty::released && !is_over(desktop.actual)) {
            hello.held_desktops.push_back(held(desktop.assign, desktop.layout.places));
        }
    }
    hellos_sent_.emplace(hello.number, now);
    if (hellos_sent_.size() > kOpenSigns) hellos_sent_.erase(hellos_sent_.begin());
    next_sign_ = now + heartbeat_;
    step_.actions.push_back(SendToManager{std::move(hello)});
}

void AgentCore::say_heartbeat(TimePoint now) {
    Heartbeat beat;
    beat.registration = registration_;
    beat.sequence = ++sequence_;
    beat.load_permille = load_permille_;
    beat.memory_used_mib = memory_used_mib_;
    unacknowledged_.emplace(beat.sequence, now);
    if (unacknowledged_.size() > kOpenSigns) unacknowledged_.erase(unacknowledged_.begin());
    next_sign_ = now + heartbeat_;
    step_.actions.push_back(SendToManager{beat});
}

void AgentCore::repeat_reports(TimePoint now) {
    for (auto& [id, session] : sessions_) {
        if (!session.acknowledged && session.reported + heartbeat_ <= now) report(session, now);
    }
    for (auto& [id, desktop] : desktops_) {
        if (!desktop.acknowledged && desktop.reported + heartbeat_ <= now) report(desktop, now);
        if (!desktop.layout_acknowledged && desktop.layout_reported + heartbeat_ <= now) report_layout(desktop, now);
    }
}

void AgentCore::expire(TimePoint now) {
    for (auto& [id, session] : sessions_) {
        if (session.assign.duty != Duty::primary || session.frozen || is_over(session.actual)) continue;
        if (UNDERSTUDY_PLANTED("never_freezes")) continue;
        session.frozen = true;
        session.status.phase = Phase::frozen;
        step_.actions.push_back(FreezeSession{id});
    }
    door_open_ = false;
    step_.actions.push_back(CloseDoor{});
    if (registration_ != 0) {
        registration_ = 0;
        hellos_sent_.clear();
        say_hello(now);
    }
}

// ---------------------------------------------------------------------------- reports

void AgentCore::report(Session& session, TimePoint now) {
    echo(session, registration_, ++reports_);
    session.acknowledged = false;
    session.reported = now;
    if (registration_ != 0) step_.actions.push_back(SendToManager{session.status});
}

void AgentCore::report(Desktop& desktop, TimePoint now) {
    echo(desktop, registration_, ++reports_);
    desktop.acknowledged = false;
    desktop.reported = now;
    if (registration_ != 0) step_.actions.push_back(SendToManager{desktop.status});
}

void AgentCore::report_layout(Desktop& desktop, TimePoint now) {
    desktop.layout.registration = registration_;
    desktop.layout.number = ++reports_;
    desktop.layout.epoch = desktop.assign.epoch;
    desktop.layout_acknowledged = false;
    desktop.layout_reported = now;
    if (registration_ != 0) step_.actions.push_back(SendToManager{desktop.layout});
}

void AgentCore::on_ack(const ReportAck& ack) {
    for (auto at = sessions_.begin(); at != sessions_.end(); ++at) {
        if (at->second.status.number != ack.number) continue;
        at->second.acknowledged = true;
        if (is_gone(at->second)) sessions_.erase(at);
        return;
    }
    for (auto at = desktops_.begin(); at != desktops_.end(); ++at) {
        if (at->second.layout.number == ack.number) {
            at->second.layout_acknowledged = true;
            return;
        }
        if (at->second.status.number != ack.number) continue;
        at->second.acknowledged = true;
        if (is_gone(at->second)) desktops_.erase(at);
        return;
    }
}

// ---------------------------------------------------------------------------- what the manager says

void AgentCore::on_event(const FromManager& event, TimePoint now) { on_message(event.message, now); }

void AgentCore::on_message(const Message& message, TimePoint now) {
    if (const auto* welcome = std::get_if<Welcome>(&message)) {
        on_welcome(*welcome, now);
        return;
    }
    std::visit(
        [&](const auto& said) {
            using Said = std::decay_t<decltype(said)>;
            constexpr bool known = std::is_same_v<Said, HeartbeatAck> || std::is_same_v<Said, ReportAck> ||
                                   std::is_same_v<Said, NotRegistered> || std::is_same_v<Said, AssignSession> ||
                                   std::is_same_v<Said, AssignDesktop> || std::is_same_v<Said, WitnessRequest>;
            if constexpr (!known) {
                ++counters_.unexpected;
            } else {
                if (registration_ == 0 || said.registration != registration_) {
                    ++counters_.stale_registration;
                    return;
                }
                if constexpr (std::is_same_v<Said, HeartbeatAck>) {
                    const auto sent = unacknowledged_.find(said.sequence);
                    if (sent == unacknowledged_.end()) return;
                    note_clock(said.wall_ms, now);  // not from one that comes late or again: tickets would live longer
                    const TimePoint counted_from = UNDERSTUDY_PLANTED("lease_from_receipt") ? now : sent->second;
                    lease_until_ = std::max(lease_until_, counted_from + lease_);
                    unacknowledged_.erase(unacknowledged_.begin(), std::next(sent));
                } else if constexpr (std::is_same_v<Said, ReportAck>) {
                    on_ack(said);
                } else if constexpr (std::is_same_v<Said, NotRegistered>) {
                    registration_ = 0;
                    hellos_sent_.clear();
                    say_hello(now);
                } else if constexpr (std::is_same_v<Said, WitnessRequest>) {
                    step_.actions.push_back(Witness{said.request, said.suspect, said.endpoint});
                } else {
                    on_assign(said, now);
                }
            }
        },
        message);
}

void AgentCore::on_welcome(const Welcome& welcome, TimePoint now) {
    const auto sent = hellos_sent_.find(welcome.hello);
    if (registration_ != 0 || welcome.incarnation != identity_.incarnation || sent == hellos_sent_.end()) {
        ++counters_.stale_registration;
        return;
    }
    if (welcome.registration == 0 || welcome.heartbeat_ms == 0 || welcome.lease_ms == 0) {
        ++counters_.unexpected;
        return;
    }
    lease_ = std::chrono::milliseconds(welcome.lease_ms);
    heartbeat_ = std::chrono::milliseconds(welcome.heartbeat_ms);
    const TimePoint until = sent->second + lease_;
    // An answer so late that its lease is over already would only be dropped again at once.
    if (until <= now) {
        ++counters_.stale_registration;
        return;
    }
    registration_ = welcome.registration;
    ticket_key_ = welcome.ticket_key;
    note_clock(welcome.wall_ms, now);
    lease_until_ = std::max(lease_until_, until);
    hellos_sent_.clear();
    unacknowledged_.clear();
    if (!door_open_) {
        door_open_ = true;
        step_.actions.push_back(OpenDoor{});
    }
    // What was given up on demand was left out of the Hello: it is known by its absence.
    std::erase_if(sessions_, [](const auto& row) { return is_gone(row.second); });
    std::erase_if(desktops_, [](const auto& row) { return is_gone(row.second); });
    say_heartbeat(now);
    for (auto& [id, session] : sessions_) report(session, now);
    for (auto& [id, desktop] : desktops_) {
        report(desktop, now);
        if (!desktop.layout_acknowledged) report_layout(desktop, now);
    }
}

void AgentCore::note_clock(std::int64_t wall_ms, TimePoint now) {
    if (wall_ms == 0) return;
    manager_wall_ms_ = wall_ms;
    manager_heard_ = now;
}

std::int64_t AgentCore::manager_wall_ms(TimePoint now) const {
    return manager_wall_ms_ == 0 ? 0 : manager_wall_ms_ + std::chrono::duration_cast<std::chrono::milliseconds>(now - manager_heard_).count();
}

/// Revisions are numbered anew under every registration; epochs rise for ever.
AgentCore::Verdict AgentCore::judge(const Accepted& accepted, Version version) {
    if (UNDERSTUDY_PLANTED("stale_epoch_obeyed")) return Verdict::obey;
    const bool same_line = accepted.registration == registration_;
    if (version.epoch < accepted.version.epoch || (same_line && version < accepted.version)) {
        ++counters_.stale_epoch;
        return Verdict::refuse;
    }
    return same_line && version == accepted.version ? Verdict::repeat : Verdict::obey;
}

template <class Key>
void AgentCore::forget_oldest(std::map<Key, Accepted>& accepted) const {
    // Ids rise, so the smallest is the oldest; what is forgotten is still guarded by the registration.
    if (accepted.size() > kRemembered) accepted.erase(accepted.begin());
}

/// Nothing of it is here. A manager that lost its records may not know that newer epochs were given out.
template <class Thing, class Assign>
void AgentCore::answer_stale(Thing& thing, const Assign& assign, const Accepted& accepted, TimePoint now) {
    thing.assign = assign;
    thing.assign.duty = Duty::released;
    thing.assign.epoch = accepted.version.epoch;
    thing.assign.revision = accepted.version.revision;
    thing.actual = Phase::released;
    if constexpr (requires { assign.session; }) {
        thing.status.session = assign.session;
    } else {
        thing.status.terminal = thing.layout.terminal = assign.terminal;
    }
    report(thing, now);
}

void AgentCore::on_assign(const AssignSession& assign, TimePoint now) {
    Accepted& accepted = accepted_sessions_[assign.session];
    const auto held = sessions_.find(assign.session);
    switch (judge(accepted, version_of(assign))) {
        case Verdict::refuse:
            if (held == sessions_.end() && assign.epoch < accepted.version.epoch) answer_stale(sessions_[assign.session], assign, accepted, now);
            return;
        case Verdict::repeat:
            if (held != sessions_.end()) {
                report(held->second, now);
                return;
            }
            break;  // released and acknowledged before: answered again below
        case Verdict::obey: break;
    }
    accepted.registration = registration_;
    accepted.version = version_of(assign);
    const Epoch over = accepted.over;
    forget_oldest(accepted_sessions_);

    const bool known = held != sessions_.end();
    Session& session = known ? held->second : sessions_[assign.session];
    const bool same_duty = known && session.assign.epoch == assign.epoch && session.assign.duty == assign.duty;
    session.assign = assign;
    session.status.session = assign.session;

    if (!known && assign.duty == Duty::released) {
        session.actual = Phase::released;  // never here, or long gone: nothing to do but to say so
    } else if (assign.duty == Duty::primary && assign.epoch <= over) {
        // It ended under this epoch: only a new epoch may start it again.
        if (!known) session.actual = Phase::ended;
    } else {
        const bool thaw = same_duty && session.frozen;
        if (!same_duty || (assign.duty == Duty::backup && is_over(session.actual))) {
            session.actual = Phase::preparing;
            session.status.ending = Ending::none;
            session.status.detail.clear();
        }
        session.frozen = false;
        step_.actions.push_back(PerformSession{assign});
        if (thaw) step_.actions.push_back(ThawSession{assign.session});
    }
    report(session, now);
}

void AgentCore::on_assign(const AssignDesktop& assign, TimePoint now) {
    Accepted& accepted = accepted_desktops_[assign.terminal];
    const auto held = desktops_.find(assign.terminal);
    switch (judge(accepted, version_of(assign))) {
        case Verdict::refuse:
            if (held == desktops_.end() && assign.epoch < accepted.version.epoch) answer_stale(desktops_[assign.terminal], assign, accepted, now);
            return;
        case Verdict::repeat:
            if (held != desktops_.end()) {
                report(held->second, now);
                return;
            }
            break;
        case Verdict::obey: break;
    }
    accepted.registration = registration_;
    accepted.version = version_of(assign);
    const Epoch over = accepted.over;
    forget_oldest(accepted_desktops_);

    const bool known = held != desktops_.end();
    Desktop& desktop = known ? held->second : desktops_[assign.terminal];
    const bool same_duty = known && desktop.assign.epoch == assign.epoch && desktop.assign.duty == assign.duty;
    desktop.assign = assign;
    desktop.status.terminal = assign.terminal;
    desktop.layout.terminal = assign.terminal;

    if (!known && assign.duty == Duty::released) {
        desktop.actual = Phase::released;
    } else if (assign.duty == Duty::primary && assign.epoch <= over) {
        if (!known) desktop.actual = Phase::ended;
    } else {
        if (!same_duty || (assign.duty == Duty::backup && is_over(desktop.actual))) {
            desktop.actual = Phase::preparing;
            desktop.status.detail.clear();
        }
        step_.actions.push_back(PerformDesktop{assign});
    }
    report(desktop, now);
}

// ---------------------------------------------------------------------------- what happens on the node

void AgentCore::on_event(const SessionHappened& event, TimePoint now) {
    const auto at = sessions_.find(event.status.session);
    if (at == sessions_.end() || event.status.epoch != at->second.assign.epoch || !can_be_seen(event.status.phase)) {
        ++counters_.unexpected;
        return;
    }
    Session& session = at->second;
    // What has ended under this assignment stays ended, whatever a late report says.
    if (is_over(session.actual) && !is_over(event.status.phase)) {
        ++counters_.unexpected;
        return;
    }
    session.actual = event.status.phase;
    session.status.ending = event.status.ending;
    session.status.in_force = event.status.in_force;
    session.status.protection_reason = event.status.protection_reason;
    session.status.restored_from = event.status.restored_from;
    session.status.checkpoints = event.status.checkpoints;
    session.status.interval_ms = event.status.interval_ms;
    session.status.detail = event.status.detail;
    session.status.void_ticket = event.status.void_ticket;
    if (session.assign.duty != Duty::backup && is_over(session.actual)) {
        accepted_sessions_[event.status.session].over = session.assign.epoch;
        session.frozen = false;
    }
    report(session, now);
}

void AgentCore::on_event(const DesktopHappened& event, TimePoint now) {
    const auto at = desktops_.find(event.status.terminal);
    if (at == desktops_.end() || event.status.epoch != at->second.assign.epoch || !can_be_seen(event.status.phase)) {
        ++counters_.unexpected;
        return;
    }
    Desktop& desktop = at->second;
    if (is_over(desktop.actual) && !is_over(event.status.phase)) {
        ++counters_.unexpected;
        return;
    }
    desktop.actual = event.status.phase;
    desktop.status.windows = event.status.windows;
    desktop.status.detail = event.status.detail;
    if (desktop.assign.duty != Duty::backup && is_over(desktop.actual)) {
        accepted_desktops_[event.status.terminal].over = desktop.assign.epoch;
    }
    report(desktop, now);
}

void AgentCore::on_event(const LayoutChanged& event, TimePoint now) {
    const auto at = desktops_.find(event.terminal);
    if (at == desktops_.end() || at->second.assign.duty != Duty::primary) {
        ++counters_.unexpected;
        return;
    }
    at->second.layout.places = event.places;
    report_layout(at->second, now);
}

void AgentCore::on_event(const LoadMeasured& event, TimePoint) {
    load_permille_ = event.load_permille;
    memory_used_mib_ = event.memory_used_mib;
}

void AgentCore::on_event(const WitnessResult& event, TimePoint) {
    if (registration_ == 0) return;
    WitnessReport report;
    report.registration = registration_;
    report.request = event.request;
    report.suspect = event.suspect;
    report.reached = event.reached;
    report.round_trip_us = event.round_trip_us;
    step_.actions.push_back(SendToManager{report});
}

void AgentCore::on_event(const LinkChanged& event, TimePoint now) {
    if (event.up) next_sign_ = now;
}

void AgentCore::on_event(const Woken&, TimePoint) {}

// ---------------------------------------------------------------------------- the door

Result<> AgentCore::admits(const TicketClaims& claims, TimePoint now) const {
    const auto refuse = [](std::string why) -> Result<> { return failure(ErrorCode::refused, std::move(why)); };
    const auto not_now = [](std::string why) -> Result<> { return failure(ErrorCode::unavailable, std::move(why)); };
    if (claims.door != identity_.node) {
        return refuse("the ticket is for the door of node " + to_string(claims.door) + ", this is node " +
                      to_string(identity_.node));
    }
    if (!lease_valid(now)) return not_now("this node has no lease; it waits for its manager");
    if (claims.purpose == Purpose::desktop) {
        const auto at = desktops_.find(claims.terminal);
        if (at == desktops_.end() || at->second.assign.duty != Duty::primary) {
            return not_now("this node does not serve terminal " + to_string(claims.terminal));
        }
        const Epoch epoch = at->second.assign.epoch;
        const std::string words = "the ticket is of epoch " + std::to_string(claims.epoch) + ", the desktop of epoch " + std::to_string(epoch);
        if (claims.epoch < epoch) return refuse(words);
        if (claims.epoch > epoch) return not_now(words);
        if (at->second.actual != Phase::running) return not_now("the desktop is not running yet");
        return {};
    }
    const auto at = sessions_.find(claims.session);
    if (at == sessions_.end() || at->second.assign.terminal != claims.terminal) {
        return not_now("this node knows nothing of session " + to_string(claims.session));
    }
    const Session& session = at->second;
    if (claims.purpose == Purpose::checkpoint) {
        if (session.assign.duty != Duty::backup) {
            return not_now("this node is no backup of session " + to_string(claims.session));
        }
        if (claims.epoch < session.assign.epoch) {
            return refuse("the checkpoint is of epoch " + std::to_string(claims.epoch) + ", older than " +
                          std::to_string(session.assign.epoch));
        }
        return {};
    }
    if (claims.purpose != Purpose::window) return refuse("the ticket has no purpose known here");
    if (session.assign.duty != Duty::primary) {
        return not_now("this node does not run session " + to_string(claims.session));
    }
    const bool older = claims.serving_epoch < session.assign.epoch || claims.epoch < session.assign.presentation_epoch;
    if (older || claims.serving_epoch > session.assign.epoch) {
        const std::string words = "the ticket is of epochs " + std::to_string(claims.serving_epoch) + "/" +
                                  std::to_string(claims.epoch) + ", the session of " + std::to_string(session.assign.epoch) +
                                  "/" + std::to_string(session.assign.presentation_epoch);
        return older ? refuse(words) : not_now(words);
    }
    if (session.frozen || session.actual != Phase::running) return not_now("the session is not running now");
    return {};
}

}  // namespace understudy::node
