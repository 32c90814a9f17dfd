// After the records were lost, or an old copy of them was put back: what runs decides. Instances with our mark
// are taken in instead of being destroyed, and agents say what they hold. Nothing is planned meanwhile: somebody
// who has not been heard yet may hold a newer epoch. When everybody has spoken, or every lease that an earlier
// manager can have granted is over, planning goes on, and what nobody reported is named.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kNamed = 100;

/// No epoch below may be given out again. Incarnations behind a loss count seconds: nothing fails over once a second.
Epoch first_unseen(const State& state, Epoch known) {
    if (UNDERSTUDY_PLANTED("epochs_forgotten_with_records")) return known;
    return std::max(known + 1, state.manager.get().incarnation);
}

void name_lost(State& state, std::string what) {
    if (state.rebuild.lost.size() < kNamed) state.rebuild.lost.push_back(std::move(what));
    else ++state.rebuild.not_named;
}

/// Everything known about places is forgotten; identities and epochs stay.
void forget_places(State& state) {
    std::vector<SessionId> sessions;
    for (const auto& [id, session] : state.sessions.rows()) sessions.push_back(id);
    for (const SessionId id : sessions) {
        change_session(state, id, [&state](SessionRecord& record) {
            record.primary = {};
            record.backups.clear();
            record.handing_over = false;
            record.epoch_floor = std::max(record.epoch_floor, first_unseen(state, record.epoch));
        });
    }
    std::vector<TerminalId> terminals;
    for (const auto& [id, terminal] : state.terminals.rows()) terminals.push_back(id);
    for (const TerminalId id : terminals) {
        change_terminal(state, id, [&state](TerminalRecord& record) {
            record.presentation = {};
            record.backups.clear();
            record.epoch_floor = std::max(record.epoch_floor, first_unseen(state, record.epoch));
        });
    }
    std::vector<NodeId> nodes;
    for (const auto& [id, node] : state.nodes.rows()) {
        if (node.state != NodeState::condemned) nodes.push_back(id);
    }
    for (const NodeId id : nodes) {
        change_node(state, id, [](NodeRecord& record) {
            record.state = record.kind == NodeKind::instance ? NodeState::booting : NodeState::idle;
            record.adopted = true;
            record.role = Role::none;
            record.reason = "known from old records; its agent is expected";
        });
    }
}

/// Instances are interchangeable by what they are made of.
std::string flavour_of(const State& state, const ListedInstance& instance) {
    for (const auto& [flavour, pool] : state.pools.rows()) {
        if (pool.image == instance.image && pool.vcpus == instance.vcpus && pool.memory_mib == instance.memory_mib) return flavour;
    }
    return {};
}

/// A terminal's record under the number that its nodes know it by. False: it cannot be had.
bool claim_terminal(State& state, TerminalId id, const std::string& name, const std::string& profile) {
    const auto known = state.terminal_names.find(name);
    if (known != state.terminal_names.end() && known->second == id) return true;
    if (known == state.terminal_names.end()) {
        if (name.empty() || state.terminals.find(id) != nullptr || state.profiles.find(profile) == nullptr) {
            name_lost(state, "terminal '" + name + "' (number " + to_string(id) + "): neither the configuration nor its profile '" +
                                 profile + "' is known");
            return false;
        }
        change_terminal(state, id, [&](TerminalRecord& record) {
            record.id = id;
            record.name = name;
            record.profile = profile;
            record.epoch_floor = first_unseen(state, 0);
        });
        state.terminal_names[name] = id;
        return true;
    }
    // The configuration has defined it anew, under a new number.
    const TerminalRecord other = state.terminals.at(known->second);
    const bool untouched = other.epoch == 0 && other.sessions.empty();
    if (!untouched || state.terminals.find(id) != nullptr) return false;
    UNDERSTUDY_MARK("rebuild.terminal_gets_its_number_back");
    const TerminalLive live = std::move(state.terminal_live[other.id]);
    state.terminal_live.erase(other.id);
    state.terminals.erase(other.id);
    change_terminal(state, id, [&](TerminalRecord& record) {
        record = other;
        record.id = id;
        record.epoch_floor = first_unseen(state, 0);
    });
    state.terminal_names[name] = id;
    TerminalLive& moved = state.terminal_live[id];
    moved.client = live.client;
    if (live.client) state.clients[live.client] = id;
    return true;
}

