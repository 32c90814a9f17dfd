// The world's side of manager_stage.hpp: hypervisors, instances that boot, terminals that look.
#include <utility>

#include "manager/core/state.hpp"
#include "tests/golden/manager_stage.hpp"

namespace understudy::golden {
namespace {

using namespace std::chrono_literals;
using namespace manager;

constexpr Duration kListing = 10ms;
constexpr Duration kContinue = 50ms;
constexpr Duration kSeeConnected = 10ms;
constexpr Duration kSeePicture = 30ms;

}  // namespace

Endpoint ManagerStage::door_of(HostId host, NodeId id) const {
    return {names_.of(host), static_cast<std::uint16_t>(20000 + id.value)};
}

void ManagerStage::carry_out(const Action& action) {
    if (const auto* send = std::get_if<SendToNode>(&action)) {
        later(kWire, [this, message = *send] {
            const auto node = nodes_.find(message.to);
            if (node != nodes_.end() && !cut_.contains(message.to) && !parted_.contains(message.to)) node->second->hear(message.message);
        });
    } else if (const auto* to_client = std::get_if<SendToClient>(&action)) {
        send_to_client(*to_client);
    } else if (const auto* echo = std::get_if<Echo>(&action)) {
        later(0ms, [this, incident = echo->incident] { deliver(Echoed{incident}); });
    } else if (const auto* list = std::get_if<ListInstances>(&action)) {
        later(kListing, [this, id = list->host] {
            const Host& there = hosts_[id];
            if (there.hangs) return;
            if (!there.unreachable.empty()) {
                deliver(HostListed{id, failure(ErrorCode::unavailable, there.unreachable)});
                return;
            }
            std::vector<ListedInstance> listed;
            for (const auto& [instance, known] : there.instances) {
                listed.push_back({instance, known.running, door_of(id, instance), "base", known.vcpus, known.memory_mib, known.slots, known.disk_mib});
            }
            deliver(HostListed{id, std::move(listed)});
        });
    } else if (const auto* made = std::get_if<CreateInstance>(&action)) {
        create(*made);
    } else if (const auto* scrub = std::get_if<ScrubInstance>(&action)) {
        operate(scrub->operation, scrub->host,
                [this, id = scrub->instance](Host& there) -> Result<> {
                    if (nodes_.contains(id)) nodes_[id]->die();
                    there.instances[id].running = true;
                    there.instances[id].environments.clear();
                    boot(id, there.instances[id].slots);
                    return {};
                },
                scrub->instance, receipt_);
    } else if (const auto* resume = std::get_if<ResumeInstance>(&action)) {
        operate(resume->operation, resume->host, [this, id = resume->instance](Host& there) { return go_on(there, id); }, resume->instance);
    } else if (const auto* deploy = std::get_if<DeployEnvironment>(&action)) {
        operate(deploy->operation, deploy->host,
                [this, wanted = *deploy](Host& there) -> Result<> {
                    const auto found = there.instances.find(wanted.instance);
                    if (found == there.instances.end() || !found->second.running) return failure(ErrorCode::failed, "domain is not running");
                    const bool meant = there.deploys_fail_of.empty() || there.deploys_fail_of == wanted.environment;
                    if (!there.deploys_fail.empty() && meant) return failure(ErrorCode::failed, there.deploys_fail);
                    found->second.environments.insert(wanted.digest);
                    return {};
                },
                deploy->instance);
    } else if (const auto* destroy = std::get_if<DestroyInstance>(&action)) {
        operate(destroy->operation, destroy->host,
                [this, id = destroy->instance](Host& there) -> Result<> {
                    if (nodes_.contains(id)) nodes_[id]->die();
                    there.instances.erase(id);
                    return {};
                },
                destroy->instance);
    } else if (const auto* fence = std::get_if<FenceHost>(&action)) {
        switch_off(*fence);
    }
}

/// Another way than the hypervisor's: it may be unreachable just now.
void ManagerStage::switch_off(const FenceHost& fence) {
    later(operation_delay_, [this, fence] {
        if (fence_fail_times_ > 0) {
            --fence_fail_times_;
            deliver(OperationDone{fence.operation, failure(ErrorCode::failed, fence_fail_text_)});
            return;
        }
        if (fence_lie_times_ > 0) {  // something else was switched off
            --fence_lie_times_;
            deliver(OperationDone{fence.operation, Done{}});
            return;
        }
        for (const auto& [node, place] : places_) {
            if (place == fence.host && nodes_.contains(node)) nodes_[node]->die();
        }
        for (auto& [instance, known] : hosts_[fence.host].instances) known.running = false;
        deliver(OperationDone{fence.operation, Done{}});
    });
}

/// One request to a hypervisor: done after a while, or refused, or done and the answer lost.
void ManagerStage::operate(OperationId operation, HostId id, Work work, NodeId instance, std::string receipt) {
    later(operation_delay_, [this, operation, id, kept = std::move(work), instance, kept_receipt = std::move(receipt)] {
        Host& there = hosts_[id];
        if (there.hangs) return;
        if (!there.unreachable.empty()) {
            deliver(OperationDone{operation, failure(ErrorCode::unavailable, there.unreachable)});
            return;
        }
        if (hang_times_ > 0) {
            --hang_times_;
            return;
        }
        if (fail_times_ > 0) {
            --fail_times_;
            deliver(OperationDone{operation, failure(ErrorCode::failed, fail_text_)});
            return;
        }
        if (auto done = kept(there); !done) {
            deliver(OperationDone{operation, tl::unexpected(done.error())});
            return;
        }
        if (lose_times_ > 0) {
            --lose_times_;
            return;
        }
        deliver(OperationDone{operation, Done{instance ? door_of(id, instance) : Endpoint{}, kept_receipt}});
    });
}

void ManagerStage::create(const CreateInstance& action) {
    places_[action.instance] = action.host;
    operate(action.operation, action.host,
            [this, action, id = action.instance](Host& there) -> Result<> {
                if (!there.failing.empty()) return failure(ErrorCode::failed, there.failing);
                if (there.instances.contains(id)) return {};  // idempotent by instance
                if (action.tier == Tier::paused && !there.standing_fails.empty()) return failure(ErrorCode::refused, there.standing_fails);
                Instance& made = there.instances[id];
                made.slots = action.slots;
                made.vcpus = action.vcpus;
                made.memory_mib = action.memory_mib;
                made.disk_mib = action.disk_mib;
                made.still = action.tier == Tier::paused;
                if (!made.still) boot(id, made.slots);
                return {};
            },
            action.instance);
}

/// A paused instance continues: its agent is there at once.
Result<> ManagerStage::go_on(Host& there, NodeId id) {
    const auto found = there.instances.find(id);
    if (found == there.instances.end() || !found->second.running) return failure(ErrorCode::failed, "domain is not running");
    if (!there.resumes_fail.empty()) return failure(ErrorCode::failed, there.resumes_fail);
    if (!std::exchange(found->second.still, false)) return {};
    boot(id, found->second.slots, kContinue);
    return {};
}

void ManagerStage::boot(NodeId id, std::uint32_t slots, Duration takes) {
    if (const auto old = nodes_.find(id); old != nodes_.end()) {
        graveyard_.push_back(std::move(old->second));
        nodes_.erase(old);
    }
    if (!boot_) return;
    auto node = std::make_unique<FakeNode>(*this, id, ++boots_, slots);
    FakeNode* fresh = node.get();
    nodes_[id] = std::move(node);
    later(takes, [this, id, fresh] {
        if (fresh->dead()) return;
        if (boot_ends_.empty()) fresh->start();
        else end_instance(id, boot_ends_, true);
    });
}

void ManagerStage::end_instance(NodeId id, const std::string& cause, bool by_itself) {
    if (nodes_.contains(id)) nodes_[id]->die();
    const auto place = places_.find(id);
    if (place != places_.end()) {
        const auto instance = hosts_[place->second].instances.find(id);
        if (instance != hosts_[place->second].instances.end()) instance->second.running = false;
    }
    if (!cause.empty()) deliver(InstanceEnded{id, cause, now_, by_itself});
}

/// The person's eyes: connected, then a picture, when the desktop really is there.
void ManagerStage::send_to_client(const SendToClient& send) {
    const auto* redirect = std::get_if<TerminalRedirect>(&send.message);
    if (redirect == nullptr) return;
    const auto see = [&](Duration after, const char* what) {
        later(after, [this, to = send.to, told = *redirect, what] {
            const auto node = nodes_.find(told.ticket.claims.door);
            if (node == nodes_.end() || !node->second->shows(told.terminal)) return;
            deliver(ClientSaid{to, TerminalSeen{told.terminal, told.epoch, what, told.incident}});
        });
    };
    see(kSeeConnected, "connected");
    see(kSeePicture, "picture");
}

}  // namespace understudy::golden
