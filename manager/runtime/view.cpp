// See view.hpp.
#include "manager/runtime/view.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "manager/core/demand.hpp"
#include "manager/core/open_hosts.hpp"
#include "protocol/limits.hpp"

namespace understudy::manager {
namespace {

using Json = nlohmann::ordered_json;

/// Room for the rest of the message around the text.
constexpr std::size_t kHostsShown = 12;  ///< per pool
constexpr std::size_t kMostBytes = limits::kStringBytes - 4096;

const char* word(Health health) {
    constexpr std::array words{"unknown", "healthy", "suspect", "silent", "down"};
    return words.at(static_cast<std::size_t>(health));
}

const char* word(Role role) {
    constexpr std::array words{"none", "execution", "presentation"};
    return words.at(static_cast<std::size_t>(role));
}

const char* word(Proof proof) {
    constexpr std::array words{"none", "instance ended", "destroyed", "lease expired", "host fenced", "agent reported"};
    return words.at(static_cast<std::size_t>(proof));
}

const char* word(Phase phase) {
    constexpr std::array words{"preparing", "running", "standby", "frozen", "ended", "failed", "released"};
    const auto at = static_cast<std::size_t>(phase);
    return at < words.size() ? words[at] : "unknown";
}

const char* word(Protection protection) { return protection == Protection::checkpoint ? "checkpoint" : "restart"; }

std::string text_of(const Endpoint& endpoint) {
    return endpoint.port == 0 ? std::string() : endpoint.host + ":" + std::to_string(endpoint.port);
}

template <class Key, class Value, class Map = std::unordered_map<Key, Value>>
const Value* look_up(const Map& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
}

class Viewer {
  public:
    Viewer(const State& state, const ViewExtras& extras) : state_(state), extras_(extras) {}

    Json whole(std::size_t incidents) const {
        Json view;
        view["manager"] = manager();
        view["figures"] = figures();
        view["hosts"] = Json::array();
        for (const auto& [id, host] : state_.hosts.rows()) view["hosts"].push_back(host_json(id, host));
        view["nodes"] = Json::array();
        for (const auto& [id, node] : state_.nodes.rows()) view["nodes"].push_back(node_json(id, node));
        view["terminals"] = Json::array();
        for (const auto& [id, terminal] : state_.terminals.rows()) view["terminals"].push_back(terminal_json(id, terminal));
        view["sessions"] = Json::array();
        for (const auto& [id, session] : state_.sessions.rows()) view["sessions"].push_back(session_json(id, session));
        view["pools"] = Json::array();
        for (const auto& [name, pool] : state_.pools.rows()) view["pools"].push_back(pool_json(pool));
        view["environments"] = Json::array();
        for (const auto& [name, environment] : state_.environments.rows()) view["environments"].push_back(environment_json(environment));
        view["incidents"] = Json::array();
        const auto& rows = state_.incidents.rows();
        for (auto row = rows.rbegin(); row != rows.rend() && view["incidents"].size() < incidents; ++row) {
            view["incidents"].push_back(incident(row->second));
        }
        return view;
    }

    static Json incident(const IncidentRecord& record) {
        Json phases = Json::array();
        for (const PhaseMark& phase : record.phases) phases.push_back({{"name", phase.name}, {"at_us", phase.at_us}});
        return {{"id", record.id.value}, {"kind", record.kind}, {"node", record.node.value}, {"session", record.session.value},
                {"terminal", record.terminal.value}, {"title", record.title}, {"open", record.open},
                {"opened_wall_ms", record.opened_wall_ms}, {"phases", std::move(phases)}, {"evidence", record.evidence},
                {"proof", record.proof}, {"decision", record.decision}, {"alternatives", record.alternatives}, {"lost", record.lost}};
    }

