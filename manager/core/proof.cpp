// Being sure: what counts as evidence that something does not run any more, and asking for it.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

const char* words_for(Proof proof) {
    switch (proof) {
        case Proof::none: return "no proof";
        case Proof::instance_ended: return "its process ended";
        case Proof::destroyed: return "its destruction was confirmed";
        case Proof::lease_expired: return "its lease expired";
        case Proof::host_fenced: return "its host was fenced";
        case Proof::agent_reported: return "its agent reported the end";
    }
    return "unknown";
}

}  // namespace

void prove_down(State& state, NodeId id, Proof proof, std::string text, TimePoint seen) {
    const NodeRecord* node = state.nodes.find(id);
    if (node == nullptr || node->proof != Proof::none) return;
    NodeLive& live = state.live[id];
    if (live.evidence_at == kNever) {
        live.evidence = text;
        live.evidence_at = std::min(seen, state.now);
        live.detected_at = state.now;
    }
    if (proof == Proof::instance_ended) UNDERSTUDY_MARK("proof.instance_ended");
    if (proof == Proof::destroyed) UNDERSTUDY_MARK("proof.destroyed");
    if (proof == Proof::lease_expired) UNDERSTUDY_MARK("proof.lease_expired");
    live.proven_at = state.now;
    live.health = Health::down;
    live.registration = 0;
    live.pending.clear();
    live.held_by_gate = false;
    live.alone_with.clear();
    state.gate.held.erase(id);
    const bool clean_up = node->kind == NodeKind::instance && node->state != NodeState::condemned;
    change_node(state, id, [&](NodeRecord& record) {
        record.proof = proof;
        record.proof_text = text;
        record.proof_wall_ms = state.wall_ms;
        if (clean_up) {
            record.state = NodeState::condemned;
            record.reason = text;
        }
    });
    const auto uses = state.uses.find(id);
    const bool awaited = uses != state.uses.end() && uses->second.count() != 0;
    if (awaited || clean_up) note(state, Note::Weight::notice, {}, describe(state, id) + " is proven down: " + words_for(proof) + " (" + text + ")");
    if (clean_up) start_destroy(state, id);
    queue_users(state, id);
}

void on_instance_ended(State& state, const InstanceEnded& event) {
    const NodeRecord* node = state.nodes.find(event.instance);
    if (node == nullptr || node->kind != NodeKind::instance) {
        ++state.oddities.unknown_instance;
        return;
    }
    // While it is being made or scrubbed, the end of a process is part of that work.
    if (node->state == NodeState::creating || node->state == NodeState::scrubbing) return;
    if (node->state == NodeState::booting && event.by_itself && !node->adopted && node->proof == Proof::none) {
        UNDERSTUDY_MARK("provisioning.ended_while_booting");
        creation_failed(state, event.instance, describe(state, event.instance) + " ended before its agent registered: " + event.cause);
    }
    prove_down(state, event.instance, Proof::instance_ended, event.cause, event.seen);
}

void condemn(State& state, NodeId id, std::string reason) {
    const NodeRecord* node = state.nodes.find(id);
    if (node == nullptr || node->kind != NodeKind::instance || node->state == NodeState::condemned) return;
    NodeLive& live = state.live[id];
    live.given_up = true;
    live.alone_with.clear();
    live.registration = 0;
    live.pending.clear();
    live.boot_deadline = kNever;
    if (live.evidence_at == kNever) {
        live.evidence = reason;
        live.evidence_at = live.detected_at = state.now;
    }
    if (live.health != Health::down) live.health = Health::silent;
    note(state, Note::Weight::notice, {}, describe(state, id) + " is to be destroyed: " + reason);
    change_node(state, id, [&](NodeRecord& record) {
        record.state = NodeState::condemned;
        record.reason = std::move(reason);
    });
    start_destroy(state, id);
    queue_users(state, id);
    arm_node(state, id);
}

void prove_session_ended(State& state, SessionId id, Ending ending, std::string text) {
    const SessionRecord* session = state.sessions.find(id);
    if (session == nullptr) return;
    SessionLive& live = state.session_live[id];
    if (live.proof != Proof::none) return;
    UNDERSTUDY_MARK("proof.agent_reported");
    live.proof = Proof::agent_reported;
    live.proof_text = std::move(text);
    live.proven_at = state.now;
    live.ending = ending;
    queue_terminal(state, session->terminal);
}

}  // namespace understudy::manager