/// Somebody has it: it is kept until its person comes back.
void revive(State& state, TerminalId id) {
    if (state.terminals.at(id).state != TerminalState::defined) return;
    change_terminal(state, id, [&](TerminalRecord& record) {
        record.state = TerminalState::detached;
        record.detached_wall_ms = state.wall_ms;
    });
}

bool claim_desktop(State& state, NodeId node, const HeldDesktop& held) {
    if (!claim_terminal(state, held.terminal, held.terminal_name, held.profile)) return false;
    revive(state, held.terminal);
    const TerminalRecord& record = state.terminals.at(held.terminal);
    const bool newer = held.epoch > record.epoch;
    if (!rebuilding(state) && record.epoch != 0 && (newer || held.duty == Duty::primary)) return false;  // decided without it
    if (held.duty == Duty::primary && held.epoch < record.epoch) return false;
    const Separation separation = profile_of(state, record).separation;
    change_terminal(state, held.terminal, [&](TerminalRecord& terminal) {
        if (newer || held.duty == Duty::primary) {
            terminal.width = held.width;
            terminal.height = held.height;
        }
        if (newer) {
            terminal.epoch = held.epoch;
            terminal.presentation = {};
        }
        terminal.epoch_floor = std::max(terminal.epoch_floor, first_unseen(state, held.epoch));
        std::erase(terminal.backups, node);
        if (held.duty == Duty::primary) {
            terminal.presentation = node;
            if (!held.places.empty()) terminal.layout = held.places;
            std::erase_if(terminal.backups, [&](NodeId backup) { return too_close(state, backup, node, separation); });
        } else if (!terminal.presentation || !too_close(state, node, terminal.presentation, separation)) {
            terminal.backups.push_back(node);
        }
    });
    return true;
}

/// Another session of that application stands for this terminal already.
bool has_another(const State& state, const HeldSession& held) {
    const auto& sessions = state.terminals.at(held.terminal).sessions;
    return std::any_of(sessions.begin(), sessions.end(), [&](SessionId id) {
        const SessionRecord* session = state.sessions.find(id);
        return session != nullptr && id != held.session && session->application.name == held.application.name;
    });
}

/// The terminal has been served since the rebuilding: what it does not have now was given up, and may have had epochs
/// that nobody remembers.
bool given_up_since(const State& state, const HeldSession& held) {
    const TerminalRecord& terminal = state.terminals.at(held.terminal);
    return !rebuilding(state) && state.sessions.find(held.session) == nullptr &&
           (terminal.epoch != 0 || terminal.epoch_floor > first_unseen(state, 0));
}

bool claim_session(State& state, NodeId node, const HeldSession& held) {
    if (!claim_terminal(state, held.terminal, held.terminal_name, held.profile) || has_another(state, held)) return false;
    if (given_up_since(state, held)) return false;
    revive(state, held.terminal);
    if (state.sessions.find(held.session) == nullptr) {
        change_session(state, held.session, [&](SessionRecord& record) {
            record.id = held.session;
            record.terminal = held.terminal;
            record.application = held.application;
            record.protection = held.protection;
        });
        change_terminal(state, held.terminal, [&](TerminalRecord& record) {
            record.sessions.insert(std::upper_bound(record.sessions.begin(), record.sessions.end(), held.session), held.session);
        });
    }
    const SessionRecord& record = state.sessions.at(held.session);
    if (record.terminal != held.terminal) return false;
    const bool newer = held.epoch > record.epoch;
    if (!rebuilding(state) && record.epoch != 0 && (newer || held.duty == Duty::primary)) return false;
    if (held.duty == Duty::primary && held.epoch < record.epoch) return false;
    const Separation separation = profile_of(state, state.terminals.at(held.terminal)).separation;
    change_session(state, held.session, [&](SessionRecord& session) {
        if (newer) {
            session.epoch = held.epoch;
            session.primary = {};
        }
        session.epoch_floor = std::max(session.epoch_floor, first_unseen(state, held.epoch));
        std::erase(session.backups, node);
        if (held.duty == Duty::primary) {
            session.primary = node;
            std::erase_if(session.backups, [&](NodeId backup) { return too_close(state, backup, node, separation); });
        } else if (!session.primary || !too_close(state, node, session.primary, separation)) {
            session.backups.push_back(node);
        }
    });
    state.session_live[held.session].holders.insert(node);
    return true;
}

