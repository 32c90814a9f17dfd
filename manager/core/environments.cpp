// Environments: bundles that machines need before they can run an application. A bundle is deployed through
// the hypervisor when somebody is about to need it; a session is told to its node only when it is there. After a
// restart of the manager nothing is believed: it is deployed again, which costs nothing where it is.
#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

/// The bundles that this machine should have, in a fixed order, without what is confirmed.
std::vector<const EnvironmentRecord*> lacking(const State& state, NodeId id) {
    const NodeRecord& node = state.nodes.at(id);
    const NodeLive& live = state.live.at(id);
    std::set<std::string> names;
    for (const auto& [session, duty] : state.uses.at(id).sessions) {
        if (const SessionRecord* record = state.sessions.find(session)) names.insert(record->application.environment);
    }
    std::vector<const EnvironmentRecord*> missing;
    const auto want = [&](const std::string& name) {
        const EnvironmentRecord* environment = name.empty() ? nullptr : state.environments.find(name);
        if (environment != nullptr && !live.environments.contains(environment->digest)) missing.push_back(environment);
    };
    for (const std::string& name : names) want(name);  // what somebody waits for comes first
    const PoolRecord* pool = state.pools.find(node.flavour);
    if (pool != nullptr && node.state == NodeState::idle && !names.contains(pool->environment)) want(pool->environment);
    return missing;
}

std::string name_of(const State& state, const std::string& digest) {
    for (const auto& [name, environment] : state.environments.rows()) {
        if (environment.digest == digest) return name;
    }
    return digest;
}

constexpr std::uint32_t kDoublings = 4;

/// A session that was never told to this node cannot run there: that is the proof it can be appointed elsewhere.
void tell_session(State& state, NodeId id, const SessionRecord& session, Duty duty, const std::string& why) {
    SessionLive& live = state.session_live[session.id];
    const bool told = duty == Duty::primary && live.proof != Proof::none;  // the machine alone tried again meanwhile
    if (live.failed_on.contains(id) && state.now < live.failed_until) return;
    if (told || !waits_for_environment(state, id, session) || state.live.at(id).sent_sessions.contains(session.id)) return;
    live.failed_on.insert(id);
    live.failed_until = state.now + state.settings.operation_retry;
    live.deploy_again = state.now + state.settings.operation_retry * (1 << std::min(live.deploy_failures, kDoublings));
    ++live.deploy_failures;
    live.deploy_failure = why;
    state.timers.arm({TimerKind::session, session.id.value}, live.failed_until);
    if (duty == Duty::primary && session.primary == id) prove_session_ended(state, session.id, Ending::none, why);
    queue_terminal(state, session.terminal);
}

/// Its hypervisor does not answer: nothing is asked of it, and who waits for something is sent elsewhere.
void send_away(State& state, NodeId id, const std::string& words) {
    const NodeUse uses = state.uses[id];
    for (const auto& [session, duty] : uses.sessions) {
        const SessionRecord* record = state.sessions.find(session);
        if (record == nullptr || !waits_for_environment(state, id, *record)) continue;
        UNDERSTUDY_MARK("environments.nobody_to_deploy");
        tell_session(state, id, *record, duty,
                     "environment " + record->application.environment + " could not be deployed on " + describe(state, id) + ": " + words);
    }
}

/// What is tried next: first what did not fail lately, so that one bundle hides no other; what failed when its time has come.
const EnvironmentRecord* next_of(NodeLive& live, const std::vector<const EnvironmentRecord*>& missing, TimePoint now) {
    const auto untried = std::find_if(missing.begin(), missing.end(), [&](const auto* one) { return !live.failed_deploys.contains(one->digest); });
    if (untried != missing.end()) return *untried;
    if (missing.empty() || (live.retry_at != kNever && now < live.retry_at)) return nullptr;
    live.failed_deploys.clear();
    return missing.front();
}

}  // namespace

