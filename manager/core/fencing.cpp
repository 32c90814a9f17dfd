// Switching a host off that cannot be asked any more: the last resort before waiting for leases, and the only
// proof for machines that nobody can destroy. A host is never switched off while somebody on it is alive.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

constexpr std::uint32_t kRetryDoublings = 4;

/// Does anybody wait for proof that something on this host does not run?
bool proof_is_owed(const State& state, NodeId id) {
    const NodeRecord& node = state.nodes.at(id);
    if (node.proof != Proof::none) return false;
    if (!state.live.at(id).given_up && node.state != NodeState::condemned) return false;
    // An instance is destroyed by its hypervisor; only when that does not answer is its host in question.
    return node.kind == NodeKind::enrolled || !state.host_live.at(node.host).reachable;
}

/// Heard, or may be heard in a moment.
bool may_be_alive(const State& state, NodeId id) {
    const NodeRecord& node = state.nodes.at(id);
    if (node.proof != Proof::none || node.state == NodeState::condemned) return false;
    if (node.state != NodeState::idle && node.state != NodeState::serving) return false;  // nobody's service yet
    if (UNDERSTUDY_PLANTED("fences_the_living")) return false;
    return !state.live.at(id).given_up || reached_by_witnesses(state, id);
}

void begin(State& state, HostId id, std::string text) {
    HostLive& live = state.host_live[id];
    if (live.fence) state.fences.erase(live.fence);
    live.fence = take_operation(state);
    live.fence_since = state.now;
    live.fence_error.clear();
    state.fences[live.fence] = id;
    note(state, Note::Weight::notice, {}, std::move(text));
    act_durable(state, FenceHost{live.fence, id});
}

}  // namespace

void consider_fencing(State& state, HostId id) {
    const HostRecord* host = state.hosts.find(id);
    if (host == nullptr || !host->can_fence) return;
    HostLive& live = state.host_live[id];
    if (live.fence && state.now < live.fence_since + state.settings.operation_patience) return;
    if (state.now < live.fence_retry_at) return;
    const auto is = [&](auto what) { return std::any_of(live.nodes.begin(), live.nodes.end(), [&](NodeId node) { return what(state, node); }); };
    if (!is(proof_is_owed) || is(may_be_alive)) return;
    UNDERSTUDY_MARK("fencing.begins");
    begin(state, id, "host " + host->name + " does not answer and nobody on it is heard: it is switched off");
}

void fence_by_hand(State& state, HostId id, const std::string& reason) {
    UNDERSTUDY_MARK("fencing.by_hand");
    const std::string why = "its host is switched off by an administrator" + (reason.empty() ? "" : ": " + reason);
    const std::set<NodeId> nodes = state.host_live[id].nodes;
    for (const NodeId node : nodes) {
        const NodeRecord& record = state.nodes.at(node);
        if (record.proof != Proof::none) continue;
        if (record.kind == NodeKind::instance) {
            condemn(state, node, why);
            continue;
        }
        // A machine enrolled by hand: cut off until its host is off, or could not be switched off.
        NodeLive& live = state.live[node];
        live.given_up = true;
        live.registration = 0;
        live.pending.clear();
        live.health = Health::silent;
        live.silent_since = state.fair();
        live.evidence = why;
        live.evidence_at = live.detected_at = state.now;
        refresh_node(state, node);
        queue_users(state, node);
        arm_node(state, node);
    }
    state.host_live[id].fence_by_hand = true;
    begin(state, id, "host " + state.hosts.at(id).name + " is switched off by an administrator" + (reason.empty() ? "" : ": " + reason));
}

bool on_fence_done(State& state, const OperationDone& event) {
    const auto fence = state.fences.find(event.operation);
    if (fence == state.fences.end()) return false;
    const HostId id = fence->second;
    state.fences.erase(fence);
    HostLive& live = state.host_live[id];
    live.fence = {};
    live.fence_by_hand = false;
    const std::set<NodeId> nodes = live.nodes;
    // Whoever is heard there shows that something else was switched off, or nothing.
    const auto alive = std::find_if(nodes.begin(), nodes.end(), [&](NodeId node) { return may_be_alive(state, node); });
    Result<> outcome = event.outcome.map([](const Done&) {});
    if (outcome && alive != nodes.end()) {
        outcome = failure(ErrorCode::failed, "the fence agent says that the host is off, and " + describe(state, *alive) + " on it is alive; it is not believed");
    }
    if (!outcome) {
        UNDERSTUDY_MARK("fencing.failed");
        const std::uint32_t doublings = std::min(live.fence_failures++, kRetryDoublings);
        live.fence_retry_at = state.now + state.settings.operation_retry * (1 << doublings);
        live.fence_error = outcome.error().message;
        note(state, Note::Weight::alarm, {}, "fencing failed: " + outcome.error().message + "; tried again while proof is owed, and leases are waited for");
        for (const NodeId node : nodes) arm_node(state, node);
        return true;
    }
    UNDERSTUDY_MARK("fencing.confirmed");
    live.fence_failures = 0;
    live.off = true;
    live.off_at = state.now;
    note(state, Note::Weight::notice, {}, "host " + state.hosts.at(id).name + " is off: its fence agent confirmed it");
    for (const NodeId node : nodes) {
        prove_down(state, node, Proof::host_fenced, "its host was switched off, confirmed", state.now);
    }
    return true;
}

}  // namespace understudy::manager
