// What nodes are told, and what they report back. Assignments are computed from the records; only what
// differs from what a node was told last is sent, and it is repeated until the node has confirmed it.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

template <class Assign>
std::uint64_t subject_of(const Assign& assign) {
    if constexpr (std::is_same_v<Assign, AssignSession>) return assign.session.value;
    else return assign.terminal.value;
}

template <class Assign>
auto& sent_of(NodeLive& live) {
    if constexpr (std::is_same_v<Assign, AssignSession>) return live.sent_sessions;
    else return live.sent_desktops;
}

// Both begin anew with every manager, above all that earlier ones used: a node's word on what another manager told it
// never passes for a confirmation, and no ticket has the serial of another.
std::uint64_t of_this_manager(const State& state, std::uint64_t number) { return state.manager.get().incarnation << 32 | number; }
std::uint64_t next_serial(State& state) { return of_this_manager(state, state.next_serial++); }

void number_tickets(State& state, AssignSession& assign) {
    for (Peer& peer : assign.peers) peer.ticket.claims.serial = next_serial(state);
}

void number_tickets(State& state, AssignDesktop& assign) {
    for (WindowSource& source : assign.windows) source.ticket.claims.serial = next_serial(state);
}

/// What is said from now on is new. A node that knows a revision keeps the tickets with which that one came first:
/// whichever copy of it came, they are not below the first serial.
template <class Assign>
void begin_revision(State& state, Sent<Assign>& sent) {
    sent.message.revision = of_this_manager(state, state.next_revision++);
    sent.first_serial = of_this_manager(state, state.next_serial);
}

template <class Assign>
void dispatch(State& state, NodeId node, NodeLive& live, Sent<Assign>& sent) {
    sent.last_sent = state.now;
    live.resend_at = std::min(live.resend_at, state.now + state.settings.resend);
    sent.tickets_void = false;
    Assign message = sent.message;
    number_tickets(state, message);
    act_durable(state, SendToNode{node, std::move(message)});
}

/// Sends when it differs from what the node was told last. Everything but identity, duty and content is
/// filled in here.
template <class Assign>
void tell(State& state, NodeId node, Assign assign, IncidentId incident) {
    const auto found = state.live.find(node);
    if (found == state.live.end() || found->second.registration == 0) return;
    NodeLive& live = found->second;
    auto& sent = sent_of<Assign>(live)[Id<std::conditional_t<std::is_same_v<Assign, AssignSession>, SessionTag,
                                                             TerminalTag>>(subject_of(assign))];
    assign.registration = live.registration;
    assign.revision = sent.message.revision;
    assign.incident = sent.message.incident;
    if (sent.message.registration != 0 && sent.message == assign) return;
    assign.incident = incident;
    sent.message = std::move(assign);
    begin_revision(state, sent);
    sent.confirmed = false;
    dispatch(state, node, live, sent);
    arm_node(state, node);
}

Ticket ticket(Purpose purpose, TerminalId terminal, SessionId session, NodeId door, NodeId bearer, Epoch epoch,
              Epoch serving) {
    Ticket made;
    made.claims.purpose = purpose;
    made.claims.terminal = terminal;
    made.claims.session = session;
    made.claims.door = door;
    made.claims.bearer = bearer;
    made.claims.epoch = epoch;
    made.claims.serving_epoch = serving;
    return made;
}

AssignSession session_for(const State& state, const SessionRecord& session, NodeId node, Duty duty) {
    AssignSession assign;
    assign.session = session.id;
    assign.terminal = session.terminal;
    assign.epoch = session.epoch;
    assign.duty = duty;
    assign.application = session.application;
    assign.protection = session.protection;
    const TerminalRecord& terminal = state.terminals.at(session.terminal);
    assign.terminal_name = terminal.name;
    assign.profile = terminal.profile;
    if (duty != Duty::primary) return assign;
    assign.restore = session.restore;
    assign.presentation_epoch = terminal.epoch;
    assign.presentation = terminal.presentation;
    if (session.handing_over) assign.duty = Duty::released;
    for (const NodeId backup : session.backups) {
        const NodeRecord* record = state.nodes.find(backup);
        if (record == nullptr || record->proof != Proof::none) continue;
        assign.peers.push_back({backup, record->door,
                                ticket(Purpose::checkpoint, session.terminal, session.id, backup, node,
                                       session.epoch, 0)});
    }
    return assign;
}

