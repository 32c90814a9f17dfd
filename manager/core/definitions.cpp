// See definitions.hpp.
#include "manager/core/definitions.hpp"

#include <algorithm>

#include "manager/core/decide.hpp"
#include "manager/core/open_hosts.hpp"
#include "protocol/limits.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kUriBytes = 1024;
constexpr std::size_t kDigestDigits = 64;
constexpr const char* kDigestPrefix = "sha256:";

tl::unexpected<Error> wrong(std::string text) { return failure(ErrorCode::invalid, std::move(text)); }

/// scheme://…, without blanks. Which schemes mean something is known to the adapter that opens it.
bool good_uri(const std::string& uri) {
    const auto end = uri.find("://");
    if (end == std::string::npos || end == 0 || uri.size() > kUriBytes) return false;
    const bool scheme = std::all_of(uri.begin(), uri.begin() + static_cast<std::ptrdiff_t>(end), [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    });
    return scheme && std::all_of(uri.begin(), uri.end(), [](unsigned char c) { return c > ' ' && c != 127; });
}

bool good_digest(const std::string& digest) {
    const std::string prefix = kDigestPrefix;
    return digest.starts_with(prefix) && digest.size() == prefix.size() + kDigestDigits &&
           digest.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos;
}

std::string joined(const std::set<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? "none" : text;
}

template <class Rows>
std::string names_of(const Rows& rows) {
    std::string text;
    for (const auto& [name, row] : rows) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? "none is defined" : "there are: " + text;
}

/// The first limit that contradicts another, in words.
std::string contradiction(const PoolRecord& pool) {
    if (pool.vcpus == 0 || pool.memory_mib == 0 || pool.slots == 0) return "vcpus, memory_mib and slots must be above 0";
    if (pool.min_idle > pool.max_idle) return "min_idle is above max_idle";
    if (pool.min_paused > pool.max_paused) return "min_paused is above max_paused";
    if (pool.min_idle > pool.max_total) return "min_idle is above max_total";
    if (std::uint64_t{pool.min_idle} + pool.min_paused > pool.max_total) return "min_idle and min_paused together are above max_total";
    return {};
}

/// Why not even an empty host would take one instance, host by host; empty: some host would.
std::string fits_nowhere(const State& state, const PoolRecord& pool) {
    std::string text;
    for (const auto& [id, host] : state.hosts.rows()) {
        const std::string why = does_not_fit(host, pool);
        if (why.empty()) return {};
        text += (text.empty() ? "" : "; ") + host.name + " " + why;
    }
    return text;
}

/// Given up, used by nobody, and its hypervisor does not answer.
bool beyond_reach(const State& state, NodeId id) {
    const auto pool = state.pool_live.find(state.nodes.at(id).flavour);
    return pool != state.pool_live.end() && pool->second.beyond_reach.contains(id) && state.uses.at(id).count() == 0;
}

Result<> check_environment(const State& state, const std::string& whose, const std::string& environment) {
    if (environment.empty() || state.environments.find(environment) != nullptr) return {};
    return failure(ErrorCode::not_found, whose + ": there is no environment '" + environment + "'; " + names_of(state.environments.rows()));
}

}  // namespace

bool good_name(const std::string& name) {
    return !name.empty() && name.size() <= limits::kNameBytes &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                      c == '_' || c == '.';
           });
}

tl::unexpected<Error> bad_name(const char* what, const std::string& name) {
    return wrong(std::string(what) + " '" + name + "' is not a name: use letters, digits, '-', '_' and '.'");
}

Result<std::string> define_host(State& state, HostRecord host, Author author) {
    if (!good_name(host.name)) return bad_name("host", host.name);
    if (host.vcpus == 0 || host.memory_mib == 0) return wrong("host " + host.name + " has no capacity: give vcpus and memory_mib");
    if (!good_uri(host.uri)) {
        return wrong("host " + host.name + ": '" + host.uri + "' is not a URI such as qemu:///system or qemu+ssh://root@alpha/system");
    }
    for (const std::string& label : host.labels) {
        if (!good_name(label)) return bad_name("label", label);
    }
    if (host.domain.empty()) host.domain = host.name;
    const auto known = state.host_names.find(host.name);
    if (known != state.host_names.end()) {
        const HostRecord& record = state.hosts.at(known->second);
        host.id = record.id;
        host.maintenance = record.maintenance;
        host.adopts = record.adopts;
        host.power = record.power;
        if (record == host) return "host " + host.name + " is as defined";
        if (author == Author::person) {
            return failure(ErrorCode::refused, "there is a host " + host.name + " already, at " + record.uri + "; remove it first, or choose another name");
        }
    } else {
        host.id = HostId(take_id(state));
        host.adopts = rebuilding(state);
    }
    state.hosts.edit(host.id) = host;
    state.host_names[host.name] = host.id;
    state.host_live[host.id];
    state.pools_dirty = true;
    on_host_timer(state, host.id);
    return "host " + host.name + " is defined";
}