/// Whatever it had is known. One that is to be destroyed runs until that is done.
bool has_spoken(const State& state, const NodeRecord& node) { return state.live.at(node.id).registration != 0 || node.proof != Proof::none; }

bool everybody_has_spoken(const State& state) {
    if (state.hosts.rows().empty()) return false;
    for (const auto& [id, host] : state.hosts.rows()) {
        const HostLive& live = state.host_live.at(id);
        if (!live.listed || !live.reachable) return false;
    }
    const auto taken_in = [&](NodeId id) { return state.nodes.find(id) != nullptr; };
    if (!std::all_of(state.rebuild.unknown.begin(), state.rebuild.unknown.end(), taken_in)) return false;
    return std::all_of(state.nodes.rows().begin(), state.nodes.rows().end(), [&](const auto& row) { return has_spoken(state, row.second); });
}

/// A session that nobody runs: its newest checkpoint, or a fresh start, is decided on like any other loss.
void record_unreported(State& state, SessionId id, bool all_spoke) {
    const SessionRecord& session = state.sessions.at(id);
    const IncidentId incident = open_incident(state, "execution", session.terminal, id, {}, session.application.title + " was not found running",
                                              state.now, "failed");
    mark(state, incident, "detected");
    mark(state, incident, "proven");
    change_incident(state, incident, [&](IncidentRecord& record) {
        record.evidence = "after the records were lost no agent reported it as running";
        record.proof = all_spoke ? "every host and every agent has answered" : "every lease that was granted before is over";
    });
    state.session_live[id].incident = incident;
}

/// Without word from everybody, whoever is frozen may have been replaced by somebody we have not heard.
void doubt_frozen(State& state) {
    for (const auto& [id, node] : state.rebuild.frozen) {
        const SessionRecord* session = state.sessions.find(id);
        if (session == nullptr || session->primary != node) continue;
        UNDERSTUDY_MARK("rebuild.doubts_a_frozen_primary");
        change_session(state, id, [node = node](SessionRecord& record) {
            record.primary = {};
            record.backups.push_back(node);
        });
    }
}

void settle_terminal(State& state, TerminalId id, bool all_spoke) {
    const TerminalRecord terminal = state.terminals.at(id);
    if (terminal.state == TerminalState::defined) return;
    const bool had_something = terminal.epoch != 0 || !terminal.sessions.empty();
    if (had_something && !terminal.presentation) name_lost(state, "the desktop of terminal " + terminal.name + ": no agent shows it; it is set up anew");
    for (const SessionId session : terminal.sessions) {
        const SessionRecord& record = state.sessions.at(session);
        if (record.primary) continue;
        if (record.epoch != 0) record_unreported(state, session, all_spoke);
        name_lost(state, record.application.title + " of terminal " + terminal.name + ": no agent runs it");
    }
    std::vector<SessionId> sessions = terminal.sessions;
    for (const ProfileApplication& wanted : profile_of(state, terminal).applications) {
        const bool known = std::any_of(sessions.begin(), sessions.end(), [&](SessionId session) {
            return state.sessions.at(session).application.name == wanted.application.name;
        });
        if (known) continue;
        if (had_something) name_lost(state, wanted.application.title + " of terminal " + terminal.name + ": nobody holds anything of it; it is started afresh");
        const SessionId session(take_id(state));
        change_session(state, session, [&](SessionRecord& record) {
            record.id = session;
            record.terminal = id;
            record.application = wanted.application;
            record.protection = wanted.protection;
        });
        sessions.push_back(session);
    }
    if (sessions != terminal.sessions) change_terminal(state, id, [&](TerminalRecord& record) { record.sessions = sessions; });
}

void name_silent(State& state) {
    std::vector<HostId> answered;
    for (const auto& [id, host] : state.hosts.rows()) {
        const HostLive& live = state.host_live[id];
        if (live.listed && live.reachable) answered.push_back(id);
        else name_lost(state, "host " + host.name + " has not answered yet: what it runs is taken in when it does");
    }
    for (const HostId id : answered) state.hosts.edit(id).adopts = false;
    for (const auto& [id, node] : state.nodes.rows()) {
        if (node.state == NodeState::condemned || state.live[id].registration != 0) continue;
        name_lost(state, describe(state, id) + ": its agent has not been heard");
    }
    for (const NodeId id : state.rebuild.unknown) {
        if (state.nodes.find(id) != nullptr) continue;
        name_lost(state, "node " + to_string(id) + " cannot be taken in: no hypervisor says what it is made of");
    }
}

