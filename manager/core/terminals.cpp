// Terminals: attaching, leaving, releasing, and the frame of planning for one of them.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

void refuse(State& state, ClientId client, ErrorCode code, std::string reason) {
    act_now(state, SendToClient{client, TerminalRefused{static_cast<std::uint32_t>(code), std::move(reason)}});
}

void define_sessions(State& state, TerminalId id) {
    const TerminalRecord& terminal = state.terminals.at(id);
    const ProfileRecord& profile = profile_of(state, terminal);
    std::vector<SessionId> made;
    for (const ProfileApplication& wanted : profile.applications) {
        const SessionId session(take_id(state));
        change_session(state, session, [&](SessionRecord& record) {
            record.id = session;
            record.terminal = id;
            record.application = wanted.application;
            record.protection = wanted.protection;
        });
        made.push_back(session);
    }
    change_terminal(state, id, [&](TerminalRecord& record) { record.sessions = std::move(made); });
}

void want_no_more(State& state, TerminalLive& live) {
    if (live.wants) state.wanting.erase(*live.wants);
    live.wants.reset();
}

/// Whoever wants something already keeps its place in the order, also when it comes to lack more or less.
void want(State& state, TerminalId id) {
    TerminalLive& live = state.terminal_live[id];
    const Wanting wanting{live.lacks.empty(), live.wants ? live.wants->since : state.next_wanting++, id};
    if (live.wants == wanting) return;
    want_no_more(state, live);
    live.wants = wanting;
    state.wanting.insert(wanting);
}

void detach(State& state, TerminalId id) {
    if (state.terminals.at(id).state != TerminalState::attached) return;
    change_terminal(state, id, [&](TerminalRecord& record) {
        record.state = TerminalState::detached;
        record.detached_wall_ms = state.wall_ms;
    });
    on_terminal_timer(state, id);
}

/// Both places are told; the one that has the desktop only once about each newcomer, who goes on asking.
void turn_away(State& state, TerminalId id, ClientId newcomer) {
    const std::string& name = state.terminals.at(id).name;
    refuse(state, newcomer, ErrorCode::refused,
           "terminal '" + name + "' is in use at another place; it will open here once it is left there");
    TerminalLive& live = state.terminal_live[id];
    if (live.turned_away == newcomer) return;
    live.turned_away = newcomer;
    act_now(state, SendToClient{live.client, TerminalNotice{id, "Somebody tried to open this desktop at another place and was refused."}});
}

void attach(State& state, ClientId client, const TerminalAttach& request) {
    const auto name = state.terminal_names.find(request.terminal);
    if (name == state.terminal_names.end()) {
        refuse(state, client, ErrorCode::not_found,
               "there is no terminal named '" + request.terminal + "'; an administrator can define it");
        return;
    }
    const TerminalId id = name->second;
    TerminalLive& live = state.terminal_live[id];
    if (state.store_failing) {
        act_now(state, SendToClient{client, TerminalWaiting{id, "the manager cannot keep records at the moment: " + state.store_reason,
                                                            static_cast<std::uint32_t>(to_ms(state.settings.operation_retry))}});
        if (state.terminals.at(id).state == TerminalState::defined) return;  // nothing new is promised
    }
    if (live.client && live.client != client) {
        if (profile_of(state, state.terminals.at(id)).second_attach == SecondAttach::refuse) {
            turn_away(state, id, client);
            return;
        }
        state.clients.erase(live.client);
        act_now(state, SendToClient{live.client, TerminalTaken{id, "this desktop was opened at another place"}});
    }
    if (const auto other = state.clients.find(client); other != state.clients.end() && other->second != id) {
        state.terminal_live[other->second].client = {};
        detach(state, other->second);
    }
    if (live.client != client) live.seen_epoch = 0;
    live.client = client;
    live.turned_away = {};
    live.told_epoch = 0;
    live.told_waiting.clear();
    state.clients[client] = id;
    const TerminalRecord& terminal = state.terminals.at(id);
    if (terminal.state != TerminalState::attached) {
        const bool fresh = terminal.state == TerminalState::defined;
        change_terminal(state, id, [&](TerminalRecord& record) {
            record.state = TerminalState::attached;
            record.detached_wall_ms = 0;
            live.keep_until = kNever;
            if (!fresh) return;
            const ProfileRecord& profile = profile_of(state, record);
            record.width = request.width != 0 ? request.width : profile.width;
            record.height = request.height != 0 ? request.height : profile.height;
        });
        if (fresh && !rebuilding(state)) define_sessions(state, id);
    }
    catch_up_with(state, id, request.accepted);
    queue_terminal(state, id);
}

}  // namespace

void catch_up_with(State& state, TerminalId id, Epoch accepted) {
    constexpr Epoch kBelievable = Epoch{1} << 40;
    const TerminalRecord& terminal = state.terminals.at(id);
    if (terminal.epoch_floor == 0 || accepted <= terminal.epoch || accepted > kBelievable) return;
    UNDERSTUDY_MARK("rebuild.terminal_knows_a_newer_epoch");
    change_terminal(state, id, [&](TerminalRecord& record) { record.epoch_floor = std::max(record.epoch_floor, accepted + 1); });
    if (terminal.presentation) state.terminal_live[id].desktop_lost = true;
}