  private:
    Json manager() const {
        Json alarms = Json::array();
        for (const std::string& alarm : state_.alarms) alarms.push_back(alarm);
        for (const std::string& alarm : extras_.alarms) alarms.push_back(alarm);
        for (const auto& [id, host] : state_.host_live) {
            const HostRecord* record = state_.hosts.find(id);
            if (record != nullptr && !host.fence_error.empty()) alarms.push_back("host " + record->name + " could not be switched off: " + host.fence_error);
        }
        return {{"incarnation", state_.manager.get().incarnation},
                {"started_wall_ms", state_.started_wall_ms},
                {"now_wall_ms", extras_.now_wall_ms},
                {"version", extras_.version},
                {"store", state_.store_failing ? "failing: " + state_.store_reason : std::string("ok")},
                {"gate", {{"closed", state_.gate.closed}, {"reason", state_.gate.reason}, {"held", state_.gate.held.size()},
                          {"population", state_.gate.population}}},
                {"rebuilding", state_.manager.get().rebuilding},
                {"oddities", oddities()},
                {"operations", state_.operations.size()},
                {"alarms", std::move(alarms)}};
    }

    /// What was refused, counted since this manager started.
    Json oddities() const {
        const Oddities& odd = state_.oddities;
        return {{"unknown_node", odd.unknown_node}, {"stale_registration", odd.stale_registration}, {"from_future", odd.from_future},
                {"unknown_operation", odd.unknown_operation}, {"stale_status", odd.stale_status},
                {"unexpected_message", odd.unexpected_message}, {"unknown_client", odd.unknown_client},
                {"unknown_instance", odd.unknown_instance}, {"doubled_identity", extras_.peers.doubled},
                {"fencing_failed", odd.fencing_failed}, {"fence_disbelieved", odd.fence_disbelieved},
                {"undecodable", extras_.peers.undecodable}, {"out_of_role", extras_.peers.out_of_role}, {"denied", extras_.peers.denied},
                {"cut", extras_.peers.cut}, {"cut_silent", extras_.peers.cut_silent}, {"cut_unread", extras_.peers.cut_unread}};
    }

    /// What happened since this manager started, in numbers.
    Json figures() const {
        Json failovers = Json::array();
        for (const auto& [key, count] : state_.figures.failovers) {
            failovers.push_back({{"kind", key.first}, {"outcome", key.second}, {"count", count}});
        }
        Json phases = Json::array();
        for (const auto& [key, histogram] : state_.figures.phases) {
            phases.push_back({{"kind", key.first}, {"phase", key.second}, {"bounds_us", Histogram::kBoundsUs},
                              {"counts", histogram.counts}, {"sum_us", histogram.sum_us}, {"count", histogram.count}});
        }
        return {{"failovers", std::move(failovers)}, {"phases", std::move(phases)}};
    }

    /// What its fence agent is for now: none, ready, switching off, off, failing.
    static Json fence_json(const HostRecord& host, const HostLive* live) {
        const char* state = !host.can_fence ? "none" : "ready";
        if (host.power == Power::off) state = "off";
        else if (host.power == Power::going_off || (live != nullptr && live->fence)) state = "switching off";
        else if (live != nullptr && !live->fence_error.empty()) state = "failing";
        return {{"state", state}, {"error", live == nullptr ? std::string() : live->fence_error}};
    }

    Json host_json(HostId id, const HostRecord& host) const {
        const HostLive* live = look_up<HostId, HostLive, std::map<HostId, HostLive>>(state_.host_live, id);
        Json instances = Json::array();
        if (live != nullptr) {
            for (const NodeId node : live->nodes) instances.push_back(node.value);
        }
        const bool reachable = live == nullptr || live->reachable;
        const auto acceleration = extras_.acceleration.find(host.name);
        const auto reason = extras_.acceleration_reason.find(host.name);
        return {{"id", id.value}, {"name", host.name}, {"uri", host.uri}, {"domain", host.domain},
                {"state", host.maintenance ? "maintenance" : (reachable ? "active" : "unreachable")},
                {"reason", live == nullptr || reachable ? std::string() : live->last_error},
                {"labels", host.labels},
                {"capacity", {{"vcpus", host.vcpus}, {"memory_mib", host.memory_mib}, {"disk_mib", host.disk_mib}}},
                {"used", {{"vcpus", live == nullptr ? 0 : live->vcpus_used}, {"memory_mib", live == nullptr ? 0 : live->memory_used_mib},
                          {"disk_mib", live == nullptr ? 0 : live->disk_used_mib}}},
                {"acceleration", acceleration == extras_.acceleration.end() ? "unproven" : acceleration->second},
                {"acceleration_reason", reason == extras_.acceleration_reason.end() ? "" : reason->second},
                {"can_fence", host.can_fence},
                {"fence", fence_json(host, live)},
                {"instances", std::move(instances)}};
    }

