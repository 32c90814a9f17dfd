// Planning for a session: its primary moves only with proof that the old one does not run, and only to
// the holder of the newest checkpoint unless nobody holds one; then it starts afresh and says so.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kAwaited = "awaited";  ///< phase: a node that is not heard is waited for

/// How a session came to be without a running primary; all of it evidence, `proof` decides.
struct Loss {
    bool lost = false;
    Proof proof = Proof::none;
    std::string text;      ///< what the proof is
    std::string evidence;  ///< first sign
    TimePoint failed_at = kNever;
    TimePoint detected_at = kNever;
    TimePoint proven_at = kNever;
};

/// Is the primary of the present epoch proven not to run?
Loss find_loss(const State& state, const SessionRecord& session) {
    const SessionLive& live = state.session_live.at(session.id);
    if (!session.primary) {
        Loss known;  // the details are in the incident that was opened when it was lost
        known.lost = true;
        return known;
    }
    if (live.proof != Proof::none) {
        UNDERSTUDY_MARK("execution.lost_session_alone");
        return {true, live.proof, live.proof_text, live.proof_text, live.proven_at, live.proven_at, live.proven_at};
    }
    const NodeRecord* node = state.nodes.find(session.primary);
    if (node == nullptr) return {};
    const NodeLive& at = state.live.at(session.primary);
    const bool guesses = UNDERSTUDY_PLANTED("promotes_without_proof") && at.given_up;
    if (node->proof == Proof::none && frozen_with_last_memory(state, session.primary) && !has_last_memory(state, session.primary, session.id)) {
        UNDERSTUDY_MARK("execution.moves_away_from_a_frozen_node");
        return {true, Proof::lease_expired, "its lease and the drift margin are over; the machine itself is waited for",
                at.evidence, at.evidence_at, at.detected_at, at.lease_until};
    }
    if (node->proof == Proof::none && !guesses) return {};
    return {true, node->proof, node->proof_text, at.evidence.empty() ? node->proof_text : at.evidence,
            at.evidence_at, at.detected_at, at.proven_at};
}

struct Choice {
    NodeId node;
    CheckpointInfo from;  ///< {0,0}: afresh
    std::string decision;
    std::string lost;
    std::vector<std::string> alternatives;
};