/// Is there something to connect to at the primary? Unknown counts as yes: after a restart of the
/// manager nobody's window is closed only because an agent has not reported yet.
std::string why_waiting(const State& state, const SessionRecord& session) {
    if (!session.primary) return session.epoch == 0 ? "starting" : "waiting for a machine";
    const NodeRecord* node = state.nodes.find(session.primary);
    if (node == nullptr || node->proof != Proof::none) {
        if (awaited_holder(state, session)) return "its machine failed, and the one with its last checkpoint is not heard: it is waited for";
        return "its machine failed; moving to another one";
    }
    if (frozen_with_last_memory(state, session.primary)) return "its machine is not heard, and alone has what was open here: it is waited for";
    if (session.handing_over) return "moving to another machine";
    const auto live = state.session_live.find(session.id);
    if (live != state.session_live.end() && live->second.proof != Proof::none) return "restarting";
    const NodeLive& at = state.live.at(session.primary);
    if (at.registration == 0) return {};
    const auto status = at.sessions.find(session.id);
    if (status == at.sessions.end() || status->second.epoch != session.epoch) {
        if (waits_for_environment(state, session.primary, session)) return "its environment is being deployed";
        return session.restore.sequence != 0 ? "restoring" : "starting";
    }
    if (status->second.phase == Phase::running || status->second.phase == Phase::frozen) return {};
    return session.restore.sequence != 0 ? "restoring" : "starting";
}

WindowSource source_for(const State& state, const TerminalRecord& terminal, const SessionRecord& session,
                        NodeId desktop) {
    WindowSource source;
    source.session = session.id;
    source.session_epoch = session.epoch;
    source.application = session.application.name;
    source.title = session.application.title;
    source.waiting = why_waiting(state, session);
    if (!source.waiting.empty()) return source;
    source.endpoint = state.nodes.at(session.primary).door;
    source.ticket = ticket(Purpose::window, terminal.id, session.id, session.primary, desktop, terminal.epoch,
                           session.epoch);
    return source;
}

AssignDesktop desktop_for(const State& state, const TerminalRecord& terminal, NodeId node, Duty duty) {
    AssignDesktop assign;
    assign.terminal = terminal.id;
    assign.terminal_name = terminal.name;
    assign.profile = terminal.profile;
    assign.epoch = terminal.epoch;
    assign.duty = duty;
    assign.width = terminal.width;
    assign.height = terminal.height;
    assign.layout = duty == Duty::backup ? terminal.layout : std::vector<WindowPlace>{};
    for (const SessionId id : terminal.sessions) {
        if (const SessionRecord* session = state.sessions.find(id)) {
            assign.windows.push_back(source_for(state, terminal, *session, node));
        }
    }
    return assign;
}

/// Nobody is told to run what its machine cannot run yet.
bool deploys_first(State& state, NodeId node, const SessionRecord& session) {
    if (!waits_for_environment(state, node, session)) return false;
    plan_deployment(state, node);
    return true;
}

void sync_session(State& state, const SessionRecord& session) {
    SessionLive& live = state.session_live[session.id];
    if (session.primary) live.holders.insert(session.primary);
    live.holders.insert(session.backups.begin(), session.backups.end());
    const std::set<NodeId> holders = live.holders;
    for (const NodeId node : holders) {
        const NodeRecord* record = state.nodes.find(node);
        if (record == nullptr || record->state != NodeState::serving) {
            live.holders.erase(node);  // nothing is left there
        } else if (node == session.primary) {
            if (live.proof == Proof::none && !deploys_first(state, node, session)) {
                tell(state, node, session_for(state, session, node, Duty::primary), live.incident);
            }
        } else if (std::find(session.backups.begin(), session.backups.end(), node) != session.backups.end()) {
            if (!deploys_first(state, node, session)) tell(state, node, session_for(state, session, node, Duty::backup), live.incident);
        } else {
            release_session(state, node, session.id, session.epoch);
        }
    }
}

