// See placement.hpp.
#include "manager/core/placement.hpp"

#include <algorithm>
#include <set>

#include "manager/core/decide.hpp"
#include "manager/core/open_hosts.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kEligibleEnough = 8;
constexpr std::size_t kLookedAtMost = 256;
constexpr std::size_t kExplainedMost = 12;

constexpr std::int32_t kOtherDomain = 400;       ///< a backup in another failure domain
constexpr std::int32_t kOwnPrimaryThere = -300;  ///< spread one terminal's primaries
constexpr std::int32_t kAlreadyServing = 100;    ///< leave idle nodes to those who need them
constexpr std::int32_t kHasEnvironment = 150;    ///< nothing has to be deployed
constexpr std::int32_t kFullHost = 50;           ///< of a host that is full, where machines are packed
constexpr std::int32_t kFailedThere = -1000;     ///< only when nothing else is left
constexpr std::int32_t kPerUse = -10;

bool contains(const std::vector<NodeId>& nodes, NodeId id) {
    return std::find(nodes.begin(), nodes.end(), id) != nodes.end();
}

const std::string* domain_of(const State& state, NodeId id) {
    const NodeRecord* node = state.nodes.find(id);
    const HostRecord* host = node == nullptr ? nullptr : state.hosts.find(node->host);
    return host == nullptr ? nullptr : &host->domain;
}

/// Is an instance on its way, or could one be made, outside of this failure domain?
bool room_elsewhere(const State& state, const std::string& domain, const std::string& flavour) {
    const PoolRecord* pool = state.pools.find(flavour);
    const auto live = state.pool_live.find(flavour);
    if (pool == nullptr || live == state.pool_live.end() || live->second.paused_until > state.now) return false;
    const auto elsewhere = [&](NodeId id) {
        const std::string* there = domain_of(state, id);
        return there != nullptr && *there != domain;
    };
    const PoolLive& machines = live->second;
    if (std::any_of(machines.coming.begin(), machines.coming.end(), elsewhere)) return true;
    if (std::any_of(machines.standing.begin(), machines.standing.end(),
                    [&](NodeId id) { return elsewhere(id) && can_resume(state, id); })) return true;
    if (at_max_total(live->second, *pool)) return false;
    return std::any_of(state.hosts.rows().begin(), state.hosts.rows().end(), [&](const auto& row) {
        const HostLive& host = state.host_live.at(row.first);
        return row.second.domain != domain && !row.second.maintenance && host.listed && host.reachable &&
               host.vcpus_used + pool->vcpus <= row.second.vcpus &&
               host.memory_used_mib + pool->memory_mib <= row.second.memory_mib &&
               (row.second.disk_mib == 0 || host.disk_used_mib + pool->disk_mib <= row.second.disk_mib) &&
               does_not_fit(row.second, *pool).empty();
    });
}

/// Whether another host of the primary's failure domain will do.
enum class Strictness : std::uint8_t { host_apart, domain_apart };

class Search {
  public:
    Search(const State& state, const PlacementRequest& request, Strictness strictness)
        : state_(state), request_(request), strictness_(strictness) {
        const PoolRecord* pool = state.pools.find(request.flavour);
        packs_ = pool != nullptr && pool->policy == Policy::pack;
    }

    void look_at(NodeId id) {
        if (full() || !seen_.insert(id).second) return;
        Considered considered;
        considered.node = id;
        considered.verdict = objection(id);
        if (considered.verdict.empty()) {
            considered.eligible = true;
            score(considered);
            ++eligible_;
        }
        found_.considered.push_back(std::move(considered));
    }

    [[nodiscard]] bool full() const { return eligible_ >= kEligibleEnough || seen_.size() >= kLookedAtMost; }

    [[nodiscard]] Placement finish() {
        std::stable_sort(found_.considered.begin(), found_.considered.end(), [](const auto& a, const auto& b) {
            if (a.eligible != b.eligible) return a.eligible;
            if (a.eligible && a.score != b.score) return a.score > b.score;
            return a.node < b.node;
        });
        if (!found_.considered.empty() && found_.considered.front().eligible) {
            found_.chosen = found_.considered.front().node;
        }
        if (found_.considered.size() > kExplainedMost) found_.considered.resize(kExplainedMost);
        return std::move(found_);
    }

