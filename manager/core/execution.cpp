// Planning for a session: its primary moves only with proof that the old one does not run, and only to
// the holder of the newest checkpoint unless nobody holds one; then it starts afresh and says so.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

/// Is the primary of the present epoch proven not to run?
Loss find_loss(const State& state, const SessionRecord& session) {
    const SessionLive& live = state.session_live.at(session.id);
    if (!session.primary) {
        Loss known;  // the details are in the incident that was opened when it was lost
        known.lost = true;
        return known;
    }
    if (live.proof != Proof::none) {
        return {true, live.proof, live.proof_text, live.proof_text, live.proven_at, live.proven_at, live.proven_at};
    }
    const NodeRecord* node = state.nodes.find(session.primary);
    if (node == nullptr || node->proof == Proof::none) return {};
    const NodeLive& at = state.live.at(session.primary);
    return {true, node->proof, node->proof_text, at.evidence.empty() ? node->proof_text : at.evidence,
            at.evidence_at, at.detected_at, at.proven_at};
}

/// Newest checkpoint that `node` holds for the session, {0,0} when none.
CheckpointInfo newest_at(const State& state, NodeId node, SessionId session) {
    const auto live = state.live.find(node);
    if (live == state.live.end()) return {};
    const auto status = live->second.sessions.find(session);
    if (status == live->second.sessions.end() || status->second.phase == Phase::released) return {};
    CheckpointInfo newest;
    for (const CheckpointInfo& info : status->second.checkpoints) {
        if (info.id > newest.id) newest = info;
    }
    return newest;
}

struct Choice {
    NodeId node;
    CheckpointInfo from;  ///< {0,0}: afresh
    std::string decision;
    std::string lost;
    std::vector<std::string> alternatives;
};