    /// Deploying: it has been given work, and none of it stands yet.
    bool deploying(const NodeLive* live) const {
        if (live == nullptr) return false;
        const auto stands = [](Phase phase) { return phase == Phase::running || phase == Phase::standby || phase == Phase::frozen; };
        return std::none_of(live->sessions.begin(), live->sessions.end(), [&](const auto& row) { return stands(row.second.phase); }) &&
               std::none_of(live->desktops.begin(), live->desktops.end(), [&](const auto& row) { return stands(row.second.phase); });
    }

    const char* state_word(const NodeRecord& node, const NodeLive* live) const {
        switch (node.state) {
            case NodeState::creating: return "creating";
            case NodeState::booting: return "booting";
            case NodeState::idle: return "idle";
            case NodeState::serving: return deploying(live) ? "deploying" : "serving";
            case NodeState::scrubbing: return "scrubbing";
            case NodeState::paused: return "paused";
            case NodeState::resuming: return "resuming";
            case NodeState::condemned: return live != nullptr && !live->last_error.empty() ? "failed" : "destroying";
        }
        return "?";
    }

    std::string host_name(HostId id) const {
        const HostRecord* host = state_.hosts.find(id);
        return host == nullptr ? std::string() : host->name;
    }

    Json node_json(NodeId id, const NodeRecord& node) const {
        const NodeLive* live = look_up<NodeId, NodeLive>(state_.live, id);
        const NodeUse* use = look_up<NodeId, NodeUse>(state_.uses, id);
        Json view{{"id", id.value},
                  {"name", node.name},
                  {"host", host_name(node.host)},
                  {"kind", node.kind == NodeKind::instance ? "instance" : "static"},
                  {"state", state_word(node, live)},
                  {"role", word(node.role)},
                  {"health", word(live == nullptr ? Health::unknown : live->health)},
                  {"reason", node.reason},
                  {"draining", node.draining},
                  {"flavour", node.flavour},
                  {"slots", node.slots},
                  {"used", use == nullptr ? 0 : use->count()},
                  {"door", text_of(node.door)}};
        if (live != nullptr && live->registration != 0) {
            view["heard_ms_ago"] = to_ms(std::max(state_.fair() - live->heard, Duration{0}));
            view["lease_ms"] = to_ms(std::max(live->lease_until - state_.now, Duration{0}));
            view["held"] = live->held_by_gate;
            view["load_permille"] = live->load_permille;
            view["memory_used_mib"] = live->memory_used_mib;
            view["can_checkpoint"] = live->can_checkpoint;
            view["checkpoint_reason"] = live->checkpoint_reason;
        }
        view["tier"] = node.tier == Tier::paused ? "paused" : "running";
        view["receipt"] = node.receipt;
        view["environments"] = environments_of(node);
        view["error"] = live == nullptr ? std::string() : live->last_error;
        if (node.proof == Proof::none) {
            view["proof"] = nullptr;
        } else {
            view["proof"] = {{"kind", word(node.proof)}, {"text", node.proof_text}, {"wall_ms", node.proof_wall_ms}};
        }
        return view;
    }

    /// By name where the content is that of a defined one, else by digest.
    Json environments_of(const NodeRecord& node) const {
        Json names = Json::array();
        for (const std::string& digest : node.environments) {
            const auto known = std::find_if(state_.environments.rows().begin(), state_.environments.rows().end(),
                                            [&](const auto& row) { return row.second.digest == digest; });
            names.push_back(known == state_.environments.rows().end() ? digest : known->first);
        }
        return names;
    }

    const DesktopStatus* desktop_status(NodeId node, TerminalId terminal) const {
        const NodeLive* live = look_up<NodeId, NodeLive>(state_.live, node);
        if (live == nullptr) return nullptr;
        const auto found = live->desktops.find(terminal);
        return found == live->desktops.end() ? nullptr : &found->second;
    }

    const SessionStatus* session_status(NodeId node, SessionId session) const {
        const NodeLive* live = look_up<NodeId, NodeLive>(state_.live, node);
        if (live == nullptr) return nullptr;
        const auto found = live->sessions.find(session);
        return found == live->sessions.end() ? nullptr : &found->second;
    }