void sync_desktop(State& state, const TerminalRecord& terminal) {
    TerminalLive& live = state.terminal_live[terminal.id];
    if (terminal.presentation) live.holders.insert(terminal.presentation);
    live.holders.insert(terminal.backups.begin(), terminal.backups.end());
    const std::set<NodeId> holders = live.holders;
    for (const NodeId node : holders) {
        const NodeRecord* record = state.nodes.find(node);
        if (record == nullptr || record->state != NodeState::serving) {
            live.holders.erase(node);  // nothing is left there
        } else if (node == terminal.presentation) {
            AssignDesktop assign = desktop_for(state, terminal, node, Duty::primary);
            // The layout is for taking over; the node that is primary is itself where it comes from.
            const auto& sent = state.live[node].sent_desktops;
            const auto told = sent.find(terminal.id);
            const bool already = told != sent.end() && told->second.message.epoch == terminal.epoch &&
                                 told->second.message.duty == Duty::primary;
            assign.layout = already ? told->second.message.layout : terminal.layout;
            tell(state, node, std::move(assign), live.incident);
        } else if (std::find(terminal.backups.begin(), terminal.backups.end(), node) != terminal.backups.end()) {
            tell(state, node, desktop_for(state, terminal, node, Duty::backup), live.incident);
        } else {
            release_desktop(state, node, terminal.id, terminal.epoch);
        }
    }
}

template <class Assign>
void resend(State& state, NodeId id, NodeLive& live) {
    for (auto& [subject, sent] : sent_of<Assign>(live)) {
        if (sent.confirmed) continue;
        if (sent.last_sent + state.settings.resend <= state.now) {
            if (sent.tickets_void) begin_revision(state, sent);  // else it would be taken for known
            dispatch(state, id, live, sent);
        }
        live.resend_at = std::min(live.resend_at, sent.last_sent + state.settings.resend);
    }
}

template <class Assign, class Status>
void confirm(Sent<Assign>& sent, const Status& status) {
    if (sent.tickets_void) return;  // what it confirms is about to be said anew
    if (Version{status.epoch, status.revision} == Version{sent.message.epoch, sent.message.revision}) {
        sent.confirmed = true;
    }
}

/// A door takes a ticket of this assignment no more (used, too old): it is said again, with fresh ones, at the pace at
/// which everything is. What was sent meanwhile has fresh ones already.
template <class Assign>
void renew_tickets(State& state, NodeId node, NodeLive& live, Sent<Assign>& sent, std::uint64_t void_ticket) {
    if (UNDERSTUDY_PLANTED("void_ticket_ignored")) return;
    if (void_ticket == 0 || void_ticket < sent.first_serial || sent.tickets_void || sent.message.duty == Duty::released) return;
    UNDERSTUDY_MARK("assignments.ticket_renewed");
    sent.tickets_void = true;
    sent.confirmed = false;
    live.resend_at = std::min(live.resend_at, std::max(state.now, sent.last_sent + state.settings.resend));
    arm_node(state, node);
}

/// Drops what a node has let go of.
template <class Sents, class Statuses, class Key>
void forget(Sents& sents, Statuses& statuses, std::set<NodeId>* holders, const Key& key, NodeId node) {
    statuses.erase(key);
    const auto sent = sents.find(key);
    if (sent != sents.end() && sent->second.message.duty == Duty::released && sent->second.confirmed) {
        sents.erase(sent);
        if (holders != nullptr) holders->erase(node);
    }
}

/// An epoch that a node has accepted, so that it obeys when it is told to let go.
Epoch at_least_reported(const State& state, NodeId node, SessionId session, Epoch epoch) {
    const auto& sessions = state.live.at(node).sessions;
    const auto status = sessions.find(session);
    return status == sessions.end() ? epoch : std::max(epoch, status->second.epoch);
}

Epoch at_least_reported(const State& state, NodeId node, TerminalId terminal, Epoch epoch) {
    const auto& desktops = state.live.at(node).desktops;
    const auto status = desktops.find(terminal);
    return status == desktops.end() ? epoch : std::max(epoch, status->second.epoch);
}

bool nothing_runs(Phase phase) {
    return phase == Phase::ended || phase == Phase::failed || phase == Phase::released;
}