std::string seconds_text(std::int64_t ms) {
    const std::int64_t tenths = std::max<std::int64_t>(ms, 0) / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

/// Nodes that hold, or held a moment ago, something of this session and still belong to it.
std::vector<NodeId> members(const SessionRecord& session) {
    std::vector<NodeId> nodes = session.backups;
    if (session.primary) nodes.push_back(session.primary);  // alive when only the session ended
    return nodes;
}

Choice choose_holder(const State& state, const SessionRecord& session) {
    Choice choice;
    const SessionLive& live = state.session_live.at(session.id);
    for (const NodeId node : members(session)) {
        const CheckpointInfo newest = newest_at(state, node, session.id);
        std::string line = describe(state, node) + ": ";
        if (session.handing_over && node == session.primary) {
            line += "is what it moves away from";
        } else if (state.nodes.find(node) == nullptr || state.nodes.at(node).proof != Proof::none) {
            line += "does not run any more";
        } else if (!reachable(state, node)) {
            line += "cannot be reached";
        } else if (draining(state, state.nodes.at(node))) {
            line += "is being drained";
        } else if (newest.id.sequence == 0) {
            line += "holds no checkpoint";
        } else if (live.failed_on.contains(node)) {
            line += "failed to restore it";
        } else {
            line += "holds checkpoint " + std::to_string(newest.id.epoch) + ":" + std::to_string(newest.id.sequence);
            if (newest.id > choice.from.id) {
                choice.node = node;
                choice.from = newest;
            }
        }
        choice.alternatives.push_back(std::move(line));
    }
    if (!choice.node) return choice;
    choice.decision = describe(state, choice.node) + " holds the newest checkpoint";
    choice.lost = "what happened in the last " + seconds_text(state.wall_ms - choice.from.taken_wall_ms) +
                  " before the decision";
    return choice;
}

/// Is there somebody who may hold a checkpoint and cannot be asked at this moment?
bool holder_may_return(const State& state, const SessionRecord& session) {
    return std::any_of(session.backups.begin(), session.backups.end(), [&](NodeId backup) {
        const NodeRecord* node = state.nodes.find(backup);
        if (node == nullptr || node->proof != Proof::none || node->state != NodeState::serving) return false;
        return !reachable(state, backup) && !state.live.at(backup).given_up;
    });
}

PlacementRequest request_for(const State& state, const SessionRecord& session, NodeId primary) {
    const ProfileRecord& profile = profile_of(state, state.terminals.at(session.terminal));
    const SessionLive& live = state.session_live.at(session.id);
    PlacementRequest request;
    request.role = Role::execution;
    request.terminal = session.terminal;
    request.session = session.id;
    request.flavour = profile.flavour;
    request.primary = primary;
    request.separation = profile.separation;
    request.exclude = session.backups;
    if (primary) {
        if (state.now < live.failed_until) {
            request.exclude.insert(request.exclude.end(), live.failed_on.begin(), live.failed_on.end());
        }
    } else {
        request.avoid.assign(live.failed_on.begin(), live.failed_on.end());
    }
    return request;
}

/// Without any checkpoint: a backup that is there, the same node, or a place found anew.
Choice choose_fresh(const State& state, const SessionRecord& session, const std::string& why) {
    Choice choice;
    const SessionLive& live = state.session_live.at(session.id);
    const auto usable = [&](NodeId node) {
        return reachable(state, node) && !draining(state, state.nodes.at(node)) && !live.failed_on.contains(node);
    };
    std::vector<NodeId> preferred = members(session);
    if (live.ending == Ending::closed) std::rotate(preferred.rbegin(), preferred.rbegin() + 1, preferred.rend());
    for (const NodeId node : preferred) {
        if (!usable(node)) continue;
        choice.node = node;
        choice.decision = describe(state, node) + " starts it afresh: " + why;
        break;
    }
    if (!choice.node) {
        const Placement placement = place(state, request_for(state, session, {}));
        choice.node = placement.chosen;
        choice.alternatives = explain(state, placement);
        choice.decision = describe(state, choice.node) + " starts it afresh: " + why;
    }
    choice.lost = session.epoch == 0 || live.ending == Ending::closed ? ""
                                                                      : "the application's memory: " + why;
    return choice;
}

std::string title_for(const SessionRecord& session, const Loss& loss) {
    if (session.handing_over) return session.application.title + " is moved";
    return session.application.title + (loss.proof == Proof::agent_reported ? " stopped running" : " lost its machine");
}

/// The flight record of a loss: from here until a picture is seen again.
void record_loss(State& state, SessionId id, const Loss& loss) {
    const SessionRecord& session = state.sessions.at(id);
    SessionLive& live = state.session_live[id];
    const TimePoint failed = loss.failed_at == kNever ? state.now : loss.failed_at;
    supersede(state, live.incident);
    live.incident = open_incident(state, "execution", session.terminal, id, session.primary, title_for(session, loss),
                                  failed, session.handing_over ? "asked" : "failed");
    mark_at(state, live.incident, "detected", loss.detected_at == kNever ? state.now : loss.detected_at);
    mark_at(state, live.incident, "proven", loss.proven_at == kNever ? state.now : loss.proven_at);
    change_incident(state, live.incident, [&](IncidentRecord& record) {
        record.evidence = loss.evidence;
        record.proof = loss.text;
    });
}

void appoint(State& state, SessionId id, const Choice& choice, const Loss& loss) {
    const SessionRecord before = state.sessions.at(id);
    SessionLive& live = state.session_live[id];
    // A first start is no incident, nor is a person closing an application.
    const bool recorded = before.epoch != 0 && live.ending != Ending::closed;
    if (!recorded) live.incident = {};
    if (recorded) {
        if (!undecided(state, live.incident)) record_loss(state, id, loss);
        mark(state, live.incident, "decided");
        change_incident(state, live.incident, [&](IncidentRecord& record) {
            record.decision = choice.decision;
            record.alternatives = choice.alternatives;
            record.lost = choice.lost.empty() ? "nothing" : choice.lost;
        });
        act_durable(state, Echo{live.incident});
    }
    take_node(state, choice.node, Role::execution, "runs " + before.application.title);
    const Separation separation = profile_of(state, state.terminals.at(before.terminal)).separation;
    change_session(state, id, [&](SessionRecord& record) {
        ++record.epoch;
        record.primary = choice.node;
        record.restore = choice.from.id;
        record.handing_over = false;
        record.lost = choice.lost;
        std::erase_if(record.backups, [&](NodeId backup) {
            return backup == choice.node || too_close(state, backup, choice.node, separation);
        });
    });
    live.proof = Proof::none;
    live.proof_text.clear();
    live.ending = Ending::none;
    live.grace_until = kNever;
    live.move_wanted = false;
    note(state, Note::Weight::notice, live.incident,
         before.application.title + ": epoch " + std::to_string(before.epoch + 1) + ": " + choice.decision);
}

/// Too many failures in a row: not faster than once per retry interval. True: wait.
bool must_rest(State& state, SessionId id) {
    SessionLive& live = state.session_live[id];
    while (!live.crashes.empty() && live.crashes.front() < state.now - state.settings.crash_window) {
        live.crashes.pop_front();
    }
    if (live.crashes.size() < state.settings.crash_limit) return false;
    const TimePoint again = live.crashes.back() + state.settings.operation_retry;
    if (state.now >= again) return false;
    state.timers.arm({TimerKind::session, id.value}, again);
    return true;
}

void count_crash(State& state, SessionId id, const Loss& loss) {
    SessionLive& live = state.session_live[id];
    if (loss.proof != Proof::agent_reported || live.ending != Ending::crashed) return;
    if (live.crashes.empty() || live.crashes.back() != live.proven_at) live.crashes.push_back(live.proven_at);
}

void recover(State& state, SessionId id, const Loss& loss) {
    const SessionRecord& session = state.sessions.at(id);
    SessionLive& live = state.session_live[id];
    count_crash(state, id, loss);
    if (must_rest(state, id)) return;
    const bool restorable = session.protection == Protection::checkpoint && live.ending != Ending::closed &&
                            live.crashes.size() < state.settings.crash_limit && session.epoch != 0;
    std::string why = session.epoch == 0 ? "first start" : "no checkpoint is left";
    if (live.ending == Ending::closed) why = "the person closed it";
    else if (live.crashes.size() >= state.settings.crash_limit) why = "it failed again and again after restoring";
    else if (session.protection == Protection::restart && session.epoch != 0) why = "it is protected by restart only";
    Choice choice;
    if (restorable) {
        choice = choose_holder(state, session);
        if (!choice.node && holder_may_return(state, session)) {
            if (live.grace_until == kNever) live.grace_until = state.now + state.settings.backup_grace;
            if (state.now < live.grace_until) {
                state.timers.arm({TimerKind::session, id.value}, live.grace_until);
                return;
            }
        }
    }
    if (!choice.node) {
        const std::vector<std::string> holders = std::move(choice.alternatives);
        choice = choose_fresh(state, session, why);
        choice.alternatives.insert(choice.alternatives.begin(), holders.begin(), holders.end());
    }
    if (choice.node) {
        appoint(state, id, choice, loss);
        return;
    }
    if (session.primary) {  // nothing of it may hold back what its host needs for a new machine
        record_loss(state, id, loss);
        change_session(state, id, [](SessionRecord& record) { record.primary = {}; });
    }
    add_need(state, session.terminal, {Role::execution, id, {}});
    std::string& lacks = state.terminal_live[session.terminal].lacks;
    if (lacks.empty()) lacks = session.application.title;
}

/// A planned move: the primary takes a last checkpoint, brings it to its backups and stops; its word
/// that it stopped is the proof.
void plan_move(State& state, SessionId id) {
    const SessionRecord& session = state.sessions.at(id);
    SessionLive& live = state.session_live[id];
    const NodeRecord* node = state.nodes.find(session.primary);
    if (node == nullptr || session.handing_over) return;
    if (!live.move_wanted && !draining(state, *node)) return;
    const bool somebody = std::any_of(session.backups.begin(), session.backups.end(), [&](NodeId backup) {
        if (!reachable(state, backup)) return false;
        return session.protection == Protection::restart || newest_at(state, backup, id).id.sequence != 0;
    });
    if (!somebody) return;
    change_session(state, id, [](SessionRecord& record) { record.handing_over = true; });
    note(state, Note::Weight::notice, {}, session.application.title + " is handed over from " +
                                              describe(state, session.primary));
}

void plan_backups(State& state, SessionId id) {
    const SessionRecord before = state.sessions.at(id);
    const ProfileRecord& profile = profile_of(state, state.terminals.at(before.terminal));
    const SessionLive& live = state.session_live[id];
    std::vector<NodeId> backups = before.backups;
    std::erase_if(backups, [&](NodeId backup) {
        return !backup_stays(state, backup, before.primary, profile.separation) ||
               (live.failed_on.contains(backup) && state.now < live.failed_until);
    });
    const NodeRecord* primary = state.nodes.find(before.primary);
    // Somebody must be there to hand over to, even where nobody stands by usually.
    const bool leaving = primary != nullptr && draining(state, *primary);
    const std::size_t wanted = std::max<std::size_t>(profile.execution_backups, leaving ? 1 : 0);
    if (backups.size() > wanted) backups.resize(wanted);
    if (backups != before.backups) {
        change_session(state, id, [&](SessionRecord& record) { record.backups = backups; });
    }
    if (primary == nullptr || primary->proof != Proof::none || live.proof != Proof::none) return;  // take over first
    while (backups.size() < wanted) {
        const SessionRecord& session = state.sessions.at(id);
        const Placement placement = place(state, request_for(state, session, session.primary));
        if (!placement.chosen) {
            std::vector<HostId> avoid;
            if (profile.separation != Separation::instance) avoid.push_back(state.nodes.at(session.primary).host);
            add_need(state, session.terminal, {Role::execution, {}, std::move(avoid)});
            return;
        }
        take_node(state, placement.chosen, Role::execution, "stands by for " + session.application.title);
        backups.push_back(placement.chosen);
        change_session(state, id, [&](SessionRecord& record) { record.backups = backups; });
    }
}

}  // namespace

void plan_session(State& state, SessionId id) {
    if (state.sessions.find(id) == nullptr) return;
    state.session_live[id];
    const Loss loss = find_loss(state, state.sessions.at(id));
    if (loss.lost) recover(state, id, loss);
    else plan_move(state, id);
    plan_backups(state, id);
}

}  // namespace understudy::manager