  private:
    /// The hard rule that excludes a node, in words; empty: none does.
    [[nodiscard]] std::string objection(NodeId id) const {
        const NodeRecord& node = state_.nodes.at(id);
        if (contains(request_.exclude, id)) return "already used for this";
        if (!fit(state_, id)) return draining(state_, node) ? "is being drained" : "is not fit: " + node.reason;
        if (!node.flavour.empty() && node.flavour != request_.flavour) return "is of flavour " + node.flavour;
        if (node.state == NodeState::serving && node.role != request_.role) return "serves the other role";
        if (node.kind == NodeKind::enrolled && !request_.environment.empty()) {
            return "has no hypervisor that could deploy environment " + request_.environment;
        }
        if (lacks_for_good(id, node)) return "lacks environment " + request_.environment + ", and its hypervisor does not answer";
        if (const auto uses = state_.uses.find(id); uses != state_.uses.end()) {
            const bool present_primary = !request_.primary && has_duty(uses->second, Duty::primary);
            if (!present_primary) {  // a primary that is alive may be appointed anew
                if (has_duty(uses->second, Duty::primary) || has_duty(uses->second, Duty::backup)) {
                    return "already used for this";
                }
                if (uses->second.count() >= node.slots) return "has no free slot";
            }
        }
        if (request_.primary && too_close(state_, id, request_.primary, request_.separation)) {
            return "shares a host with the primary";
        }
        if (strictness_ == Strictness::domain_apart && !other_domain(node)) return "shares a failure domain with the primary";
        return {};
    }

    /// Nobody can give it what the session needs.
    [[nodiscard]] bool lacks_for_good(NodeId id, const NodeRecord& node) const {
        if (request_.environment.empty() || state_.host_live.at(node.host).reachable) return false;
        const SessionRecord* session = state_.sessions.find(request_.session);
        return session != nullptr && waits_for_environment(state_, id, *session);
    }

    void score(Considered& considered) const {
        const NodeRecord& node = state_.nodes.at(considered.node);
        const auto give = [&](std::int32_t points, const char* why) {
            considered.score += points;
            if (!considered.verdict.empty()) considered.verdict += ", ";
            considered.verdict += why;
        };
        if (request_.primary && request_.separation == Separation::domain && other_domain(node)) {
            give(kOtherDomain, "another failure domain");
        }
        if (node.state == NodeState::serving) give(kAlreadyServing, "serving with a free slot");
        else give(0, "idle");
        if (const auto uses = state_.uses.find(considered.node); uses != state_.uses.end()) {
            if (request_.session && !request_.primary && holds_own_primary(uses->second)) {
                give(kOwnPrimaryThere, "another application of this terminal runs there");
            }
            const auto count = static_cast<std::int32_t>(uses->second.count());
            considered.score += packs_ ? -kPerUse * count : kPerUse * count;
        }
        if (packs_) score_host(considered, node);
        if (!request_.environment.empty() && has_environment(state_, considered.node, request_.environment)) {
            give(kHasEnvironment, "has its environment");
        }
        if (contains(request_.avoid, considered.node)) give(kFailedThere, "failed there lately");
    }

    /// What is used most comes first, so that other hosts stay empty.
    void score_host(Considered& considered, const NodeRecord& node) const {
        const HostRecord* host = state_.hosts.find(node.host);
        if (host == nullptr || host->memory_mib == 0) return;
        const std::uint64_t used = std::min<std::uint64_t>(state_.host_live.at(node.host).memory_used_mib, host->memory_mib);
        considered.score += static_cast<std::int32_t>(used * kFullHost / host->memory_mib);
        considered.verdict += ", its host is " + std::to_string(used * 100 / host->memory_mib) + " % used";
    }

    /// Does the node have this duty for what the request is about?
    [[nodiscard]] bool has_duty(const NodeUse& use, Duty duty) const {
        if (request_.session) {
            const auto found = use.sessions.find(request_.session);
            return found != use.sessions.end() && found->second == duty;
        }
        const auto found = use.desktops.find(request_.terminal);
        return found != use.desktops.end() && found->second == duty;
    }

    [[nodiscard]] bool holds_own_primary(const NodeUse& use) const {
        return std::any_of(use.sessions.begin(), use.sessions.end(), [&](const auto& entry) {
            const SessionRecord* session = state_.sessions.find(entry.first);
            return entry.second == Duty::primary && session != nullptr && session->terminal == request_.terminal;
        });
    }

