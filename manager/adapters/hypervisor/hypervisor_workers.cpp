// See hypervisor_workers.hpp. The port's calls come from the loop's thread.
#include "manager/adapters/hypervisor/hypervisor_workers.hpp"

namespace understudy::manager {
namespace {

constexpr int kListAttempts = 5;

/// What making an instance brings: its door.
Result<Done> door_of(Result<Endpoint> made) {
    return std::move(made).map([](Endpoint door) { return Done{std::move(door), {}}; });
}

}  // namespace

HypervisorWorkers::HypervisorWorkers(std::uint32_t parallel, ArrivalSink sink) : parallel_(parallel), sink_(std::move(sink)) {}
HypervisorWorkers::~HypervisorWorkers() = default;

void HypervisorWorkers::add_host(const std::string& name, Hypervisor& hypervisor) {
    Host& host = hosts_[name];
    host.name = name;
    host.hypervisor = &hypervisor;
    host.workers = std::make_unique<KeyedWorkers>(parallel_);
    host.workers->submit(0, Urgency::normal, [this, &host] {
        const AccelerationVerdict verdict = host.hypervisor->acceleration();
        sink_(AccelerationKnown{host.name, verdict.acceleration, verdict.reason});
    });
}

void HypervisorWorkers::add_fence(const std::string& name, FenceOptions options) {
    Host& host = hosts_.at(name);
    host.fence.emplace(name, std::move(options));
    host.fencing = std::make_unique<KeyedWorkers>(1);
}

Result<Hypervisor*> HypervisorWorkers::open(const HostRecord& host) {
    if (opener_) return opener_(host);
    return failure(ErrorCode::unavailable, "the configuration has no [[host]] " + host.name);
}

void HypervisorWorkers::know_host(const HostRecord& host) {
    names_.insert_or_assign(host.id, host.name);
    if (hosts_.contains(host.name)) return;
    const auto opened = open(host);
    if (opened) add_host(host.name, **opened);
    else unusable_[host.name] = opened.error().message;
}

void HypervisorWorkers::probe(const HostRecord& host, std::uint64_t token) {
    const auto opened = open(host);
    if (!opened) {
        sink_(HostProbed{token, tl::unexpected(opened.error())});
        return;
    }
    probes_.submit(0, Urgency::normal, [this, hypervisor = *opened, name = host.name, token] {
        sink_(HostProbed{token, hypervisor->list(name).map([](const auto&) {})});
    });
}

HypervisorWorkers::Host* HypervisorWorkers::host_of(HostId id) {
    const auto name = names_.find(id);
    if (name == names_.end()) return nullptr;
    const auto host = hosts_.find(name->second);
    return host == hosts_.end() ? nullptr : &host->second;
}

Error HypervisorWorkers::no_host(HostId id) const {
    const auto name = names_.find(id);
    const auto why = name == names_.end() ? unusable_.end() : unusable_.find(name->second);
    return {ErrorCode::unavailable, why != unusable_.end() ? why->second : "the configuration has no [[host]] for host " + to_string(id)};
}

void HypervisorWorkers::answer(OperationId operation, Result<Done> outcome) {
    const std::lock_guard lock(answering_);
    ++answered_;
    sink_(OperationDone{operation, std::move(outcome)});
}

void HypervisorWorkers::create(const CreateInstance& action) {
    Host* host = host_of(action.host);
    if (host == nullptr) return answer(action.operation, tl::unexpected(no_host(action.host)));
    host->workers->submit(action.instance.value, Urgency::normal, [this, host, action] {
        answer(action.operation, door_of(host->hypervisor->create({action.instance, host->name, action.image, action.vcpus,
                                                                   action.memory_mib, action.slots, action.disk_mib, action.tier})));
    });
}

void HypervisorWorkers::resume(const ResumeInstance& action) {
    Host* host = host_of(action.host);
    if (host == nullptr) return answer(action.operation, tl::unexpected(no_host(action.host)));
    // A person may be waiting for it.
    host->workers->submit(action.instance.value, Urgency::urgent,
                          [this, host, action] { answer(action.operation, door_of(host->hypervisor->resume(action.instance))); });
}

void HypervisorWorkers::deploy(const DeployEnvironment& action) {
    Host* host = host_of(action.host);
    if (host == nullptr) return answer(action.operation, tl::unexpected(no_host(action.host)));
    host->workers->submit(action.instance.value, Urgency::urgent, [this, host, action] {
        answer(action.operation, host->hypervisor->deploy(action.instance, {action.environment, action.digest}).map([] { return Done{}; }));
    });
}

void HypervisorWorkers::scrub(const ScrubInstance& action) {
    Host* host = host_of(action.host);
    if (host == nullptr) return answer(action.operation, tl::unexpected(no_host(action.host)));
    host->workers->submit(action.instance.value, Urgency::normal,
                          [this, host, action] { answer(action.operation, host->hypervisor->scrub(action.instance)); });
}

void HypervisorWorkers::destroy(const DestroyInstance& action) {
    Host* host = host_of(action.host);
    if (host == nullptr) return answer(action.operation, tl::unexpected(no_host(action.host)));
    host->workers->submit(action.instance.value, Urgency::urgent, [this, host, action] {
        answer(action.operation, host->hypervisor->destroy(action.instance).map([] { return Done{}; }));
        // Not urgent any more: the next destruction must not wait for it.
        host->workers->submit(action.instance.value, Urgency::normal, [host, action] { host->hypervisor->tidy(action.instance); });
    });
}

void HypervisorWorkers::fence(const FenceHost& action) {
    Host* host = host_of(action.host);
    if (host == nullptr) return answer(action.operation, tl::unexpected(no_host(action.host)));
    if (!host->fence) return answer(action.operation, failure(ErrorCode::unavailable, "no fence agent is configured for host " + host->name));
    host->fencing->submit(1, Urgency::normal, [this, host, action] {
        answer(action.operation, host->fence->switch_off().map([] { return Done{}; }));
    });
}

void HypervisorWorkers::list(const ListInstances& action) {
    Host* host = host_of(action.host);
    if (host == nullptr) {
        sink_(HostListed{action.host, tl::unexpected(no_host(action.host))});
        return;
    }
    host->workers->submit(0, Urgency::urgent, [this, host, id = action.host] { answer_list(id, *host); });
}

void HypervisorWorkers::answer_list(HostId id, Host& host) {
    for (int attempt = 1;; ++attempt) {
        std::uint64_t before = 0;
        {
            const std::lock_guard lock(answering_);
            before = answered_;
        }
        auto listed = host.hypervisor->list(host.name);
        const std::lock_guard lock(answering_);
        if (answered_ != before && attempt < kListAttempts) continue;
        if (answered_ != before) listed = failure(ErrorCode::unavailable, "too much is changing to list it; asked again later");
        sink_(HostListed{id, std::move(listed)});
        return;
    }
}

}  // namespace understudy::manager