std::string count_of(std::size_t count, const char* one, const char* many) { return std::to_string(count) + " " + (count == 1 ? one : many); }

void report(State& state) {
    std::size_t desktops = 0;
    std::size_t running = 0;
    for (const auto& [id, terminal] : state.terminals.rows()) desktops += terminal.presentation ? 1 : 0;
    for (const auto& [id, session] : state.sessions.rows()) running += session.primary ? 1 : 0;
    const std::string found = count_of(state.rebuild.adopted, "machine", "machines") + ", " + count_of(desktops, "desktop", "desktops") +
                              " and " + count_of(running, "running session", "running sessions") + " were found and go on";
    std::vector<std::string> lost = std::exchange(state.rebuild.lost, {});
    if (state.rebuild.not_named > 0) lost.push_back("and " + std::to_string(state.rebuild.not_named) + " more");
    lost.push_back("the history of incidents, drains, maintenance, and what was defined or changed by command since the records were last whole");
    const IncidentId incident = open_incident(state, "store", {}, {}, {}, "the records were rebuilt from what runs", state.now, "rebuilt");
    change_incident(state, incident, [&](IncidentRecord& record) {
        record.evidence = state.manager.get().rebuild_cause;
        record.decision = found;
        record.alternatives = lost;
        for (const std::string& line : lost) record.lost += (record.lost.empty() ? "" : "; ") + line;
        record.open = false;
    });
    std::string text = "rebuilt after: " + state.manager.get().rebuild_cause + ". " + found + ". Not rebuilt: ";
    for (const std::string& line : lost) text += (&line == &lost.front() ? "" : "; ") + line;
    note(state, Note::Weight::alarm, incident, text);
    state.alarms.push_back(std::move(text));
}

void end_rebuild(State& state, bool all_spoke) {
    UNDERSTUDY_MARK(all_spoke ? "rebuild.everybody_spoke" : "rebuild.leases_are_over");
    if (!all_spoke) doubt_frozen(state);
    std::vector<TerminalId> terminals;
    for (const auto& [id, terminal] : state.terminals.rows()) terminals.push_back(id);
    for (const TerminalId id : terminals) settle_terminal(state, id, all_spoke);
    name_silent(state);
    report(state);
    ManagerRecord& manager = state.manager.edit();
    manager.rebuilding = false;
    manager.rebuild_cause.clear();
    for (const TerminalId id : terminals) on_terminal_timer(state, id);
    for (const auto& [id, node] : state.nodes.rows()) {
        refresh_node(state, id);
        arm_node(state, id);
    }
    state.pools_dirty = true;
}

/// Those of earlier managers, and those that came with a Welcome of ours that its node has not used yet: it may act on it.
bool leases_are_over(const State& state) {
    if (state.now < state.rebuild.until) return false;
    return std::none_of(state.live.begin(), state.live.end(), [&](const auto& entry) {
        return entry.second.registration == 0 && !entry.second.pending.empty() && entry.second.lease_until > state.now;
    });
}

}  // namespace

bool rebuilding(const State& state) { return state.manager.get().rebuilding; }

void begin_rebuild(State& state) {
    if (!rebuilding(state)) return;
    UNDERSTUDY_MARK("rebuild.begins");
    state.rebuild.until = state.now + lease_with_margin(state);
    state.timers.arm({TimerKind::rebuild, 0}, state.now + state.settings.tick);
    std::vector<HostId> hosts;
    for (const auto& [id, host] : state.hosts.rows()) hosts.push_back(id);
    for (const HostId id : hosts) {
        HostRecord& host = state.hosts.edit(id);
        host.adopts = true;
        host.power = Power::on;  // it may have been switched on since the copy was made
    }
    forget_places(state);
    std::vector<IncidentId> open;
    for (const auto& [id, incident] : state.incidents.rows()) {
        if (incident.open) open.push_back(id);
    }
    for (const IncidentId id : open) close_incident(state, id);
    note(state, Note::Weight::alarm, {}, state.manager.get().rebuild_cause + "; what runs is being found");
}

