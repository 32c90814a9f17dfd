// Planning for a terminal's desktop: who is primary, who stands by. A presentation holds no state that
// could diverge, so it moves on well-founded suspicion; tickets carry the epoch, the old one's are void.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

/// Why the present primary cannot go on, in words; empty: it can.
std::string why_lost(const State& state, const TerminalRecord& terminal, const TerminalLive& live) {
    const NodeRecord* node = state.nodes.find(terminal.presentation);
    if (node == nullptr) return "it does not exist any more";
    if (node->proof != Proof::none) return node->proof_text;
    if (node->state != NodeState::serving) return node->reason;
    const NodeLive& at = state.live.at(terminal.presentation);
    if (at.given_up || !at.alone_with.empty()) return at.evidence;
    if (at.health == Health::suspect && at.broken != kNever && !state.gate.closed &&
        !reached_by_witnesses(state, terminal.presentation) && state.fair() - at.broken >= state.settings.suspect_grace) {
        return "its connection broke and did not come back";
    }
    if (live.desktop_lost) return "its agent came back without the desktop";
    const auto status = at.desktops.find(terminal.id);
    if (status != at.desktops.end() && status->second.epoch == terminal.epoch &&
        (status->second.phase == Phase::ended || status->second.phase == Phase::failed)) {
        return status->second.detail.empty() ? "its desktop ended" : status->second.detail;
    }
    return {};
}

Phase desktop_phase(const State& state, NodeId node, TerminalId terminal) {
    const auto& desktops = state.live.at(node).desktops;
    const auto status = desktops.find(terminal);
    return status == desktops.end() ? Phase::preparing : status->second.phase;
}

/// The backup to promote: ready ones first, then the lowest id. None: nobody can be reached.
NodeId best_backup(const State& state, const TerminalRecord& terminal, bool ready_only) {
    NodeId best;
    for (const NodeId backup : terminal.backups) {
        if (!reachable(state, backup) || draining(state, state.nodes.at(backup))) continue;
        const Phase phase = desktop_phase(state, backup, terminal.id);
        if (phase == Phase::failed || phase == Phase::ended) continue;
        if (phase == Phase::standby) return backup;
        if (!best && !ready_only) best = backup;
    }
    return best;
}

PlacementRequest request_for(const State& state, const TerminalRecord& terminal, NodeId primary) {
    const ProfileRecord& profile = profile_of(state, terminal);
    PlacementRequest request;
    request.role = Role::presentation;
    request.terminal = terminal.id;
    request.flavour = profile.flavour;
    request.primary = primary;
    request.separation = profile.separation;
    request.exclude = terminal.backups;
    const TerminalLive& live = state.terminal_live.at(terminal.id);
    if (state.now < live.failed_until) {
        auto& keep_off = primary ? request.exclude : request.avoid;
        keep_off.insert(keep_off.end(), live.failed_on.begin(), live.failed_on.end());
    }
    return request;
}

/// The flight record of a loss or a move: from here until a picture is seen again.
void record_loss(State& state, TerminalId id, const std::string& why, bool planned) {
    TerminalLive& live = state.terminal_live[id];
    const TerminalRecord& terminal = state.terminals.at(id);
    const NodeId old = terminal.presentation;
    const auto at = state.live.find(old);
    const bool known = !planned && at != state.live.end() && at->second.evidence_at != kNever;
    const bool machine = at == state.live.end() || at->second.health != Health::healthy;
    supersede(state, live.incident);
    live.incident = open_incident(state, "presentation", id, {}, old,
                                  "desktop of " + terminal.name + (planned ? " is moved" : machine ? " lost its machine" : " stopped running"),
                                  known ? at->second.evidence_at : state.now, planned ? "asked" : "failed");
    if (planned) {
        mark(state, live.incident, "detected");
    } else if (known) {
        mark_at(state, live.incident, "detected", at->second.detected_at);
        if (at->second.proven_at != kNever) mark_at(state, live.incident, "proven", at->second.proven_at);
    } else {
        mark(state, live.incident, "detected");
    }
    const NodeRecord* node = state.nodes.find(old);
    change_incident(state, live.incident, [&](IncidentRecord& record) {
        record.evidence = why;
        record.proof = node != nullptr && node->proof != Proof::none ? node->proof_text
                                                                     : "none needed: tickets of older epochs are void";
        record.lost = "nothing: a desktop holds no state";
    });
}

