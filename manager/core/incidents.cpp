// The flight recorder: what failed, when each phase was reached, what was decided and what was lost.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kKept = 200;

}  // namespace

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
    return record != nullptr && record->open &&
           std::none_of(record->phases.begin(), record->phases.end(), [](const PhaseMark& phase) { return phase.name == "decided"; });
}

void close_incident(State& state, IncidentId id) {
    const IncidentRecord* record = state.incidents.find(id);
    if (record != nullptr && record->open) state.incidents.edit(id).open = false;
}

void note(State& state, Note::Weight weight, IncidentId incident, std::string text) {
    act_now(state, Note{weight, incident, std::move(text)});
}

}  // namespace understudy::manager