Result<std::string> remove_host(State& state, const std::string& name) {
    const auto known = state.host_names.find(name);
    if (known == state.host_names.end()) return failure(ErrorCode::not_found, "there is no host named '" + name + "'");
    const HostId id = known->second;
    const std::set<NodeId> nodes = state.host_live[id].nodes;
    const auto holds = std::find_if(nodes.begin(), nodes.end(), [&](NodeId node) { return !beyond_reach(state, node); });
    if (holds != nodes.end()) {
        return failure(ErrorCode::refused, "host " + name + " still has " + std::to_string(nodes.size()) + " machines, such as " +
                                               describe(state, *holds) + "; set it to maintenance and wait until it is empty");
    }
    for (const NodeId node : nodes) erase_node(state, node);
    if (const OperationId fence = state.host_live[id].fence) state.fences.erase(fence);
    state.hosts.erase(id);
    state.host_names.erase(known);
    state.host_live.erase(id);
    state.pools_dirty = true;
    if (nodes.empty()) return "host " + name + " is removed";
    UNDERSTUDY_MARK("definitions.lost_host_removed");
    return "host " + name + " is removed, and " + std::to_string(nodes.size()) + " machines on it that were given up and could not be destroyed are forgotten";
}

Result<std::string> define_pool(State& state, const PoolRecord& pool, Author author) {
    const std::string whose = "pool " + pool.flavour;
    if (!good_name(pool.flavour)) return bad_name("flavour", pool.flavour);
    if (const std::string what = contradiction(pool); !what.empty()) return wrong(whose + ": " + what);
    for (const std::string& label : pool.labels) {
        if (!good_name(label)) return bad_name("label", label);
    }
    // The configuration is taken as it is: its image may be put there later, and making says what is missing until then.
    if (author == Author::person && state.images && !state.images->contains(pool.image)) {
        return failure(ErrorCode::not_found, whose + ": there is no image '" + pool.image + "'; there are: " + joined(*state.images));
    }
    if (auto known = check_environment(state, whose, pool.environment); !known) return tl::unexpected(known.error());
    if (const std::string why = fits_nowhere(state, pool); !why.empty()) {
        return wrong(whose + ": no host is large enough for one instance: " + why);
    }
    if (const PoolRecord* known = state.pools.find(pool.flavour); known == nullptr || !(*known == pool)) {
        state.pools.edit(pool.flavour) = pool;
    }
    const std::set<NodeId> idle = state.pool_live[pool.flavour].idle;
    for (const NodeId id : idle) plan_deployment(state, id);
    state.pools_dirty = true;
    return whose + " is defined";
}

Result<std::string> remove_pool(State& state, const std::string& flavour) {
    if (state.pools.find(flavour) == nullptr) return failure(ErrorCode::not_found, "there is no pool of flavour '" + flavour + "'");
    for (const auto& [name, profile] : state.profiles.rows()) {
        if (profile.flavour == flavour) return failure(ErrorCode::refused, "pool " + flavour + " is used by profile " + name);
    }
    const PoolLive& live = state.pool_live[flavour];
    if (!live.serving_on.empty()) return failure(ErrorCode::refused, "machines of pool " + flavour + " are still in use");
    std::vector<NodeId> machines;
    for (const auto& [id, node] : state.nodes.rows()) {
        if (node.flavour == flavour && node.kind == NodeKind::instance) machines.push_back(id);
    }
    for (const NodeId id : machines) condemn(state, id, "its pool is removed");
    state.pools.erase(flavour);
    return "pool " + flavour + " is removed";
}

Result<std::string> define_environment(State& state, const EnvironmentRecord& environment) {
    if (!good_name(environment.name)) return bad_name("environment", environment.name);
    if (!good_digest(environment.digest)) {
        return wrong("environment " + environment.name + ": '" + environment.digest + "' is not a digest: sha256: and 64 hexadecimal digits");
    }
    const EnvironmentRecord* known = state.environments.find(environment.name);
    if (known != nullptr && *known == environment) return "environment " + environment.name + " is as defined";
    state.environments.edit(environment.name) = environment;
    std::vector<NodeId> machines;  // those that are to have it before anybody asks
    for (const auto& [id, node] : state.nodes.rows()) machines.push_back(id);
    for (const NodeId id : machines) plan_deployment(state, id);
    return "environment " + environment.name + " is defined";
}

Result<std::string> define_profile(State& state, const ProfileRecord& profile) {
    const std::string whose = "profile " + profile.name;
    if (!good_name(profile.name)) return bad_name("profile", profile.name);
    if (state.pools.find(profile.flavour) == nullptr) {
        return failure(ErrorCode::not_found, whose + ": there is no pool of flavour '" + profile.flavour + "'");
    }
    if (profile.width == 0 || profile.height == 0 || profile.width > 16384 || profile.height > 16384) {
        return wrong(whose + ": width and height must be 1 to 16384 pixels");
    }
    for (const ProfileApplication& wanted : profile.applications) {
        const std::string& name = wanted.application.name;
        if (!good_name(name)) return bad_name("application", name);
        if (wanted.application.command.empty()) return wrong("application " + name + " has no command");
        auto known = check_environment(state, whose + ", application " + name, wanted.application.environment);
        if (!known) return tl::unexpected(known.error());
    }
    if (const ProfileRecord* known = state.profiles.find(profile.name); known == nullptr || !(*known == profile)) {
        state.profiles.edit(profile.name) = profile;
        for (const auto& [id, terminal] : state.terminals.rows()) {
            if (terminal.profile == profile.name) queue_terminal(state, id);
        }
    }
    return whose + " is defined";
}

}  // namespace understudy::manager