bool has_environment(const State& state, NodeId id, const std::string& environment) {
    if (environment.empty()) return true;
    const EnvironmentRecord* record = state.environments.find(environment);
    const auto live = state.live.find(id);
    return record != nullptr && live != state.live.end() && live->second.environments.contains(record->digest);
}

bool waits_for_environment(const State& state, NodeId id, const SessionRecord& session) {
    if (has_environment(state, id, session.application.environment)) return false;
    if (state.environments.find(session.application.environment) == nullptr) return false;  // the agent will say so
    if (state.nodes.at(id).kind != NodeKind::instance || UNDERSTUDY_PLANTED("environment_not_awaited")) return false;
    // Whoever has something of the session has had what it needs.
    const std::map<SessionId, SessionStatus>& reported = state.live.at(id).sessions;
    const auto status = reported.find(session.id);
    return status == reported.end() || status->second.phase == Phase::released;
}

void plan_deployment(State& state, NodeId id) {
    const NodeRecord* node = state.nodes.find(id);
    if (node == nullptr || node->kind != NodeKind::instance || node->proof != Proof::none) return;
    if (node->state != NodeState::idle && node->state != NodeState::serving) return;
    NodeLive& live = state.live[id];
    if (live.registration == 0 || live.operation) return;
    if (const HostLive& host = state.host_live.at(node->host); !host.reachable) {
        send_away(state, id, host.last_error);
        return;
    }
    const EnvironmentRecord* next = next_of(live, lacking(state, id), state.now);
    if (next == nullptr) return;
    UNDERSTUDY_MARK("environments.deploys");
    begin_operation(state, id);
    live.deploying = next->digest;
    act_durable(state, DeployEnvironment{live.operation, node->host, id, next->name, live.deploying});
}

void on_deployed(State& state, NodeId id) {
    NodeLive& live = state.live[id];
    const std::string digest = std::exchange(live.deploying, {});
    live.environments.insert(digest);
    live.failed_deploys.erase(digest);
    live.attempts = 0;
    live.last_error.clear();
    const std::vector<std::string>& known = state.nodes.at(id).environments;
    if (std::find(known.begin(), known.end(), digest) == known.end()) {
        change_node(state, id, [&](NodeRecord& record) { record.environments.push_back(digest); });
    }
    for (const auto& [session, duty] : state.uses[id].sessions) {
        const SessionRecord* record = state.sessions.find(session);
        if (record == nullptr || !has_environment(state, id, record->application.environment)) continue;
        SessionLive& waiting = state.session_live[session];
        if (waiting.deploy_again == kNever) continue;
        waiting.deploy_again = kNever;
        waiting.deploy_failures = 0;
        waiting.failed_on.erase(id);
    }
    queue_users(state, id);
    plan_deployment(state, id);
}

void on_deploy_failed(State& state, NodeId id, const Error& error) {
    UNDERSTUDY_MARK("environments.deploy_failed");
    NodeLive& live = state.live[id];
    const std::string environment = name_of(state, live.deploying);
    live.failed_deploys.insert(std::exchange(live.deploying, {}));
    // What nobody waits for is tried less and less often.
    const bool waited_for = state.nodes.at(id).state == NodeState::serving;
    live.retry_at = state.now + state.settings.operation_retry * (waited_for ? 1 : 1 << std::min(live.attempts - 1, kDoublings));
    const std::string why = "environment " + environment + " could not be deployed on " + describe(state, id) + ": " + error.message;
    note(state, Note::Weight::notice, {}, why);
    arm_node(state, id);
    const NodeUse uses = state.uses[id];
    for (const auto& [session, duty] : uses.sessions) {
        const SessionRecord* record = state.sessions.find(session);
        if (record != nullptr && record->application.environment == environment) tell_session(state, id, *record, duty, why);
    }
    plan_deployment(state, id);
}

}  // namespace understudy::manager