/// After lost records: this machine has obeyed a newer epoch of the session than anybody else remembers, and will obey
/// no older. The session goes on; somebody else stands by for it.
void knows_newer(State& state, NodeId from, const SessionStatus& status) {
    UNDERSTUDY_MARK("rebuild.node_knows_a_newer_epoch");
    change_session(state, status.session, [&](SessionRecord& record) { record.epoch_floor = std::max(record.epoch_floor, status.epoch + 1); });
    SessionLive& live = state.session_live[status.session];
    live.failed_on.insert(from);
    live.failed_until = state.now + state.settings.operation_retry;
    state.timers.arm({TimerKind::session, status.session.value}, live.failed_until);
}

/// When something may have changed: the end of its pool's rest, or the usual pause between tries.
Duration ask_again_in(const State& state, const TerminalRecord& terminal) {
    const auto pool = state.pool_live.find(profile_of(state, terminal).flavour);
    const bool rests = pool != state.pool_live.end() && pool->second.paused_until > state.now;
    return rests ? pool->second.paused_until - state.now : state.settings.operation_retry;
}

}  // namespace

void release_session(State& state, NodeId id, SessionId session, Epoch epoch) {
    AssignSession assign;
    assign.session = session;
    assign.epoch = at_least_reported(state, id, session, epoch);
    assign.duty = Duty::released;
    tell(state, id, std::move(assign), {});
}

void release_desktop(State& state, NodeId id, TerminalId terminal, Epoch epoch) {
    AssignDesktop assign;
    assign.terminal = terminal;
    assign.epoch = at_least_reported(state, id, terminal, epoch);
    assign.duty = Duty::released;
    tell(state, id, std::move(assign), {});
}

void sync_assignments(State& state, TerminalId id) {
    const TerminalRecord& terminal = state.terminals.at(id);
    for (const SessionId session : terminal.sessions) {
        if (const SessionRecord* record = state.sessions.find(session)) sync_session(state, *record);
    }
    sync_desktop(state, terminal);
}

void resend_unconfirmed(State& state, NodeId id) {
    NodeLive& live = state.live[id];
    live.resend_at = kNever;
    if (live.registration == 0) return;
    if (state.store_failing) {  // it waits behind the records anyway; no second one is put beside it
        live.resend_at = state.now + state.settings.resend;
        return;
    }
    resend<AssignSession>(state, id, live);
    resend<AssignDesktop>(state, id, live);
}

void on_session_status(State& state, NodeId from, const SessionStatus& status) {
    act_now(state, SendToNode{from, ReportAck{status.registration, status.number}});
    NodeLive& live = state.live[from];
    SessionStatus& known = live.sessions[status.session];
    if (known.number >= status.number && known.registration == status.registration) {
        ++state.oddities.stale_status;
        return;
    }
    const bool only_checkpoints = known.phase == status.phase && known.epoch == status.epoch &&
                                  known.revision == status.revision && known.in_force == status.in_force;
    known = status;
    if (const auto sent = live.sent_sessions.find(status.session); sent != live.sent_sessions.end()) {
        confirm(sent->second, status);
        renew_tickets(state, from, live, sent->second, status.void_ticket);
    }
    const SessionRecord* session = state.sessions.find(status.session);
    if (session == nullptr) {
        if (status.phase == Phase::released) forget(live.sent_sessions, live.sessions, nullptr, status.session, from);
        else release_session(state, from, status.session, status.epoch);
        return;
    }
    SessionLive& session_live = state.session_live[status.session];
    if (session->primary == from && session->epoch == status.epoch && status.duty != Duty::backup) {
        if (nothing_runs(status.phase)) {
            if (status.phase == Phase::failed) {
                session_live.failed_on.insert(from);
                session_live.failed_until = state.now + state.settings.operation_retry;
            }
            const Ending ending = status.phase == Phase::failed ? Ending::crashed : status.ending;
            prove_session_ended(state, status.session, ending,
                                status.detail.empty() ? "its agent reported the end" : status.detail);
        } else if (status.phase == Phase::running) {
            mark(state, session_live.incident, "restored");
            session_live.ran = true;
            session_live.deploy_failures = 0;
            // Not sooner: a backup that failed a moment ago would be chosen again at once, and fail again.
            if (state.now >= session_live.failed_until) session_live.failed_on.clear();
        }
    } else if (status.phase == Phase::released) {
        forget(live.sent_sessions, live.sessions, &session_live.holders, status.session, from);
        if (session->epoch_floor != 0 && status.epoch > session->epoch) knows_newer(state, from, status);
    } else if (status.phase == Phase::failed && status.duty == Duty::backup) {
        session_live.failed_on.insert(from);
        session_live.failed_until = state.now + state.settings.operation_retry;
        state.timers.arm({TimerKind::session, status.session.value}, session_live.failed_until);
    } else {
        session_live.holders.insert(from);
    }
    const NodeRecord* primary = state.nodes.find(session->primary);
    const bool leaving = session_live.move_wanted || (primary != nullptr && draining(state, *primary));
    if (!only_checkpoints || leaving || session_live.proof != Proof::none) {
        queue_terminal(state, session->terminal);
    }
}