    [[nodiscard]] bool other_domain(const NodeRecord& node) const {
        const NodeRecord* primary = state_.nodes.find(request_.primary);
        const HostRecord* mine = state_.hosts.find(node.host);
        const HostRecord* theirs = primary == nullptr ? nullptr : state_.hosts.find(primary->host);
        return mine != nullptr && theirs != nullptr && mine->domain != theirs->domain;
    }

    const State& state_;
    const PlacementRequest& request_;
    Strictness strictness_;
    bool packs_ = false;
    std::set<NodeId> seen_;
    std::size_t eligible_ = 0;
    Placement found_;
};

void look_at_own(const State& state, const PlacementRequest& request, Search& search) {
    const TerminalRecord* terminal = state.terminals.find(request.terminal);
    if (terminal == nullptr) return;
    std::set<NodeId> own;
    if (request.role == Role::presentation) {
        if (terminal->presentation) own.insert(terminal->presentation);
        own.insert(terminal->backups.begin(), terminal->backups.end());
    } else {
        for (const SessionId id : terminal->sessions) {
            const SessionRecord* session = state.sessions.find(id);
            if (session == nullptr) continue;
            if (session->primary) own.insert(session->primary);
            own.insert(session->backups.begin(), session->backups.end());
        }
    }
    for (const NodeId node : own) {
        if (state.nodes.find(node) != nullptr) search.look_at(node);
    }
}

}  // namespace

bool too_close(const State& state, NodeId a, NodeId b, Separation separation) {
    if (a == b) return true;
    if (separation == Separation::instance || UNDERSTUDY_PLANTED("backup_on_primary_host")) return false;
    const NodeRecord* first = state.nodes.find(a);
    const NodeRecord* second = state.nodes.find(b);
    return first != nullptr && second != nullptr && first->host == second->host;
}

static Placement search_for(const State& state, const PlacementRequest& request, Strictness strictness) {
    Search search(state, request, strictness);
    look_at_own(state, request, search);
    const auto look_at_set = [&](const std::set<NodeId>& nodes) {
        for (const NodeId node : nodes) {
            if (search.full()) return;
            search.look_at(node);
        }
    };
    look_at_set(request.role == Role::execution ? state.open_execution : state.open_presentation);
    for (const std::string& flavour : {request.flavour, std::string()}) {
        if (const auto pool = state.pool_live.find(flavour); pool != state.pool_live.end()) {
            look_at_set(pool->second.idle);
        }
    }
    return search.finish();
}

Placement place(const State& state, const PlacementRequest& request) {
    const std::string* domain = domain_of(state, request.primary);
    if (request.separation != Separation::domain || domain == nullptr) {
        return search_for(state, request, Strictness::host_apart);
    }
    Placement apart = search_for(state, request, Strictness::domain_apart);
    // A machine in another domain is worth waiting for; when none can be made, another host must do.
    if (apart.chosen || room_elsewhere(state, *domain, request.flavour)) return apart;
    return search_for(state, request, Strictness::host_apart);
}

std::vector<HostId> hosts_to_avoid(const State& state, NodeId primary, const std::string& flavour, Separation separation) {
    const NodeRecord* node = state.nodes.find(primary);
    if (node == nullptr || separation == Separation::instance) return {};
    const std::string* domain = domain_of(state, primary);
    if (separation == Separation::host || domain == nullptr || !room_elsewhere(state, *domain, flavour)) return {node->host};
    std::vector<HostId> hosts;
    for (const auto& [id, host] : state.hosts.rows()) {
        if (host.domain == *domain) hosts.push_back(id);
    }
    return hosts;
}

std::vector<std::string> explain(const State& state, const Placement& placement) {
    std::vector<std::string> lines;
    for (const Considered& considered : placement.considered) {
        std::string line = describe(state, considered.node) + ": ";
        if (considered.node == placement.chosen) line += "chosen, ";
        else if (!considered.eligible) line += "excluded, ";
        line += considered.verdict;
        if (considered.eligible) line += " (score " + std::to_string(considered.score) + ")";
        lines.push_back(std::move(line));
    }
    return lines;
}

}  // namespace understudy::manager