Choice choose_holder(const State& state, const SessionRecord& session) {
    Choice choice;
    const SessionLive& live = state.session_live.at(session.id);
    for (const NodeId node : members(session)) {
        const CheckpointInfo newest = newest_checkpoint(state, node, session.id);
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
    if (choice.node == session.primary) UNDERSTUDY_MARK("execution.restores_where_it_was");
    else if (session.handing_over) UNDERSTUDY_MARK("execution.hands_over_to_newest_checkpoint");
    else UNDERSTUDY_MARK("execution.promotes_newest_checkpoint");
    choice.decision = describe(state, choice.node) + " holds the newest checkpoint";
    // Handed over: the last checkpoint was taken when it had already stopped.
    if (session.handing_over && live.proof == Proof::agent_reported && live.ending != Ending::crashed) return choice;
    choice.lost = "what happened in the last " + seconds_text(state.wall_ms - choice.from.taken_wall_ms) +
                  " before the decision";
    return choice;
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
    request.environment = session.application.environment;
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
    // Closed by a person: nothing is wrong with the machine it ran on.
    if (live.ending == Ending::closed && !preferred.empty()) std::rotate(preferred.begin(), preferred.end() - 1, preferred.end());
    for (const NodeId node : preferred) {
        if (!usable(node)) continue;
        UNDERSTUDY_MARK("execution.starts_afresh_on_a_member");
        choice.node = node;
        choice.decision = describe(state, node) + " starts it afresh: " + why;
        break;
    }
    if (!choice.node) {
        const Placement placement = place(state, request_for(state, session, {}));
        if (placement.chosen) UNDERSTUDY_MARK("execution.starts_afresh_on_a_new_node");
        choice.node = placement.chosen;
        choice.alternatives = explain(state, placement);
        choice.decision = describe(state, choice.node) + " starts it afresh: " + why;
    }
    const bool never_ran = live.proof == Proof::agent_reported && !live.ran && session.restore.sequence == 0;
    if (session.epoch != 0 && live.ending != Ending::closed && !never_ran) choice.lost = "the application's memory: " + why;
    return choice;
}

std::string title_for(const SessionRecord& session, const SessionLive& live, const Loss& loss) {
    if (loss.proof != Proof::agent_reported) return session.application.title + " lost its machine";
    return session.application.title + (live.ran ? " stopped running" : " did not start");
}

/// The flight record of a loss: from here until a picture is seen again.
void record_loss(State& state, SessionId id, const Loss& loss) {
    const SessionRecord& session = state.sessions.at(id);
    SessionLive& live = state.session_live[id];
    const TimePoint failed = loss.failed_at == kNever ? state.now : loss.failed_at;
    supersede(state, live.incident);
    live.incident = open_incident(state, "execution", session.terminal, id, session.primary,
                                  title_for(session, live, loss), failed, "failed");
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
        // Not known yet when it was opened for a move, or for a node that was waited for.
        if (before.primary) mark_at(state, live.incident, "proven", loss.proven_at == kNever ? state.now : loss.proven_at);
        mark(state, live.incident, "decided");
        change_incident(state, live.incident, [&](IncidentRecord& record) {
            if (before.primary) record.proof = loss.text;
            record.decision = choice.decision;
            record.alternatives = choice.alternatives;
            record.lost = choice.lost.empty() ? "nothing" : choice.lost;
        });
        act_durable(state, Echo{live.incident});
    }
    take_node(state, choice.node, Role::execution, "runs " + before.application.title);
    const Separation separation = profile_of(state, state.terminals.at(before.terminal)).separation;
    const bool voids = choice.from.id.sequence == 0 &&
                       (live.ending == Ending::closed || live.crashes.size() >= state.settings.crash_limit);
    change_session(state, id, [&](SessionRecord& record) {
        const bool reuses = UNDERSTUDY_PLANTED("epoch_reused_after_restart") && record.epoch != 0 &&
                            state.now < state.started + std::chrono::seconds(90);
        if (!reuses) record.epoch = std::max(record.epoch + 1, record.epoch_floor);
        record.primary = choice.node;
        record.restore = choice.from.id;
        record.handing_over = false;
        record.lost = choice.lost;
        if (voids) record.fresh_since = record.epoch;
        std::erase_if(record.backups, [&](NodeId backup) {
            return backup == choice.node || too_close(state, backup, choice.node, separation);
        });
    });
    live.proof = Proof::none;
    live.proof_text.clear();
    live.ending = Ending::none;
    live.ran = false;
    live.grace_until = kNever;
    live.move_wanted = false;
    note(state, Note::Weight::notice, live.incident,
         before.application.title + ": epoch " + std::to_string(state.sessions.at(id).epoch) + ": " + choice.decision);
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
    UNDERSTUDY_MARK("execution.rests_after_crashes");
    state.timers.arm({TimerKind::session, id.value}, again);
    return true;
}

/// The environment could not be deployed a moment ago: not on this machine, or on several others in a row. Not
/// faster than once per retry interval, and slower with every failure.
bool cannot_deploy_yet(State& state, SessionId id, NodeId chosen) {
    SessionLive& live = state.session_live[id];
    if (live.deploy_again == kNever || state.now >= live.deploy_again) return false;
    if (has_environment(state, chosen, state.sessions.at(id).application.environment)) return false;
    if (!live.failed_on.contains(chosen) && live.deploy_failures < state.settings.create_attempts) return false;
    UNDERSTUDY_MARK("execution.waits_for_its_environment");
    state.terminal_live[state.sessions.at(id).terminal].waiting = live.deploy_failure + "; tried again";
    state.timers.arm({TimerKind::session, id.value}, live.deploy_again);
    return true;
}

