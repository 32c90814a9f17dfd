// See open_hosts.hpp.
#include "manager/core/open_hosts.hpp"

#include <algorithm>

#include "manager/core/decide.hpp"

namespace understudy::manager {
namespace {

std::string shortage(const char* what, std::uint64_t all, std::uint64_t used, std::uint64_t wanted) {
    return "has " + std::to_string(all - std::min(used, all)) + " " + what + " left, an instance takes " + std::to_string(wanted);
}

std::string missing_label(const HostRecord& host, const PoolRecord& pool) {
    for (const std::string& label : pool.labels) {
        if (std::find(host.labels.begin(), host.labels.end(), label) == host.labels.end()) return label;
    }
    return {};
}

}  // namespace

std::string does_not_fit(const HostRecord& host, const PoolRecord& pool) {
    if (const std::string label = missing_label(host, pool); !label.empty()) return "has no label \"" + label + "\"";
    const auto lack = [](const char* what, std::uint64_t has, std::uint64_t wanted) {
        return "has " + std::to_string(has) + " " + what + ", one instance takes " + std::to_string(wanted);
    };
    if (pool.vcpus > host.vcpus) return lack("vCPUs", host.vcpus, pool.vcpus);
    if (pool.memory_mib > host.memory_mib) return lack("MiB of memory", host.memory_mib, pool.memory_mib);
    if (host.disk_mib != 0 && pool.disk_mib > host.disk_mib) return lack("MiB of disk", host.disk_mib, pool.disk_mib);
    return {};
}

OpenHosts::OpenHosts(const State& state, const PoolRecord& pool) : state_(state), pool_(pool) {
    for (const auto& [id, host] : state.hosts.rows()) consider(id, host);
}

HostId OpenHosts::best_for(const Need& need) const {
    for (const Ranked& ranked : ranked_) {
        if (!avoids(need, ranked.host)) return ranked.host;
    }
    return {};
}

void OpenHosts::consider_again(HostId id) {
    std::erase_if(ranked_, [id](const Ranked& ranked) { return ranked.host == id; });
    consider(id, state_.hosts.at(id));
}

std::string OpenHosts::why_none() const {
    if (state_.hosts.rows().empty()) return "there is no host";
    return silent_.empty() ? "no host has room for another instance" : "no host that answers has room for another instance; " + silent_;
}

bool OpenHosts::better_than(HostId id) const {
    const std::uint32_t failures = state_.host_live.at(id).creation_failures;
    return std::any_of(ranked_.begin(), ranked_.end(),
                       [&](const Ranked& ranked) { return ranked.host != id && ranked.failures < failures; });
}

std::uint64_t OpenHosts::used_permille(HostId id, const HostRecord& host) const {
    return state_.host_live.at(id).memory_used_mib * 1000 / host.memory_mib;
}

OpenHosts::Rule OpenHosts::rule_against(HostId id, const HostRecord& host) const {
    const HostLive& live = state_.host_live.at(id);
    if (host.maintenance) return Rule::maintenance;
    if (host.power != Power::on) return Rule::off;
    if (!live.listed) return Rule::unlisted;
    if (!live.reachable) return Rule::silent;
    if (!does_not_fit(host, pool_).empty()) return Rule::too_small;
    const std::uint32_t slip = UNDERSTUDY_PLANTED("capacity_off_by_one") ? 1 : 0;
    if (live.vcpus_used + pool_.vcpus > host.vcpus + slip) return Rule::vcpus;
    if (live.memory_used_mib + pool_.memory_mib > host.memory_mib + slip * pool_.memory_mib) return Rule::memory;
    const bool counts_disk = host.disk_mib != 0 && !UNDERSTUDY_PLANTED("disk_not_counted");
    if (counts_disk && live.disk_used_mib + pool_.disk_mib > host.disk_mib) return Rule::disk;
    return live.creating >= state_.settings.parallel_creations ? Rule::busy : Rule::none;
}

std::string OpenHosts::words_for(Rule rule, HostId id, const HostRecord& host) const {
    const HostLive& live = state_.host_live.at(id);
    switch (rule) {
        case Rule::none: return {};
        case Rule::maintenance: return "is in maintenance";
        case Rule::off: return "is switched off; it is used again when its hypervisor or an agent on it answers";
        case Rule::unlisted: return "has not said yet what runs there";
        case Rule::silent: return "does not answer: " + live.last_error;
        case Rule::too_small: return does_not_fit(host, pool_);
        case Rule::vcpus: return shortage("vCPUs", host.vcpus, live.vcpus_used, pool_.vcpus);
        case Rule::memory: return shortage("MiB of memory", host.memory_mib, live.memory_used_mib, pool_.memory_mib);
        case Rule::disk: return shortage("MiB of disk", host.disk_mib, live.disk_used_mib, pool_.disk_mib);
        case Rule::busy: return "makes " + std::to_string(live.creating) + " others at the moment";
    }
    return {};
}

void OpenHosts::consider(HostId id, const HostRecord& host) {
    const Rule rule = rule_against(id, host);
    const HostLive& live = state_.host_live.at(id);
    if (rule == Rule::silent) silent_ = "host " + host.name + " does not answer: " + live.last_error;
    some_wait_ = some_wait_ || rule == Rule::unlisted || rule == Rule::busy;
    if (rule != Rule::none) return;
    const std::uint64_t used = used_permille(id, host);
    ranked_.insert({live.creation_failures, pool_.policy == Policy::pack ? 1000 - std::min<std::uint64_t>(used, 1000) : used, id});
}

std::vector<ConsideredHost> OpenHosts::considered() const {
    std::vector<ConsideredHost> lines;
    for (const Ranked& ranked : ranked_) {
        const HostRecord& host = state_.hosts.at(ranked.host);
        std::string verdict = std::to_string(used_permille(ranked.host, host) / 10) + " % used";
        if (ranked.failures != 0) verdict += ", " + std::to_string(ranked.failures) + " creations in a row failed there";
        lines.push_back({ranked.host, true, std::move(verdict)});
    }
    for (const auto& [id, host] : state_.hosts.rows()) {
        const Rule rule = rule_against(id, host);
        if (rule != Rule::none) lines.push_back({id, false, words_for(rule, id, host)});
    }
    return lines;
}

}  // namespace understudy::manager