const ProfileRecord& profile_of(const State& state, const TerminalRecord& terminal) {
    static const ProfileRecord kEmpty;
    const ProfileRecord* profile = state.profiles.find(terminal.profile);
    return profile == nullptr ? kEmpty : *profile;
}

void on_client_said(State& state, const ClientSaid& event) {
    if (const auto* request = std::get_if<TerminalAttach>(&event.message)) {
        attach(state, event.from, *request);
    } else if (const auto* leaving = std::get_if<TerminalDetach>(&event.message)) {
        const auto client = state.clients.find(event.from);
        const auto name = state.terminal_names.find(leaving->terminal);
        if (client == state.clients.end() || name == state.terminal_names.end() || client->second != name->second) {
            ++state.oddities.unknown_client;
            return;
        }
        on_client_gone(state, event.from);
    } else if (const auto* seen = std::get_if<TerminalSeen>(&event.message)) {
        const auto client = state.clients.find(event.from);
        if (client == state.clients.end() || client->second != seen->terminal) {
            ++state.oddities.unknown_client;
            return;
        }
        if (seen->epoch != state.terminals.at(seen->terminal).epoch) return;
        TerminalLive& live = state.terminal_live[seen->terminal];
        if (seen->what == "connected") mark(state, live.incident, "connected");
        if (seen->what != "picture") return;
        live.seen_epoch = seen->epoch;
        conclude_presentation(state, seen->terminal);
    } else {
        ++state.oddities.unexpected_message;
    }
}

void on_client_gone(State& state, ClientId client) {
    const auto found = state.clients.find(client);
    if (found == state.clients.end()) return;
    const TerminalId id = found->second;
    state.clients.erase(found);
    state.terminal_live[id].client = {};
    detach(state, id);
}

void on_terminal_timer(State& state, TerminalId id) {
    const TerminalRecord* terminal = state.terminals.find(id);
    if (terminal == nullptr) return;
    queue_terminal(state, id);
    TerminalLive& live = state.terminal_live[id];
    if (terminal->state != TerminalState::detached) {
        live.keep_until = kNever;
        return;
    }
    if (live.keep_until == kNever) {
        // The wall clock counts across a restart alone: it may jump.
        const auto keep = static_cast<std::int64_t>(profile_of(state, *terminal).keep_detached_ms);
        const std::int64_t left = terminal->detached_wall_ms + keep - state.wall_ms;
        live.keep_until = state.now + std::chrono::milliseconds(std::clamp<std::int64_t>(left, 0, keep));
    }
    if (state.now >= live.keep_until) {
        note(state, Note::Weight::notice, {}, "terminal " + terminal->name + " was away too long and is released");
        release_terminal(state, id);
        return;
    }
    state.timers.arm({TimerKind::terminal, id.value}, live.keep_until);
}

void release_terminal(State& state, TerminalId id) {
    const TerminalRecord terminal = state.terminals.at(id);
    Epoch newest = 0;
    for (const SessionId session_id : terminal.sessions) {
        const SessionRecord* session = state.sessions.find(session_id);
        if (session == nullptr) continue;
        newest = std::max(newest, session->epoch);
        for (const NodeId holder : state.session_live[session_id].holders) {
            if (state.nodes.find(holder) != nullptr) release_session(state, holder, session_id, session->epoch);
        }
        close_incident(state, state.session_live[session_id].incident);
        erase_session(state, session_id);
    }
    change_terminal(state, id, [&](TerminalRecord& record) {
        record.state = TerminalState::defined;
        // With lost records somebody may claim one of these sessions later: it must show that their epochs were given out.
        if (record.epoch_floor != 0) record.epoch_floor = std::max(record.epoch_floor, newest + 1);
        record.presentation = {};
        record.backups.clear();
        record.sessions.clear();
        record.layout.clear();
        record.detached_wall_ms = 0;
    });
    TerminalLive& live = state.terminal_live[id];
    for (const NodeId holder : live.holders) {
        if (state.nodes.find(holder) != nullptr) release_desktop(state, holder, id, terminal.epoch);
    }
    close_incident(state, live.incident);
    live.needs.clear();
    live.waiting.clear();
    live.lacks.clear();
    want_no_more(state, live);
    if (live.client) {
        refuse(state, live.client, ErrorCode::unavailable, "an administrator released this terminal; attach again to start anew");
        state.clients.erase(live.client);
        live.client = {};
    }
    queue_terminal(state, id);
}

void plan_terminal(State& state, TerminalId id) {
    if (state.terminals.find(id) == nullptr) return;
    TerminalLive& live = state.terminal_live[id];
    const std::vector<Need> before = std::exchange(live.needs, {});
    live.waiting.clear();
    live.lacks.clear();
    if (rebuilding(state)) {
        live.waiting = "the manager's records were lost; what runs is being found";
        state.to_tell.insert(id);
        return;
    }
    if (state.terminals.at(id).state != TerminalState::defined) {
        plan_presentation(state, id);
        const std::vector<SessionId> sessions = state.terminals.at(id).sessions;
        for (const SessionId session : sessions) plan_session(state, session);
    }
    if (live.needs.empty()) want_no_more(state, live);
    else {
        want(state, id);
        state.timers.arm({TimerKind::sweep, 0}, state.now + state.settings.resend);
    }
    if (live.needs != before) state.pools_dirty = true;
    sync_assignments(state, id);
    conclude_presentation(state, id);
    state.to_tell.insert(id);
}

}  // namespace understudy::manager