void count_crash(State& state, SessionId id, const Loss& loss) {
    SessionLive& live = state.session_live[id];
    if (loss.proof != Proof::agent_reported || live.ending != Ending::crashed) return;
    if (live.crashes.empty() || live.crashes.back() != live.proven_at) live.crashes.push_back(live.proven_at);
}

/// Does another application of the same terminal run where `choice` would start this one for the first time, while a
/// machine that could be its own is on its way?
bool could_have_its_own(const State& state, const SessionRecord& session, const Choice& choice) {
    if (session.epoch != 0 || !choice.node) return false;
    const TerminalRecord& terminal = state.terminals.at(session.terminal);
    const auto pool = state.pool_live.find(profile_of(state, terminal).flavour);
    if (pool == state.pool_live.end() || pool->second.coming.empty()) return false;
    return std::any_of(terminal.sessions.begin(), terminal.sessions.end(), [&](SessionId other) {
        return other != session.id && state.sessions.at(other).primary == choice.node;
    });
}

/// Something better than what is there may come within `patience`. True: wait for it.
bool wait_for_better(State& state, SessionId id, Duration patience) {
    SessionLive& live = state.session_live[id];
    if (live.grace_until == kNever) live.grace_until = state.now + patience;
    if (state.now >= live.grace_until) return false;
    state.timers.arm({TimerKind::session, id.value}, live.grace_until);
    return true;
}

/// People are told which node is waited for, and until when at the latest.
void note_wait(State& state, SessionId id, NodeId holder) {
    const SessionRecord& session = state.sessions.at(id);
    const TimePoint until = waits_for_last_memory_until(state, state.live.at(holder));
    state.timers.arm({TimerKind::session, id.value}, until);
    const std::string words = describe(state, holder) + " is not heard and alone has its memory: it is waited for";
    state.terminal_live[session.terminal].waiting = session.application.title + ": " + words;
    const IncidentId incident = state.session_live[id].incident;
    if (marked(state, incident, kAwaited)) return;
    mark(state, incident, kAwaited);
    change_incident(state, incident, [&](IncidentRecord& record) {
        record.decision += (record.decision.empty() ? "" : "; then ") + words + ", at most " + seconds_text(to_ms(until - state.now)) + " from then on";
    });
}

/// The primary is not heard, nothing proves that it does not run, and nobody else could go on: it is waited for.
void wait_for_primary(State& state, SessionId id) {
    const SessionRecord& session = state.sessions.at(id);
    SessionLive& live = state.session_live[id];
    if (!has_last_memory(state, session.primary, id)) {
        if (!reachable(state, session.primary) || !marked(state, live.incident, kAwaited) || !undecided(state, live.incident)) return;
        UNDERSTUDY_MARK("execution.awaited_primary_is_back");
        mark(state, live.incident, "returned");
        change_incident(state, live.incident, [](IncidentRecord& record) { record.lost = "nothing"; });
        close_incident(state, std::exchange(live.incident, {}));
        return;
    }
    UNDERSTUDY_MARK("execution.waits_for_its_primary");
    const NodeLive& at = state.live.at(session.primary);
    const IncidentRecord* known = state.incidents.find(live.incident);
    if (known == nullptr || !known->open) {
        const TimePoint failed = at.evidence_at == kNever ? state.now : at.evidence_at;
        live.incident = open_incident(state, "execution", session.terminal, id, session.primary,
                                      "the machine of " + session.application.title + " does not answer", failed, "failed");
        mark_at(state, live.incident, "detected", at.detected_at == kNever ? state.now : at.detected_at);
        change_incident(state, live.incident, [&](IncidentRecord& record) { record.evidence = at.evidence; });
    }
    note_wait(state, id, session.primary);
}

