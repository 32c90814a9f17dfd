// Who has the memory of a session: the node that runs it, and every node that holds a checkpoint of it. The last node
// that has it is not destroyed for being silent alone, because it may only be slow, and what it knows is nowhere else.
// Its lease runs out and it freezes itself; it is waited for until it is heard, until another node has that memory as
// well, or until `backup_grace` is over. Evidence that it does not run ends the wait at once.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

/// A failure of it ends in a fresh start, whatever is left of it.
bool starts_afresh_anyway(const State& state, const SessionRecord& session) {
    if (session.protection != Protection::checkpoint || session.epoch == 0) return true;
    const auto live = state.session_live.find(session.id);
    if (live == state.session_live.end()) return false;
    return live->second.ending == Ending::closed || live->second.crashes.size() >= state.settings.crash_limit;
}

/// Is it the primary of the present epoch, and nothing says that the session ended there?
bool may_run(const State& state, const SessionRecord& session, NodeId node) {
    if (session.primary != node) return false;
    const auto live = state.session_live.find(session.id);
    return live == state.session_live.end() || live->second.proof == Proof::none;
}

/// Does it have the memory, or may it have it? A node that has told this manager nothing yet may.
bool may_have_memory(const State& state, const SessionRecord& session, NodeId id) {
    const NodeLive& live = state.live.at(id);
    if (live.incarnation == 0) return true;
    const auto status = live.sessions.find(session.id);
    const bool reported = status != live.sessions.end() && status->second.epoch == session.epoch;
    if (reported && may_run(state, session, id) && (status->second.phase == Phase::running || status->second.phase == Phase::frozen)) return true;
    const auto session_live = state.session_live.find(session.id);
    if (session_live != state.session_live.end() && session_live->second.failed_on.contains(id)) return false;
    return newest_checkpoint(state, id, session.id).id.sequence != 0;
}

/// Does it have the memory for certain, and could the session go on there?
bool has_memory(const State& state, const SessionRecord& session, NodeId id) {
    const auto live = state.live.find(id);
    if (live == state.live.end() || live->second.registration == 0 || live->second.health != Health::healthy) return false;
    const NodeRecord& node = state.nodes.at(id);
    if (node.proof != Proof::none || node.state != NodeState::serving) return false;
    if (!may_run(state, session, id) && draining(state, node)) return false;
    return may_have_memory(state, session, id);
}

/// Until when, on the fair clock, a node that was heard then is waited for.
TimePoint wait_ends(const State& state, const NodeLive& live) {
    return live.heard + state.settings.silence + state.settings.backup_grace;
}

/// Not heard, and nothing says that it does not run.
bool is_awaited(const State& state, NodeId id) {
    const NodeRecord* node = state.nodes.find(id);
    if (node == nullptr || node->proof != Proof::none || node->state != NodeState::serving || reachable(state, id)) return false;
    return !state.live.at(id).given_up;
}

std::vector<SessionId> alone_with(const State& state, NodeId id) {
    std::vector<SessionId> alone;
    const auto uses = state.uses.find(id);
    if (uses == state.uses.end()) return alone;
    for (const auto& [session_id, duty] : uses->second.sessions) {
        const SessionRecord& session = state.sessions.at(session_id);
        if (starts_afresh_anyway(state, session) || !may_have_memory(state, session, id)) continue;
        const std::vector<NodeId> nodes = members(session);
        const bool elsewhere = std::any_of(nodes.begin(), nodes.end(), [&](NodeId other) { return other != id && has_memory(state, session, other); });
        if (!elsewhere) alone.push_back(session_id);
    }
    return alone;
}

}  // namespace

std::vector<NodeId> members(const SessionRecord& session) {
    std::vector<NodeId> nodes = session.backups;
    if (session.primary) nodes.push_back(session.primary);  // alive when only the session ended
    return nodes;
}

CheckpointInfo newest_checkpoint(const State& state, NodeId node, SessionId session) {
    const auto live = state.live.find(node);
    if (live == state.live.end()) return {};
    const auto status = live->second.sessions.find(session);
    if (status == live->second.sessions.end() || status->second.phase == Phase::released) return {};
    const SessionRecord* record = state.sessions.find(session);
    CheckpointInfo newest;
    for (const CheckpointInfo& info : status->second.checkpoints) {
        if (record != nullptr && info.id.epoch < record->fresh_since) continue;
        if (info.id > newest.id) newest = info;
    }
    return newest;
}

std::string seconds_text(std::int64_t ms) {
    const std::int64_t tenths = std::max<std::int64_t>(ms, 0) / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

std::string titles_of(const State& state, const std::vector<SessionId>& sessions) {
    std::string text;
    for (const SessionId id : sessions) {
        if (const SessionRecord* session = state.sessions.find(id)) text += (text.empty() ? "" : ", ") + session->application.title;
    }
    return text;
}

bool waits_for_last_memory(State& state, NodeId id, NodeLive& live) {
    std::vector<SessionId> alone = alone_with(state, id);
    if (state.fair() >= wait_ends(state, live) || UNDERSTUDY_PLANTED("last_memory_destroyed")) alone.clear();
    const bool begins = live.alone_with.empty() && !alone.empty();
    if (alone != live.alone_with) {
        live.alone_with = std::move(alone);
        queue_users(state, id);
    }
    if (live.alone_with.empty()) return false;
    UNDERSTUDY_MARK("memory.last_holder_is_waited_for");
    if (begins) {
        const std::string what = "it alone has the memory of " + titles_of(state, live.alone_with);
        live.evidence += "; " + what;
        note(state, Note::Weight::notice, {}, describe(state, id) + " has been silent for " + std::to_string(to_ms(state.fair() - live.heard)) + " ms; " + what +
                                                  ": it is waited for, up to " + seconds_text(to_ms(wait_ends(state, live) - state.fair())));
    }
    if (state.now >= live.lease_until) {
        // It has frozen itself. What others have the memory of goes on there; the rest thaws when it registers anew.
        live.registration = 0;
        live.pending.clear();
        queue_users(state, id);
    }
    return true;
}

TimePoint waits_for_last_memory_until(const State& state, const NodeLive& live) { return wait_ends(state, live) + state.stalled; }

bool has_last_memory(const State& state, NodeId id, SessionId session) {
    const auto live = state.live.find(id);
    if (live == state.live.end()) return false;
    return std::find(live->second.alone_with.begin(), live->second.alone_with.end(), session) != live->second.alone_with.end();
}

bool frozen_with_last_memory(const State& state, NodeId id) {
    const auto live = state.live.find(id);
    return live != state.live.end() && !live->second.alone_with.empty() && state.now >= live->second.lease_until;
}

NodeId awaited_holder(const State& state, const SessionRecord& session) {
    NodeId holder;
    if (starts_afresh_anyway(state, session)) return holder;
    for (const NodeId id : members(session)) {
        if (!is_awaited(state, id) || !may_have_memory(state, session, id)) continue;
        if (state.fair() >= wait_ends(state, state.live.at(id))) continue;
        if (!holder || state.live.at(id).heard > state.live.at(holder).heard) holder = id;
    }
    return holder;
}

}  // namespace understudy::manager
