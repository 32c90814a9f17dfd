// See site.hpp.
#include "tests/sim/site.hpp"

#include <algorithm>

#include "tests/sim/world.hpp"

namespace understudy::sim {
void Site::build() {
    for (std::uint32_t i = 0; i < world_.plan.hosts; ++i) {
        Host host;
        host.name = "host-" + std::to_string(i);
        host.domain = "domain-" + std::to_string(i % world_.plan.domains);
        host.place = world_.network.add_place(false, 0);
        host.vcpus = world_.plan.instances_per_host;
        host.memory_mib = world_.plan.instances_per_host * 1024;
        host.disk_mib = world_.plan.disks_per_host * kDiskMib;
        hosts_.push_back(std::move(host));
    }
    for (std::uint32_t i = 0; i < world_.plan.orphans; ++i) {
        make_orphan(static_cast<std::uint32_t>(rng_.below(hosts_.size())), 1'000'000 * (i + 1ull));
    }
}

SimNode* Site::find(NodeId id) const {
    const auto at = nodes_.find(id);
    return at == nodes_.end() ? nullptr : at->second.get();
}

SimNode& Site::node_for(NodeId id, std::uint32_t host) {
    auto& node = nodes_[id];
    if (!node) {
        node = std::make_unique<SimNode>(world_, id, host, world_.network.add_place(true, hosts_[host].place),
                                         rng_.fork(id.value));
    }
    return *node;
}

void Site::put_on(std::uint32_t host, SimNode& node) {
    node.exists = true;
    hosts_[host].vcpus_used += node.vcpus;
    hosts_[host].disk_used_mib += node.disk_mib;
    hosts_[host].nodes.push_back(&node);
}

void Site::take_off(SimNode& node) {
    if (!node.exists) return;
    node.exists = false;
    Host& host = hosts_[node.host()];
    host.vcpus_used -= node.vcpus;
    host.disk_used_mib -= node.disk_mib;
    std::erase(host.nodes, &node);
}

std::vector<SimNode*> Site::powered() const {
    std::vector<SimNode*> nodes;
    for (const Host& host : hosts_) {
        for (SimNode* node : host.nodes) {
            if (node->powered()) nodes.push_back(node);
        }
    }
    return nodes;
}

bool Site::hypervisor_answers(std::uint32_t host) const {
    return hosts_[host].up && !hosts_[host].unreachable && world_.network.connected(kManagerPlace, hosts_[host].place);
}

// ---------------------------------------------------------------------------- operations

void Site::answer(std::uint32_t host, OperationId operation, Result<manager::Done> outcome, std::uint64_t manager_life) {
    if (!hypervisor_answers(host) || rng_.permille(world_.conditions.reply_lost_permille)) {
        UNDERSTUDY_MARK("hypervisor.reply_lost");
        if (rng_.permille(300)) return;
        world_.kernel.after(ms(15000), [this, operation, manager_life] {
            world_.manager.operation_done(
                {operation, failure(ErrorCode::unknown_outcome, "no answer within 15000 ms")}, manager_life);
        });
        return;
    }
    world_.kernel.after(ms(1), [this, operation, outcome = std::move(outcome), manager_life] {
        world_.manager.operation_done({operation, outcome}, manager_life);
    });
}

void Site::operate(std::uint32_t host, SimNode& node, OperationId operation, Duration takes, bool creates, Work work) {
    const std::uint64_t life = world_.manager.life();
    if (!hypervisor_answers(host)) {
        UNDERSTUDY_MARK("hypervisor.unreachable");
        world_.kernel.after(rng_.between(ms(1000), ms(10000)), [this, operation, life] {
            world_.manager.operation_done({operation, failure(ErrorCode::unavailable, "cannot connect to the hypervisor")},
                                          life);
        });
        return;
    }
    node.waiting_operations.push_back([this, host, &node, operation, takes, creates, life, work = std::move(work)] {
        world_.kernel.after(takes, [this, host, &node, operation, creates, life, work] {
            Result<manager::Done> outcome = failure(ErrorCode::failed, "the host went down");
            if (!hosts_[host].up) {
                outcome = failure(ErrorCode::unknown_outcome, "the connection to the hypervisor broke");
            } else if (creates && rng_.permille(std::max(hosts_[host].failing_permille,
                                                         world_.conditions.creation_failing_permille))) {
                UNDERSTUDY_MARK("hypervisor.creation_failed");
                outcome = failure(ErrorCode::failed, "the hypervisor said: cannot allocate memory");
            } else {
                outcome = work();
            }
            world_.kernel.trace("operation ends", operation.value & 0xffffffff, node.id().value, outcome.has_value());
            answer(host, operation, std::move(outcome), life);
            node.operation_runs = false;
            run_next(node);
        });
    });
    run_next(node);
}

void Site::run_next(SimNode& node) {
    if (node.operation_runs || node.waiting_operations.empty()) return;
    node.operation_runs = true;
    const auto work = std::move(node.waiting_operations.front());
    node.waiting_operations.erase(node.waiting_operations.begin());
    work();
}

void Site::create(std::uint32_t host, const manager::CreateInstance& action) {
    SimNode& node = node_for(action.instance, host);
    world_.kernel.trace("create", action.operation.value & 0xffffffff, action.instance.value, host);
    const Duration takes = rng_.between(ms(1000), ms(5000)) * world_.conditions.creation_slowness;
    operate(host, node, action.operation, takes, true, [this, host, &node, action]() -> Result<manager::Done> {
        if (!node.exists) {
            Host& on = hosts_[host];
            if (on.vcpus_used + action.vcpus > on.vcpus || (on.disk_mib != 0 && on.disk_used_mib + action.disk_mib > on.disk_mib)) {
                UNDERSTUDY_MARK("hypervisor.full");
                return failure(ErrorCode::failed, "the hypervisor said: not enough memory on the host");
            }
            node.disk_mib = action.disk_mib;
            node.vcpus = action.vcpus;
            put_on(host, node);
            make(node, action.tier);
            if (action.tier == manager::Tier::running) may_give_up(node);
        } else if (!node.powered()) {
            make(node, action.tier);
        }
        return manager::Done{node.address(), {}};
    });
}

void Site::make(SimNode& node, manager::Tier tier) {
    if (tier == manager::Tier::paused) node.install_standing_still();
    else node.install();
}

void Site::resume(std::uint32_t host, const manager::ResumeInstance& action) {
    SimNode& node = node_for(action.instance, host);
    world_.kernel.trace("resume", action.operation.value & 0xffffffff, action.instance.value, host);
    operate(host, node, action.operation, rng_.between(ms(20), ms(200)), false, [this, &node]() -> Result<manager::Done> {
        if (rng_.permille(world_.conditions.resume_failing_permille)) {
            UNDERSTUDY_MARK("hypervisor.resume_failed");
            return failure(ErrorCode::failed, "the hypervisor said: the saved state cannot be read");
        }
        if (!node.exists || !node.powered()) return failure(ErrorCode::failed, "the hypervisor said: domain is not running");
        node.go_on();
        return manager::Done{node.address(), {}};
    });
}

void Site::deploy(std::uint32_t host, const manager::DeployEnvironment& action) {
    SimNode& node = node_for(action.instance, host);
    world_.kernel.trace("deploy", action.operation.value & 0xffffffff, action.instance.value, host);
    operate(host, node, action.operation, rng_.between(ms(50), ms(800)), false, [this, &node, action]() -> Result<manager::Done> {
        if (rng_.permille(world_.conditions.deploy_failing_permille)) {
            UNDERSTUDY_MARK("hypervisor.deploy_failed");
            return failure(ErrorCode::failed, "the hypervisor said: no space left on device");
        }
        if (!node.exists || !node.powered()) return failure(ErrorCode::failed, "the hypervisor said: domain is not running");
        node.environments.insert(action.digest);
        return manager::Done{node.address(), {}};
    });
}

void Site::scrub(std::uint32_t host, const manager::ScrubInstance& action) {
    SimNode& node = node_for(action.instance, host);
    world_.kernel.trace("scrub", action.operation.value & 0xffffffff, action.instance.value, host);
    operate(host, node, action.operation, rng_.between(ms(1000), ms(4000)), false,
            [this, &node]() -> Result<manager::Done> {
                if (!node.exists) return failure(ErrorCode::failed, "the hypervisor said: domain not found");
                const bool proves = !rng_.permille(world_.conditions.receipt_missing_permille);
                world_.oracle.cleaned(node);
                node.install();
                if (proves) return manager::Done{node.address(), "the base image is sha256:51"};
                UNDERSTUDY_MARK("hypervisor.no_receipt");
                node.dirty = true;  // what was there is there still
                return manager::Done{node.address(), {}};
            });
}

void Site::destroy(std::uint32_t host, const manager::DestroyInstance& action) {
    SimNode& node = node_for(action.instance, host);
    world_.kernel.trace("destroy", action.operation.value & 0xffffffff, action.instance.value, host);
    operate(host, node, action.operation, rng_.between(ms(100), ms(1500)), false, [this, &node]() -> Result<manager::Done> {
        const bool ran = node.exists && node.powered();
        node.power_off();
        take_off(node);
        if (ran && rng_.permille(500)) world_.manager.instance_ended(node, "destroyed");
        return manager::Done{node.address(), {}};
    });
}

void Site::list(std::uint32_t host, const manager::ListInstances& action) {
    const std::uint64_t life = world_.manager.life();
    world_.kernel.after(rng_.between(ms(50), ms(500)), [this, host, action, life] {
        manager::HostListed listed{action.host, failure(ErrorCode::unavailable, "cannot connect to the hypervisor")};
        if (hypervisor_answers(host)) {
            std::vector<manager::ListedInstance> instances;
            for (const SimNode* node : hosts_[host].nodes) {
                instances.push_back({node->id(), node->powered(), node->address(), "base", node->vcpus, node->memory_mib, kSlots, node->disk_mib});
            }
            std::sort(instances.begin(), instances.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
            listed.instances = std::move(instances);
        } else {
            UNDERSTUDY_MARK("hypervisor.list_failed");
            if (rng_.permille(200)) return;  // one that hangs says nothing at all
        }
        world_.kernel.after(ms(5), [this, listed, life] { world_.manager.host_listed(listed, life); });
    });
}

// ---------------------------------------------------------------------------- what goes wrong

void Site::crash_instance(SimNode& node, const char* cause, bool by_itself) {
    if (!node.exists || !node.powered()) return;
    world_.kernel.trace("instance ends", node.id().value, node.host());
    node.power_off();
    world_.manager.instance_ended(node, cause, by_itself);
}

/// Where creations fail, some machines are made and end before their agent says anything.
void Site::may_give_up(SimNode& node) {
    if (!rng_.permille(world_.conditions.creation_failing_permille / 2)) return;
    world_.kernel.after(rng_.between(ms(50), ms(500)), [this, &node] {
        if (!node.agent_runs()) crash_instance(node, "its kernel found no root disk", true);
    });
}

void Site::crash_host(std::uint32_t host) {
    if (!hosts_[host].up) return;
    world_.kernel.trace("host goes down", host);
    hosts_[host].up = false;
    for (SimNode* node : hosts_[host].nodes) node->power_off();
}

void Site::host_returns(std::uint32_t host) {
    if (hosts_[host].up) return;
    world_.kernel.trace("host is up again", host);
    hosts_[host].up = true;
}

void Site::make_orphan(std::uint32_t host, std::uint64_t id) {
    if (hosts_[host].vcpus_used >= hosts_[host].vcpus) return;
    UNDERSTUDY_MARK("fault.orphans_at_start");
    SimNode& node = node_for(NodeId(id), host);
    put_on(host, node);
    node.install();
    world_.oracle.orphan(node);
}

}  // namespace understudy::sim