void recover(State& state, SessionId id, const Loss& loss) {
    const SessionRecord& session = state.sessions.at(id);
    SessionLive& live = state.session_live[id];
    count_crash(state, id, loss);
    if (must_rest(state, id)) return;
    const bool restorable = session.protection == Protection::checkpoint && live.ending != Ending::closed &&
                            live.crashes.size() < state.settings.crash_limit && session.epoch != 0;
    std::string why = session.epoch == 0 ? "first start" : "no checkpoint is left";
    if (live.crashes.size() >= state.settings.crash_limit) UNDERSTUDY_MARK("execution.gives_up_restoring");
    if (live.ending == Ending::closed) UNDERSTUDY_MARK("execution.closed_by_a_person");
    if (live.ending == Ending::closed) why = "the person closed it";
    else if (live.crashes.size() >= state.settings.crash_limit) why = "it failed again and again";
    else if (session.protection == Protection::restart && session.epoch != 0) why = "it is protected by restart only";
    Choice choice;
    if (restorable) {
        choice = choose_holder(state, session);
        if (const NodeId holder = awaited_holder(state, session); !choice.node && holder) {
            UNDERSTUDY_MARK("execution.waits_for_a_holder");
            if (!undecided(state, live.incident)) record_loss(state, id, loss);
            note_wait(state, id, holder);
            return;
        }
    }
    if (!choice.node) {
        const std::vector<std::string> holders = std::move(choice.alternatives);
        choice = choose_fresh(state, session, why);
        choice.alternatives.insert(choice.alternatives.begin(), holders.begin(), holders.end());
    }
    if (could_have_its_own(state, session, choice) && wait_for_better(state, id, state.settings.own_machine_grace)) {
        UNDERSTUDY_MARK("execution.waits_for_its_own_machine");
        choice.node = {};
    }
    if (choice.node && cannot_deploy_yet(state, id, choice.node)) return;
    if (choice.node) {
        appoint(state, id, choice, loss);
        return;
    }
    if (session.primary) {  // nothing of it may hold back what its host needs for a new machine
        UNDERSTUDY_MARK("execution.finds_no_place");
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
    if (state.live.at(session.primary).given_up) return;  // nobody there hands anything over
    const bool somebody = std::any_of(session.backups.begin(), session.backups.end(), [&](NodeId backup) {
        if (!reachable(state, backup)) return false;
        return session.protection == Protection::restart || newest_checkpoint(state, backup, id).id.sequence != 0;
    });
    if (!somebody) return;
    UNDERSTUDY_MARK("execution.hand_over_begins");
    supersede(state, live.incident);
    live.incident = open_incident(state, "execution", session.terminal, id, session.primary,
                                  session.application.title + " is moved", state.now, "asked");
    const std::string why = live.move_wanted ? "an administrator asked for it" : "its machine is being drained";
    change_incident(state, live.incident, [&](IncidentRecord& record) { record.evidence = why; });
    change_session(state, id, [](SessionRecord& record) { record.handing_over = true; });
    note(state, Note::Weight::notice, live.incident,
         session.application.title + " is handed over from " + describe(state, session.primary) + ": " + why);
}

void plan_backups(State& state, SessionId id) {
    const SessionRecord before = state.sessions.at(id);
    const ProfileRecord& profile = profile_of(state, state.terminals.at(before.terminal));
    const SessionLive& live = state.session_live[id];
    std::vector<NodeId> backups = before.backups;
    std::erase_if(backups, [&](NodeId backup) {
        if (has_last_memory(state, backup, id)) return false;
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
    if (UNDERSTUDY_PLANTED("forgets_backup_after_takeover") && before.epoch > 1) return;
    while (backups.size() < wanted) {
        const SessionRecord& session = state.sessions.at(id);
        const Placement placement = place(state, request_for(state, session, session.primary));
        if (!placement.chosen) {
            UNDERSTUDY_MARK("execution.no_place_for_a_backup");
            add_need(state, session.terminal,
                     {Role::execution, {}, hosts_to_avoid(state, session.primary, profile.flavour, profile.separation)});
            return;
        }
        if (before.epoch > 1) UNDERSTUDY_MARK("execution.replaces_a_backup");
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
    if (loss.lost) {
        recover(state, id, loss);
    } else {
        wait_for_primary(state, id);
        plan_move(state, id);
    }
    plan_backups(state, id);
}

}  // namespace understudy::manager