void adopt_instance(State& state, HostId host, const ListedInstance& instance) {
    if (state.manager.get().next_id <= instance.id.value) state.manager.edit().next_id = instance.id.value + 1;
    if (const NodeRecord* node = state.nodes.find(instance.id)) {
        const bool moved = node->host != host && node->adopted && state.live[instance.id].registration == 0;
        const bool stale = node->host == host && node->state != NodeState::condemned && instance.running &&
                           (node->door.host != instance.door.host || node->door.port != instance.door.port);
        if (!moved && !stale) return;
        change_node(state, instance.id, [&](NodeRecord& record) {
            record.host = host;
            // Scrubbed since the copy was made: it has another address. Its key is the agent's to say, and may be known already.
            record.door.host = instance.door.host;
            record.door.port = instance.door.port;
        });
        queue_users(state, instance.id);
        return;
    }
    if (instance.vcpus == 0) {
        state.rebuild.unknown.insert(instance.id);
        return;
    }
    UNDERSTUDY_MARK("rebuild.instance_adopted");
    change_node(state, instance.id, [&](NodeRecord& record) {
        record.id = instance.id;
        record.host = host;
        record.name = "us-" + to_string(instance.id);
        record.flavour = flavour_of(state, instance);
        record.state = instance.running ? NodeState::booting : NodeState::condemned;
        record.slots = instance.slots;
        record.vcpus = instance.vcpus;
        record.memory_mib = instance.memory_mib;
        record.disk_mib = instance.disk_mib;
        record.door = instance.door;
        record.adopted = instance.running;
        record.reason = instance.running ? "found running without a record; its agent is expected" : "found stopped without a record";
    });
    if (!instance.running) {
        prove_down(state, instance.id, Proof::instance_ended, "its hypervisor says that it is stopped", state.now);
        start_destroy(state, instance.id);
        return;
    }
    NodeLive& live = state.live[instance.id];
    live.heard = state.fair();
    live.lease_until = std::max(live.lease_until, state.rebuild.until);
    live.boot_deadline = state.now + state.settings.boot_limit;
    note(state, Note::Weight::notice, {}, describe(state, instance.id) + " runs without a record and is taken in");
    arm_node(state, instance.id);
}

void take_claims(State& state, NodeId id, const Hello& told) {
    const NodeRecord before = state.nodes.at(id);
    if (!before.adopted) return;
    Hello hello = told;
    for (const SessionStatus& status : hello.sessions) {
        if (status.phase != Phase::frozen) continue;
        state.rebuild.frozen.insert({status.session, id});
        if (rebuilding(state)) continue;
        for (HeldSession& held : hello.held_sessions) {  // too late for a verdict on who came after it
            if (held.session == status.session) held.duty = Duty::backup;
        }
    }
    std::uint64_t highest = 0;
    for (const HeldSession& held : hello.held_sessions) highest = std::max({highest, held.session.value, held.terminal.value});
    for (const HeldDesktop& held : hello.held_desktops) highest = std::max(highest, held.terminal.value);
    if (state.manager.get().next_id <= highest) state.manager.edit().next_id = highest + 1;
    std::size_t room = before.slots;
    Role role = Role::none;
    // Primaries first: whoever holds too much gives up what is only stand-by.
    for (const Duty duty : {Duty::primary, Duty::backup}) {
        for (const HeldDesktop& held : hello.held_desktops) {
            if (held.duty != duty || room == 0 || !claim_desktop(state, id, held)) continue;
            role = Role::presentation;
            --room;
        }
        for (const HeldSession& held : hello.held_sessions) {
            if (held.duty != duty || room == 0 || !claim_session(state, id, held)) continue;
            if (role == Role::none) role = Role::execution;
            --room;
        }
    }
    ++state.rebuild.adopted;
    // One without any claim has a past that nobody knows: it goes back through a scrub.
    const bool keeps = role != Role::none || before.kind == NodeKind::instance;
    change_node(state, id, [&](NodeRecord& record) {
        record.adopted = false;
        record.state = keeps ? NodeState::serving : NodeState::idle;
        record.role = role;
        record.reason = role == Role::none ? "found running; it holds nothing that is wanted" : "found at work and taken in";
    });
}

void check_rebuild(State& state) {
    if (!rebuilding(state) || state.now < state.rebuild.look_at) return;
    state.rebuild.look_at = state.now + state.settings.tick;
    const bool all_spoke = everybody_has_spoken(state);
    if (all_spoke || UNDERSTUDY_PLANTED("rebuild_waits_for_nobody") || leases_are_over(state)) end_rebuild(state, all_spoke);
    else state.timers.arm({TimerKind::rebuild, 0}, state.rebuild.look_at);
}

}  // namespace understudy::manager
