// See memory_hypervisor.hpp.
#include "manager/adapters/hypervisor/memory_hypervisor.hpp"

#include "manager/adapters/config/state_directory.hpp"

namespace understudy::manager {

Result<> MemoryHypervisor::healthy() const {
    if (broken_.empty()) return {};
    return failure(ErrorCode::failed, broken_);
}

void MemoryHypervisor::issue_identity(NodeId id) { sink_(IdentityIssued{id, make_curve_keys().public_key}); }

Result<Endpoint> MemoryHypervisor::create(const InstanceSpec& spec) {
    const std::lock_guard lock(mutex_);
    if (auto well = healthy(); !well) return tl::unexpected(well.error());
    Instance& instance = instances_[spec.id];
    if (instance.spec.id && instance.running) return instance.door;
    instance = {spec, {"127.0.0.1", next_port_++}, true, spec.tier == Tier::paused, {}};
    if (!instance.paused) issue_identity(spec.id);
    return instance.door;
}

Result<MemoryHypervisor::Instance*> MemoryHypervisor::instance(NodeId id) {
    if (auto well = healthy(); !well) return tl::unexpected(well.error());
    const auto found = instances_.find(id);
    if (found == instances_.end()) return failure(ErrorCode::not_found, "there is no instance " + to_string(id));
    return &found->second;
}

Result<Endpoint> MemoryHypervisor::resume(NodeId id) {
    const std::lock_guard lock(mutex_);
    const auto found = instance(id);
    if (!found) return tl::unexpected(found.error());
    if (std::exchange((*found)->paused, false)) issue_identity(id);
    return (*found)->door;
}

Result<Done> MemoryHypervisor::scrub(NodeId id) {
    const std::lock_guard lock(mutex_);
    const auto found = instance(id);
    if (!found) return tl::unexpected(found.error());
    (*found)->running = true;
    (*found)->paused = false;
    (*found)->environments.clear();
    issue_identity(id);
    return Done{(*found)->door, "there is nothing that could be dirty in memory"};
}

Result<> MemoryHypervisor::deploy(NodeId id, const Bundle& bundle) {
    const std::lock_guard lock(mutex_);
    const auto found = instance(id);
    if (!found) return tl::unexpected(found.error());
    (*found)->environments.insert(bundle.digest);
    return {};
}

Result<> MemoryHypervisor::destroy(NodeId id) {
    const std::lock_guard lock(mutex_);
    if (auto well = healthy(); !well) return well;
    if (instances_.erase(id) != 0) sink_(IdentityRevoked{id});
    return {};
}

Result<std::vector<ListedInstance>> MemoryHypervisor::list(const std::string& host) {
    const std::lock_guard lock(mutex_);
    if (auto well = healthy(); !well) return tl::unexpected(well.error());
    std::vector<ListedInstance> listed;
    for (const auto& [id, instance] : instances_) {
        if (instance.spec.host == host && instance.running) {
            listed.push_back({id, true, instance.door, instance.spec.image, instance.spec.vcpus, instance.spec.memory_mib,
                              instance.spec.slots, instance.spec.disk_mib});
        }
    }
    return listed;
}

void MemoryHypervisor::crash(NodeId id) {
    const std::lock_guard lock(mutex_);
    const auto found = instances_.find(id);
    if (found == instances_.end() || !found->second.running) return;
    found->second.running = false;
    sink_(InstanceStopped{id, "crashed on purpose"});
}

void MemoryHypervisor::fail_with(std::string words) {
    const std::lock_guard lock(mutex_);
    broken_ = std::move(words);
}

}  // namespace understudy::manager
