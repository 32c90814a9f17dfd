// Witnesses: who can still reach a node that the manager does not hear? If somebody can, the fault is in the path
// and not in the node: its work goes on, so it is neither replaced on suspicion nor destroyed for its silence, as
// long as its lease can last. When the lease is over it has frozen itself, witnesses or not, and is given up.
// A witness who does not reach it shows nothing, and changes nothing.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::uint32_t kRequestsPerTick = 64;
constexpr Duration kPatience{500'000};  ///< of a witness; see nodes/agent/witness.hpp

bool can_witness(const State& state, NodeId witness, NodeId suspect) {
    if (witness == suspect) return false;
    const auto live = state.live.find(witness);
    return live != state.live.end() && live->second.registration != 0 && live->second.health == Health::healthy;
}

/// Those who work with it first: it is their path that counts. Then neighbours, so that somebody is asked.
std::vector<NodeId> choose_witnesses(const State& state, NodeId suspect) {
    std::vector<NodeId> chosen;
    const auto add = [&](NodeId node) {
        if (chosen.size() >= state.settings.witnesses || !can_witness(state, node, suspect)) return;
        if (std::find(chosen.begin(), chosen.end(), node) == chosen.end()) chosen.push_back(node);
    };
    const auto add_all = [&](NodeId primary, const std::vector<NodeId>& backups) {
        add(primary);
        for (const NodeId backup : backups) add(backup);
    };
    if (const auto uses = state.uses.find(suspect); uses != state.uses.end()) {
        for (const auto& [id, duty] : uses->second.desktops) {
            const TerminalRecord& terminal = state.terminals.at(id);
            for (const SessionId session : terminal.sessions) add(state.sessions.at(session).primary);
            add_all(terminal.presentation, terminal.backups);
        }
        for (const auto& [id, duty] : uses->second.sessions) {
            const SessionRecord& session = state.sessions.at(id);
            add(state.terminals.at(session.terminal).presentation);
            add_all(session.primary, session.backups);
        }
    }
    std::uint32_t looked = 0;
    for (const auto* open : {&state.open_presentation, &state.open_execution}) {
        for (const NodeId node : *open) {
            if (chosen.size() >= state.settings.witnesses || ++looked > 2 * state.settings.witnesses) break;
            add(node);
        }
    }
    return chosen;
}

}  // namespace

bool reached_by_witnesses(const State& state, NodeId id) {
    const auto live = state.live.find(id);
    return live != state.live.end() && live->second.reached_until != kNever && state.fair() < live->second.reached_until;
}

void ask_witnesses(State& state, NodeId id, NodeLive& live) {
    const bool asks = (live.health == Health::suspect || live.health == Health::silent) && !live.given_up && !live.held_by_gate;
    if (!asks) return;
    if (live.witness_asked != kNever && state.fair() - live.witness_asked < state.settings.witness_interval) return;
    live.witness_asked = state.fair();
    if (state.gate.closed) return;  // it is the manager that is in doubt
    const std::vector<NodeId> witnesses = choose_witnesses(state, id);
    if (witnesses.empty() || state.witness_requests + witnesses.size() > kRequestsPerTick) return;
    UNDERSTUDY_MARK("witnesses.asked");
    state.witness_requests += static_cast<std::uint32_t>(witnesses.size());
    live.witness_request = ++state.next_witness_request;
    const Endpoint& door = state.nodes.at(id).door;
    for (const NodeId witness : witnesses) {
        act_now(state, SendToNode{witness, WitnessRequest{state.live[witness].registration, live.witness_request, id, door}});
    }
}

void on_witness_report(State& state, NodeId from, const WitnessReport& report) {
    const auto found = state.live.find(report.suspect);
    if (found == state.live.end() || report.request == 0 || found->second.witness_request != report.request) {
        ++state.oddities.stale_status;
        return;
    }
    if (!report.reached) return;
    NodeLive& live = found->second;
    live.sign = state.fair();
    const bool troubled = live.health == Health::suspect || live.health == Health::silent;
    if (!troubled || live.given_up) return;
    const bool news = !reached_by_witnesses(state, report.suspect);
    live.reached_until = state.fair() + 2 * state.settings.witness_interval + kPatience;
    if (news) {
        UNDERSTUDY_MARK("witnesses.reached");
        const std::string says = describe(state, from) + " reaches it (" + std::to_string(report.round_trip_us) + " us)";
        if (live.evidence.find("reaches it") == std::string::npos) live.evidence += "; " + says + ": the fault is in its path to the manager";
        note(state, Note::Weight::notice, {}, describe(state, report.suspect) + " is not heard, but " + says +
                                                  ": the fault is in the path; it keeps its work while its lease lasts");
    }
    arm_node(state, report.suspect);
}

}  // namespace understudy::manager