void appoint(State& state, TerminalId id, NodeId next, const std::string& why, std::vector<std::string> alternatives,
             bool planned) {
    const TerminalRecord before = state.terminals.at(id);
    const bool hot = std::find(before.backups.begin(), before.backups.end(), next) != before.backups.end() &&
                     desktop_phase(state, next, id) == Phase::standby;
    TerminalLive& live = state.terminal_live[id];
    // A first start is no incident, nor is a start anew behind a release.
    if (before.presentation) record_loss(state, id, why, planned);
    const bool recorded = undecided(state, live.incident);
    if (recorded) mark(state, live.incident, "decided");
    else live.incident = {};
    take_node(state, next, Role::presentation, "presents " + before.name);
    const Separation separation = profile_of(state, before).separation;
    change_terminal(state, id, [&](TerminalRecord& record) {
        record.epoch = std::max(record.epoch + 1, record.epoch_floor);
        record.presentation = next;
        std::erase_if(record.backups, [&](NodeId backup) {
            return backup == next || too_close(state, backup, next, separation);
        });
    });
    live.hot = hot;
    live.desktop_lost = false;
    live.move_wanted = false;
    const std::string decision = describe(state, next) + (hot ? " was standing by, ready" : " was placed");
    change_incident(state, live.incident, [&](IncidentRecord& record) {
        record.decision = decision;
        record.alternatives = std::move(alternatives);
    });
    note(state, Note::Weight::notice, live.incident,
         "desktop of " + before.name + ": epoch " + std::to_string(state.terminals.at(id).epoch) + ": " + decision +
             (why.empty() ? "" : ", since " + why));
    if (recorded) act_durable(state, Echo{live.incident});
}

std::vector<std::string> explain_backups(const State& state, const TerminalRecord& terminal, NodeId chosen) {
    std::vector<std::string> lines;
    for (const NodeId backup : terminal.backups) {
        std::string line = describe(state, backup) + ": ";
        if (backup == chosen) line += "chosen, ";
        line += reachable(state, backup) ? "backup" : "backup that cannot be reached";
        lines.push_back(std::move(line));
    }
    return lines;
}

void plan_primary(State& state, TerminalId id) {
    const TerminalRecord& terminal = state.terminals.at(id);
    TerminalLive& live = state.terminal_live[id];
    std::string why = terminal.presentation ? why_lost(state, terminal, live) : "";
    const NodeRecord* present = state.nodes.find(terminal.presentation);
    const bool lost = !terminal.presentation || !why.empty();
    const bool wish = !lost && (live.move_wanted || draining(state, *present));
    if (!lost && !wish) return;
    if (wish) why = live.move_wanted ? "a move was asked for" : "its machine is being drained";
    if (const NodeId backup = best_backup(state, terminal, wish)) {
        if (wish) UNDERSTUDY_MARK("presentation.moves_on_wish");
        else UNDERSTUDY_MARK("presentation.promotes_a_backup");
        appoint(state, id, backup, why, explain_backups(state, terminal, backup), wish);
        return;
    }
    if (wish) return;  // backups are being prepared; the person keeps working meanwhile
    const Placement placement = place(state, request_for(state, terminal, {}));
    if (state.now < live.failed_until && live.failed_on.contains(placement.chosen)) {
        live.waiting = "your desktop did not start; it is tried again in a moment";
        return;
    }
    if (placement.chosen) {
        if (terminal.epoch != 0) UNDERSTUDY_MARK("presentation.placed_anew");
        appoint(state, id, placement.chosen, why, explain(state, placement), false);
        return;
    }
    if (terminal.presentation) {
        UNDERSTUDY_MARK("presentation.finds_no_place");
        record_loss(state, id, why, false);
        change_terminal(state, id, [](TerminalRecord& record) { record.presentation = {}; });
    }
    add_need(state, id, {Role::presentation, {}, {}});
    live.lacks = "your desktop";
}

