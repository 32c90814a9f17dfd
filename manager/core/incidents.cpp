// The flight recorder: what failed, when each phase was reached, what was decided and what was lost.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kKept = 200;

bool reached(const IncidentRecord& incident, const char* phase) {
    return std::any_of(incident.phases.begin(), incident.phases.end(), [&](const PhaseMark& mark) { return mark.name == phase; });
}

/// How it ended: somebody saw a picture again, it failed anew before, its node was heard again, or nobody sat there.
const char* outcome_of(const IncidentRecord& incident) {
    const auto has = [&](const char* phase) { return reached(incident, phase); };
    return has("superseded") ? "superseded" : has("picture") ? "seen" : has("returned") ? "returned" : "unwatched";
}

/// Failures that follow each other must not keep pools empty: between two rests there is a time as long.
void let_refilling_rest(State& state) {
    if (state.now < state.refill_from + state.settings.refill_rest) return;
    state.refill_from = state.now + state.settings.refill_rest;
}

}  // namespace

void Figures::add(const IncidentRecord& incident) {
    ++failovers[{incident.kind, outcome_of(incident)}];
    std::int64_t before_us = 0;
    for (const PhaseMark& phase : incident.phases) {
        if (phase.name == "superseded") return;  // the rest of the story is another incident's
        if (&phase != &incident.phases.front()) phases[{incident.kind, phase.name}].add(std::max<std::int64_t>(phase.at_us - before_us, 0));
        before_us = phase.at_us;
    }
    phases[{incident.kind, "whole"}].add(before_us);
}

IncidentId open_incident(State& state, std::string kind, TerminalId terminal, SessionId session, NodeId node,
                         std::string title, TimePoint first, const char* first_phase) {
    const IncidentId id(take_id(state));
    IncidentRecord& record = state.incidents.edit(id);
    record.id = id;
    record.kind = std::move(kind);
    record.terminal = terminal;
    record.session = session;
    record.node = node;
    record.title = std::move(title);
    record.opened_wall_ms = state.wall_ms;
    record.phases.push_back({first_phase, 0});
    state.incident_start[id] = first;
    let_refilling_rest(state);
    while (state.incidents.rows().size() > kKept) {
        const IncidentId oldest = state.incidents.rows().begin()->first;
        state.incidents.erase(oldest);
        state.incident_start.erase(oldest);
    }
    return id;
}

void mark(State& state, IncidentId id, const char* phase) { mark_at(state, id, phase, state.now); }

void mark_at(State& state, IncidentId id, const char* phase, TimePoint at) {
    const IncidentRecord* record = state.incidents.find(id);
    const auto start = state.incident_start.find(id);
    if (record == nullptr || start == state.incident_start.end()) return;  // of an earlier incarnation
    for (const PhaseMark& known : record->phases) {
        if (known.name == phase) return;
    }
    state.incidents.edit(id).phases.push_back({phase, (at - start->second).count()});
}

void supersede(State& state, IncidentId id) {
    const IncidentRecord* record = state.incidents.find(id);
    if (record == nullptr || !record->open) return;
    mark(state, id, "superseded");
    close_incident(state, id);
}

bool undecided(const State& state, IncidentId id) {
    const IncidentRecord* record = state.incidents.find(id);
    return record != nullptr && record->open && !reached(*record, "decided");
}

bool marked(const State& state, IncidentId id, const char* phase) {
    const IncidentRecord* record = state.incidents.find(id);
    return record != nullptr && reached(*record, phase);
}

void close_incident(State& state, IncidentId id) {
    const IncidentRecord* record = state.incidents.find(id);
    if (record == nullptr || !record->open) return;
    state.incidents.edit(id).open = false;
    state.figures.add(*record);
}

void note(State& state, Note::Weight weight, IncidentId incident, std::string text) {
    act_now(state, Note{weight, incident, std::move(text)});
}

}  // namespace understudy::manager