    static const char* terminal_state(const TerminalRecord& terminal, const TerminalLive* live, const DesktopStatus* desktop) {
        if (terminal.state == TerminalState::defined) {
            return live != nullptr && !live->holders.empty() ? "releasing" : "new";
        }
        if (terminal.state == TerminalState::detached) return "detached";
        if (live != nullptr && !live->waiting.empty()) return "waiting";
        return desktop != nullptr && desktop->phase == Phase::running ? "serving" : "placing";
    }

    Json terminal_json(TerminalId id, const TerminalRecord& terminal) const {
        const TerminalLive* live = look_up<TerminalId, TerminalLive>(state_.terminal_live, id);
        const DesktopStatus* desktop = desktop_status(terminal.presentation, id);
        Json backups = Json::array();
        for (const NodeId node : terminal.backups) {
            const DesktopStatus* status = desktop_status(node, id);
            backups.push_back({{"node", node.value}, {"phase", status == nullptr ? "preparing" : word(status->phase)}});
        }
        Json layout = Json::array();
        for (const WindowPlace& place : terminal.layout) {
            layout.push_back({{"session", place.session.value}, {"x", place.x}, {"y", place.y}, {"width", place.width},
                              {"height", place.height}, {"stacking", place.stacking}, {"focused", place.focused}});
        }
        Json sessions = Json::array();
        for (const SessionId session : terminal.sessions) sessions.push_back(session.value);
        Json windows = Json::array();
        if (desktop != nullptr) {
            for (const WindowStatus& window : desktop->windows) {
                windows.push_back({{"session", window.session.value}, {"session_epoch", window.session_epoch},
                                   {"connected", window.connected}, {"picture", window.picture}});
            }
        }
        return {{"id", id.value}, {"name", terminal.name}, {"profile", terminal.profile},
                {"state", terminal_state(terminal, live, desktop)},
                {"waiting", live == nullptr ? std::string() : live->waiting},
                {"attached", terminal.state == TerminalState::attached},
                {"epoch", terminal.epoch},
                {"presentation", {{"primary", terminal.presentation.value},
                                  {"phase", desktop == nullptr ? "preparing" : word(desktop->phase)},
                                  {"detail", desktop == nullptr ? "" : desktop->detail},
                                  {"backups", std::move(backups)}}},
                {"sessions", std::move(sessions)}, {"windows", std::move(windows)}, {"layout", std::move(layout)}};
    }

    Json backup_json(const SessionRecord& session, NodeId node) const {
        const SessionStatus* status = session_status(node, session.id);
        Json view{{"node", node.value}, {"phase", status == nullptr ? "preparing" : word(status->phase)}};
        if (status == nullptr || status->checkpoints.empty()) {
            view["checkpoint"] = nullptr;
        } else {
            const CheckpointInfo& newest = status->checkpoints.back();
            view["checkpoint"] = {{"epoch", newest.id.epoch}, {"sequence", newest.id.sequence},
                                  {"age_ms", std::max<std::int64_t>(extras_.now_wall_ms - newest.taken_wall_ms, 0)},
                                  {"bytes", newest.bytes}, {"pause_ms", newest.pause_ms}};
        }
        return view;
    }

    Json session_json(SessionId id, const SessionRecord& session) const {
        const SessionStatus* status = session_status(session.primary, id);
        Json backups = Json::array();
        std::uint32_t pause_ms = 0;
        for (const NodeId node : session.backups) {
            backups.push_back(backup_json(session, node));
            const SessionStatus* held = session_status(node, id);
            if (held != nullptr && !held->checkpoints.empty()) pause_ms = std::max(pause_ms, held->checkpoints.back().pause_ms);
        }
        const Protection in_force = status == nullptr ? Protection::restart : status->in_force;
        return {{"id", id.value}, {"terminal", session.terminal.value}, {"application", session.application.name},
                {"title", session.application.title}, {"epoch", session.epoch}, {"primary", session.primary.value},
                {"phase", status == nullptr ? "preparing" : word(status->phase)},
                {"detail", status == nullptr ? "" : status->detail},
                {"backups", std::move(backups)},
                {"protection", {{"wanted", word(session.protection)}, {"in_force", word(in_force)},
                                {"reason", status == nullptr ? "" : status->protection_reason}}},
                {"interval_ms", status == nullptr ? 0 : status->interval_ms}, {"pause_ms", pause_ms}, {"lost", session.lost}};
    }