void on_desktop_status(State& state, NodeId from, const DesktopStatus& status) {
    act_now(state, SendToNode{from, ReportAck{status.registration, status.number}});
    NodeLive& live = state.live[from];
    DesktopStatus& known = live.desktops[status.terminal];
    if (known.number >= status.number && known.registration == status.registration) {
        ++state.oddities.stale_status;
        return;
    }
    known = status;
    if (const auto sent = live.sent_desktops.find(status.terminal); sent != live.sent_desktops.end()) {
        confirm(sent->second, status);
        for (const WindowStatus& window : status.windows) renew_tickets(state, from, live, sent->second, window.void_ticket);
    }
    const TerminalRecord* terminal = state.terminals.find(status.terminal);
    if (terminal == nullptr) {
        if (status.phase == Phase::released) forget(live.sent_desktops, live.desktops, nullptr, status.terminal, from);
        else release_desktop(state, from, status.terminal, status.epoch);
        return;
    }
    TerminalLive& terminal_live = state.terminal_live[status.terminal];
    const bool primary = terminal->presentation == from && terminal->epoch == status.epoch;
    if (primary && status.phase == Phase::running) {
        mark(state, terminal_live.incident, "restored");
        for (const WindowStatus& window : status.windows) {
            const SessionRecord* session = state.sessions.find(window.session);
            if (session == nullptr || session->epoch != window.session_epoch) continue;
            const IncidentId incident = state.session_live[window.session].incident;
            if (undecided(state, incident)) continue;  // what it shows is the picture from before
            if (window.connected) mark(state, incident, "connected");
            if (window.picture) {
                mark(state, incident, "picture");
                close_incident(state, incident);
            }
        }
    }
    if (status.phase == Phase::released) catch_up_with(state, status.terminal, status.epoch);
    if (!primary && status.phase == Phase::released) {
        forget(live.sent_desktops, live.desktops, &terminal_live.holders, status.terminal, from);
    } else if (status.phase == Phase::failed || status.phase == Phase::ended) {
        terminal_live.failed_on.insert(from);
        terminal_live.failed_until = state.now + state.settings.operation_retry;
        state.timers.arm({TimerKind::terminal, status.terminal.value}, terminal_live.failed_until);
    }
    queue_terminal(state, status.terminal);
}

void on_layout(State& state, NodeId from, const LayoutReport& report) {
    act_now(state, SendToNode{from, ReportAck{report.registration, report.number}});
    const TerminalRecord* terminal = state.terminals.find(report.terminal);
    if (terminal == nullptr || terminal->presentation != from || terminal->epoch != report.epoch) {
        ++state.oddities.stale_status;
        return;
    }
    if (terminal->layout == report.places) return;
    change_terminal(state, report.terminal, [&](TerminalRecord& record) { record.layout = report.places; });
    queue_terminal(state, report.terminal);
}

