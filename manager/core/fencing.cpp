// Switching a host off that cannot be asked any more: the last resort before waiting for leases, and the only
// proof for machines that nobody can destroy. A host is never switched off for its silence while somebody on it is
// alive. Whoever wanted it off, its agent's word counts only once nobody there has been heard for `silence`: an agent
// may have switched another machine off, or nothing. From then on the host is on record as off, until it shows life.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

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
    live.said_off = kNever;
    live.fence_error.clear();
    state.fences[live.fence] = id;
    note(state, Note::Weight::notice, {}, std::move(text));
    act_durable(state, FenceHost{live.fence, id});
}

void set_power(State& state, HostId id, Power power) {
    if (state.hosts.at(id).power != power) state.hosts.edit(id).power = power;
}

/// Whom on this host somebody has heard of last; nobody where nobody lives there.
NodeId last_heard(const State& state, HostId id) {
    NodeId last;
    for (const NodeId node : state.host_live.at(id).nodes) {
        if (!last || state.live.at(node).sign > state.live.at(last).sign) last = node;
    }
    return last;
}

void failed(State& state, HostId id, std::string why) {
    UNDERSTUDY_MARK("fencing.failed");
    HostLive& live = state.host_live[id];
    live.fence = {};
    live.said_off = kNever;
    const std::uint32_t doublings = std::min(live.fence_failures++, kRetryDoublings);
    live.fence_retry_at = state.now + state.settings.operation_retry * (1 << doublings);
    live.fence_error = why;
    set_power(state, id, Power::on);  // whoever was cut off for it may come back
    note(state, Note::Weight::alarm, {}, "fencing failed: " + why + "; tried again while proof is owed, and leases are waited for");
    for (const NodeId node : live.nodes) arm_node(state, node);
}

void confirmed(State& state, HostId id) {
    UNDERSTUDY_MARK("fencing.confirmed");
    HostLive& live = state.host_live[id];
    live.fence = {};
    live.said_off = kNever;
    live.fence_failures = 0;
    live.off_at = state.now;
    set_power(state, id, Power::off);
    state.pools_dirty = true;
    note(state, Note::Weight::notice, {}, "host " + state.hosts.at(id).name + " is off: its fence agent confirmed it, and nobody on it is heard");
    const std::set<NodeId> nodes = live.nodes;
    for (const NodeId node : nodes) prove_down(state, node, Proof::host_fenced, "its host was switched off, confirmed", state.now);
}

/// Its agent has said "off". One sign may have been under way; whoever is still heard `silence` later is alive.
void weigh_word(State& state, HostId id) {
    HostLive& live = state.host_live[id];
    const NodeId node = last_heard(state, id);
    const bool believed = !node || UNDERSTUDY_PLANTED("fence_agent_believed");
    const TimePoint sign = believed ? TimePoint{} : state.live.at(node).sign;
    const TimePoint silent_at = sign + state.settings.silence;
    if (!believed && sign > live.said_off + state.settings.silence) {
        UNDERSTUDY_MARK("fencing.not_believed");
        ++state.oddities.fence_disbelieved;
        failed(state, id, "the fence agent says that host " + state.hosts.at(id).name + " is off, and " + describe(state, node) + " on it was heard " +
                              std::to_string(to_ms(sign - live.said_off)) + " ms later: it is not believed");
    } else if (believed || state.fair() >= silent_at) {
        confirmed(state, id);
    } else {
        UNDERSTUDY_MARK("fencing.waits_for_silence");
        state.timers.arm({TimerKind::fence, id.value}, silent_at + state.stalled);
    }
}

}  // namespace

void consider_fencing(State& state, HostId id) {
    const HostRecord* host = state.hosts.find(id);
    if (host == nullptr || !host->can_fence) return;
    HostLive& live = state.host_live[id];
    if (host->power == Power::off) {  // nobody there has been heard since
        UNDERSTUDY_MARK("fencing.off_already");
        const std::set<NodeId> nodes = live.nodes;
        for (const NodeId node : nodes) {
            if (proof_is_owed(state, node)) prove_down(state, node, Proof::host_fenced, "its host is switched off, and nobody on it was heard since", state.now);
        }
        return;
    }
    if (live.fence && state.now < live.fence_since + state.settings.operation_patience) return;
    if (state.now < live.fence_retry_at) return;
    // After lost records nobody knows yet who works there; leases are proof enough meanwhile.
    if (rebuilding(state) || host->adopts) return;
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
        live.evidence = why;
        live.evidence_at = live.detected_at = state.now;
        refresh_node(state, node);
        queue_users(state, node);
        arm_node(state, node);
    }
    if (!UNDERSTUDY_PLANTED("wish_to_switch_off_forgotten")) set_power(state, id, Power::going_off);
    begin(state, id, "host " + state.hosts.at(id).name + " is switched off by an administrator" + (reason.empty() ? "" : ": " + reason));
}

void resume_fencing(State& state) {
    std::vector<HostId> wanted;
    for (const auto& [id, host] : state.hosts.rows()) {
        if (host.power == Power::going_off) wanted.push_back(id);
    }
    if (!wanted.empty()) UNDERSTUDY_MARK("fencing.resumed");
    for (const HostId id : wanted) fence_by_hand(state, id, "asked for before the manager restarted");
}

bool on_fence_done(State& state, const OperationDone& event) {
    const auto fence = state.fences.find(event.operation);
    if (fence == state.fences.end()) return false;
    const HostId id = fence->second;
    state.fences.erase(fence);
    if (state.hosts.find(id) == nullptr) return true;
    if (!event.outcome) {
        ++state.oddities.fencing_failed;
        failed(state, id, event.outcome.error().message);
        return true;
    }
    state.host_live[id].said_off = state.fair();
    weigh_word(state, id);
    return true;
}

void on_fence_timer(State& state, HostId id) {
    if (state.hosts.find(id) != nullptr && state.host_live[id].said_off != kNever) weigh_word(state, id);
}

void shows_life(State& state, HostId id, TimePoint asked) {
    if (state.hosts.at(id).power != Power::off || asked < state.host_live[id].off_at || UNDERSTUDY_PLANTED("off_for_ever")) return;
    UNDERSTUDY_MARK("fencing.on_again");
    state.pools_dirty = true;
    set_power(state, id, Power::on);
    note(state, Note::Weight::notice, {}, "host " + state.hosts.at(id).name + " is on again");
}

}  // namespace understudy::manager