void plan_backups(State& state, TerminalId id) {
    if (!state.terminals.at(id).presentation) return;
    const ProfileRecord& profile = profile_of(state, state.terminals.at(id));
    const TerminalRecord before = state.terminals.at(id);
    std::vector<NodeId> backups = before.backups;
    const TerminalLive& live = state.terminal_live[id];
    std::erase_if(backups, [&](NodeId backup) {
        return !backup_stays(state, backup, before.presentation, profile.separation) ||
               (live.failed_on.contains(backup) && state.now < live.failed_until);
    });
    // Somebody must be there to move to, even where nobody stands by usually.
    const bool leaving = draining(state, state.nodes.at(before.presentation));
    const std::size_t wanted = std::max<std::size_t>(profile.presentation_backups, leaving ? 1 : 0);
    if (backups.size() > wanted) backups.resize(wanted);
    if (backups != before.backups) {
        change_terminal(state, id, [&](TerminalRecord& record) { record.backups = backups; });
    }
    while (backups.size() < wanted) {
        const TerminalRecord& terminal = state.terminals.at(id);
        const Placement placement = place(state, request_for(state, terminal, terminal.presentation));
        if (!placement.chosen) {
            add_need(state, id, {Role::presentation, {},
                                 hosts_to_avoid(state, terminal.presentation, profile.flavour, profile.separation)});
            return;
        }
        take_node(state, placement.chosen, Role::presentation, "stands by for the desktop of " + terminal.name);
        backups.push_back(placement.chosen);
        change_terminal(state, id, [&](TerminalRecord& record) { record.backups = backups; });
    }
}

}  // namespace

bool backup_stays(const State& state, NodeId backup, NodeId primary, Separation separation) {
    const NodeRecord* node = state.nodes.find(backup);
    if (node == nullptr || node->proof != Proof::none || node->state != NodeState::serving) return false;
    if (draining(state, *node) || too_close(state, backup, primary, separation)) return false;
    const NodeLive& live = state.live.at(backup);
    return !live.given_up && live.alone_with.empty();
}

void take_node(State& state, NodeId id, Role role, std::string reason) {
    if (state.nodes.at(id).state == NodeState::serving) return;
    note_taken(state, id);
    NodeLive& live = state.live[id];  // whoever comes now waits for something: what was put off is tried
    live.failed_deploys.clear();
    live.retry_at = kNever;
    live.attempts = 0;
    change_node(state, id, [&](NodeRecord& record) {
        record.state = NodeState::serving;
        record.role = role;
        record.reason = std::move(reason);
        record.receipt.clear();
    });
}

std::string no_machine(const State& state, const TerminalRecord& terminal, const std::string& what) {
    const auto pool = state.pool_live.find(profile_of(state, terminal).flavour);
    if (pool == state.pool_live.end() || pool->second.reason.empty()) {
        return "no machine is free for " + what + "; one is being made";
    }
    return "no machine is free for " + what + ": " + pool->second.reason;
}

void add_need(State& state, TerminalId id, Need need) {
    std::vector<Need>& needs = state.terminal_live[id].needs;
    if (std::find(needs.begin(), needs.end(), need) == needs.end()) needs.push_back(std::move(need));
}

void plan_presentation(State& state, TerminalId id) {
    plan_primary(state, id);
    plan_backups(state, id);
}

void conclude_presentation(State& state, TerminalId id) {
    const TerminalRecord* terminal = state.terminals.find(id);
    if (terminal == nullptr || !terminal->presentation) return;
    const TerminalLive& live = state.terminal_live[id];
    const IncidentRecord* incident = state.incidents.find(live.incident);
    if (incident == nullptr || !incident->open || undecided(state, live.incident)) return;
    const bool seen = live.seen_epoch == terminal->epoch;
    if (live.client && !seen) return;
    const bool whole = shows_all_windows(state, *terminal);
    if (seen) mark(state, live.incident, whole ? "picture" : "shown");
    if (whole) close_incident(state, live.incident);
}

}  // namespace understudy::manager