void adopt_inventory(State& state, NodeId id, const Hello& hello) {
    NodeLive& live = state.live[id];
    live.sessions.clear();
    live.desktops.clear();
    for (const SessionStatus& status : hello.sessions) {
        live.sessions[status.session] = status;
        const SessionRecord* session = state.sessions.find(status.session);
        if (session == nullptr) {
            release_session(state, id, status.session, status.epoch);
            continue;
        }
        state.session_live[status.session].holders.insert(id);
        queue_terminal(state, session->terminal);
    }
    for (const DesktopStatus& status : hello.desktops) {
        live.desktops[status.terminal] = status;
        if (state.terminals.find(status.terminal) == nullptr) {
            release_desktop(state, id, status.terminal, status.epoch);
            continue;
        }
        state.terminal_live[status.terminal].holders.insert(id);
        queue_terminal(state, status.terminal);
    }
    const NodeUse uses = state.uses[id];
    for (const auto& [session_id, duty] : uses.sessions) {
        const SessionRecord& session = state.sessions.at(session_id);
        if (duty != Duty::primary) continue;
        const auto status = live.sessions.find(session_id);
        // An older epoch listed there: it has not heard of its appointment yet, and is told now.
        if (status != live.sessions.end() && status->second.epoch < session.epoch) continue;
        if (status == live.sessions.end() || status->second.epoch != session.epoch) {
            prove_session_ended(state, session_id, Ending::crashed, "its agent came back without it");
        } else if (nothing_runs(status->second.phase)) {
            prove_session_ended(state, session_id, status->second.ending, status->second.detail);
        }
    }
    for (const auto& [terminal_id, duty] : uses.desktops) {
        const auto status = live.desktops.find(terminal_id);
        if (duty == Duty::primary && (status == live.desktops.end() || nothing_runs(status->second.phase))) {
            state.terminal_live[terminal_id].desktop_lost = true;
        }
    }
}

bool shows_all_windows(const State& state, const TerminalRecord& terminal) {
    const auto live = state.live.find(terminal.presentation);
    if (live == state.live.end()) return false;
    const auto status = live->second.desktops.find(terminal.id);
    if (status == live->second.desktops.end() || status->second.epoch != terminal.epoch || status->second.phase != Phase::running) return false;
    return std::all_of(terminal.sessions.begin(), terminal.sessions.end(), [&](SessionId id) {
        const SessionRecord* session = state.sessions.find(id);
        if (session == nullptr || !why_waiting(state, *session).empty()) return true;
        const auto& windows = status->second.windows;
        return std::any_of(windows.begin(), windows.end(), [&](const WindowStatus& window) {
            return window.session == id && window.session_epoch == session->epoch && window.picture;
        });
    });
}

bool desktop_ready(const State& state, const TerminalRecord& terminal) {
    if (!terminal.presentation) return false;
    const auto live = state.live.find(terminal.presentation);
    if (live == state.live.end() || live->second.registration == 0) return false;
    const auto status = live->second.desktops.find(terminal.id);
    if (status == live->second.desktops.end()) return false;
    if (status->second.epoch == terminal.epoch && status->second.duty == Duty::primary) {
        return status->second.phase == Phase::running;
    }
    return state.terminal_live.at(terminal.id).hot;
}

void tell_client(State& state, TerminalId id) {
    if (state.terminals.find(id) == nullptr) return;
    TerminalLive& live = state.terminal_live[id];
    const TerminalRecord& terminal = state.terminals.at(id);
    if (!live.lacks.empty()) live.waiting = no_machine(state, terminal, live.lacks);
    if (!live.client) return;
    // It has what it needs. Whether the desktop answers just now it sees for itself, sooner than we do.
    if (live.told_epoch == terminal.epoch && terminal.presentation && live.waiting.empty()) return;
    if (desktop_ready(state, terminal)) {
        if (live.told_epoch == terminal.epoch) return;
        live.told_epoch = terminal.epoch;
        live.told_waiting.clear();
        TerminalRedirect redirect;
        redirect.terminal = id;
        redirect.epoch = terminal.epoch;
        redirect.endpoint = state.nodes.at(terminal.presentation).door;
        redirect.ticket = ticket(Purpose::desktop, id, {}, terminal.presentation, {}, terminal.epoch, 0);
        redirect.ticket.claims.serial = next_serial(state);
        redirect.incident = live.incident;
        act_durable(state, SendToClient{live.client, std::move(redirect)});
        return;
    }
    const std::string text = live.waiting.empty() ? "your desktop is being prepared" : live.waiting;
    if (live.told_waiting == text) return;
    live.told_waiting = text;
    live.told_epoch = 0;  // whoever was told to wait is told where to go, even if that is where it was
    TerminalWaiting waiting{id, live.told_waiting, static_cast<std::uint32_t>(to_ms(ask_again_in(state, terminal)))};
    act_now(state, SendToClient{live.client, std::move(waiting)});
}

}  // namespace understudy::manager