    Json pool_json(const PoolRecord& pool) const {
        const auto found = state_.pool_live.find(pool.flavour);
        const PoolLive empty;
        const PoolLive& live = found == state_.pool_live.end() ? empty : found->second;
        std::size_t serving = 0;
        for (const auto& [host, machines] : live.serving_on) serving += machines;
        const Target target = target_of(state_, pool);
        Json view{{"flavour", pool.flavour}, {"image", pool.image}, {"environment", pool.environment}, {"vcpus", pool.vcpus},
                  {"memory_mib", pool.memory_mib}, {"disk_mib", pool.disk_mib}, {"slots", pool.slots}, {"labels", pool.labels},
                  {"policy", pool.policy == Policy::pack ? "pack" : "spread"},
                  {"idle", live.idle.size()}, {"serving", serving}, {"creating", live.coming.size()},
                  {"standing", live.standing.size()}, {"standing_soon", live.standing_soon.size()}, {"total", live.total}, {"beyond_reach", live.beyond_reach.size()},
                  {"min_idle", pool.min_idle}, {"max_idle", pool.max_idle}, {"max_total", pool.max_total},
                  {"min_paused", pool.min_paused}, {"max_paused", pool.max_paused}, {"follow_demand", pool.follow_demand},
                  {"making_ms", to_ms(live.usual.made)}, {"paused", live.paused_until > state_.now}, {"reason", live.reason},
                  {"standing_reason", live.stand_still.until > state_.now ? live.stand_still.reason : std::string()}};
        view["target"] = {{"idle", target.idle}, {"paused", target.paused}, {"taken", target.taken},
                          {"ready_ms", to_ms(target.ready_after)}, {"host_loss", target.host_loss},
                          {"why", explain(state_, pool, target)}};
        view["hosts"] = Json::array();  // where the next one would be made, best first
        for (const ConsideredHost& host : OpenHosts(state_, pool).considered()) {
            if (view["hosts"].size() >= kHostsShown) break;
            view["hosts"].push_back({{"host", host_name(host.host)}, {"open", host.open}, {"verdict", host.verdict}});
        }
        return view;
    }

    static Json environment_json(const EnvironmentRecord& environment) {
        return {{"name", environment.name}, {"digest", environment.digest}, {"bytes", environment.bytes}};
    }

    const State& state_;
    const ViewExtras& extras_;
};

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// Cuts a view between rows. Each row is turned into text once.
std::vector<std::string> divided(const Json& view, std::uint64_t number) {
    constexpr std::array kLong{"nodes", "terminals", "sessions", "incidents"};
    Json rest = view;
    for (const char* list : kLong) rest[list] = Json::array();
    std::vector<std::string> bodies{text_of(rest).substr(1)};  // without its opening brace
    bodies.back().pop_back();
    std::size_t left_out = 0;
    for (const char* list : kLong) {
        std::string rows;
        const auto close = [&] {
            if (!rows.empty()) bodies.push_back("\"" + std::string(list) + "\":[" + rows + "]");
            rows.clear();
        };
        for (const Json& row : view[list]) {
            const std::string text = text_of(row);
            if (rows.size() + text.size() > kMostBytes) close();
            if (bodies.size() + 1 >= kMostParts) ++left_out;
            else rows += (rows.empty() ? "" : ",") + text;
        }
        close();
    }
    std::vector<std::string> parts;
    for (const std::string& body : bodies) {
        const std::string count = left_out == 0 ? "" : "\"left_out\":" + std::to_string(left_out) + ",";
        parts.push_back("{\"view\":" + std::to_string(number) + ",\"part\":" + std::to_string(parts.size() + 1) +
                        ",\"parts\":" + std::to_string(bodies.size()) + "," + (parts.empty() ? count : "") + body + "}");
    }
    return parts;
}

}  // namespace

std::vector<std::string> view_json(const State& state, const ViewExtras& extras, std::uint64_t number) {
    const Viewer viewer(state, extras);
    Json view = viewer.whole(kIncidentsShown);
    if (std::string text = text_of(view); text.size() <= kMostBytes) return {std::move(text)};
    return divided(view, number);
}

std::string incident_json(const State& state, IncidentId id) {
    const IncidentRecord* record = state.incidents.find(id);
    return record == nullptr ? std::string() : text_of(Viewer::incident(*record));
}

}  // namespace understudy::manager
