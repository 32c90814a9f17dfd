// See faults.hpp.
#include "tests/sim/faults.hpp"

#include <algorithm>
#include <memory>

#include "tests/sim/world.hpp"

namespace understudy::sim {

using namespace understudy::manager;

void FaultDriver::plan_all() {
    for (const Fault& fault : world_.plan.faults) {
        world_.kernel.at(fault.at, [this, &fault] { begin(fault); });
    }
}

void FaultDriver::for_a_while(const Fault& fault, std::function<void()> end) {
    // Ended once: by its time, or by healing before that.
    auto done = std::make_shared<bool>(false);
    auto once = [done, end = std::move(end)] {
        if (!*done) end();
        *done = true;
    };
    active_.push_back({once, fault.stays});
    if (!fault.stays) world_.kernel.after(fault.lasts, once);
}

void FaultDriver::heal() {
    world_.kernel.trace("faults heal");
    std::size_t kept = 0;
    const std::size_t most = world_.options.large ? 1000 : std::max<std::size_t>(world_.plan.hosts / 8, 1);
    for (Active& active : active_) {
        if (active.stays && kept < most) ++kept;
        else active.end();
    }
    world_.conditions.people_work = false;
    world_.network.healed = true;
}

void FaultDriver::begin(const Fault& fault) {
    world_.oracle.something_is_wrong();
    world_.kernel.trace("fault", static_cast<std::uint64_t>(fault.kind), fault.strength,
                        static_cast<std::uint64_t>(fault.lasts.count() / 1000), fault.stays, name_of(fault.kind));
    ++marks::counter(std::string("fault.") + name_of(fault.kind));
    if (fault.kind <= FaultKind::partition_partial) break_network(fault);
    else if (fault.kind <= FaultKind::instance_reboot) break_machines(fault);
    else if (fault.kind <= FaultKind::fence_failing) break_hosts(fault);
    else if (fault.kind <= FaultKind::store_restored) break_store(fault);
    else trouble_people(fault);
}

std::vector<SimNode*> FaultDriver::some_nodes(std::uint64_t pick, std::uint32_t count) {
    std::vector<SimNode*> all = world_.site.powered();
    std::vector<SimNode*> chosen;
    Rng rng(pick);
    for (std::uint32_t i = 0; i < count && !all.empty(); ++i) {
        const std::size_t at = rng.below(all.size());
        chosen.push_back(all[at]);
        all.erase(all.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return chosen;
}

void FaultDriver::break_network(const Fault& fault) {
    Weather& weather = world_.network.weather;
    switch (fault.kind) {
        case FaultKind::loss:
            weather.loss_permille = fault.strength;
            for_a_while(fault, [&weather] { weather.loss_permille = 0; });
            return;
        case FaultKind::delay:
            weather.extra_delay = Duration(fault.strength * 1000);
            for_a_while(fault, [&weather] { weather.extra_delay = Duration(0); });
            return;
        case FaultKind::duplication:
            weather.duplicate_permille = fault.strength;
            for_a_while(fault, [&weather] { weather.duplicate_permille = 0; });
            return;
        case FaultKind::reordering:
            weather.jitter = Duration(fault.strength * 1000);
            for_a_while(fault, [&weather] { weather.jitter = Duration(0); });
            return;
        case FaultKind::late_replay:
            weather.replay_permille = fault.strength;
            for_a_while(fault, [&weather] { weather.replay_permille = 0; });
            return;
        default: break;
    }
    std::vector<Place> inside;
    Rng rng(fault.pick);
    if (fault.kind == FaultKind::manager_cut_off) {
        // Its network reaches few nodes or none; the hypervisors still answer.
        for (const SimNode* node : world_.site.powered()) {
            if (rng.permille(fault.strength)) inside.push_back(node->place());
        }
    } else if (rng.permille(300) && fault.kind != FaultKind::partition_partial) {
        inside.push_back(world_.site.hosts()[rng.below(world_.site.hosts().size())].place);
    } else {
        for (const SimNode* node : some_nodes(fault.pick, fault.strength)) inside.push_back(node->place());
    }
    CutMode mode = CutMode::symmetric;
    if (fault.kind == FaultKind::partition_one_way) mode = rng.permille(500) ? CutMode::outward : CutMode::inward;
    if (fault.kind == FaultKind::partition_partial) mode = CutMode::between_nodes;
    const std::uint32_t cut = world_.network.cut(mode, inside);
    for_a_while(fault, [this, cut] { world_.network.heal(cut); });
}

void FaultDriver::break_machines(const Fault& fault) {
    switch (fault.kind) {
        case FaultKind::manager_crash: world_.manager.crash(fault.lasts, false); return;
        case FaultKind::manager_pause:
            world_.manager.pause();
            for_a_while(fault, [this] { world_.manager.resume(); });
            return;
        case FaultKind::agent_crash:
            for (SimNode* node : some_nodes(fault.pick, fault.strength)) node->crash_agent(fault.lasts);
            return;
        case FaultKind::agent_pause:
            for (SimNode* node : some_nodes(fault.pick, fault.strength)) {
                node->pause();
                for_a_while(fault, [node] { node->resume(); });
            }
            return;
        case FaultKind::instance_crash:
            for (SimNode* node : some_nodes(fault.pick, fault.strength)) {
                world_.site.crash_instance(*node, "the process was killed by signal 9");
            }
            return;
        default:
            for (SimNode* node : some_nodes(fault.pick, fault.strength)) node->reboot(fault.lasts);
            return;
    }
}

void FaultDriver::break_hosts(const Fault& fault) {
    Rng rng(fault.pick);
    const auto host_count = static_cast<std::uint32_t>(world_.site.hosts().size());
    if (fault.kind == FaultKind::clock_jump) {
        for (SimNode* node : some_nodes(fault.pick, fault.strength)) node->jump_wall(rng.between(-7'200'000, 7'200'000));
        if (rng.permille(300)) world_.manager.jump_wall(rng.between(-600'000, 600'000));
        return;
    }
    if (fault.kind == FaultKind::fence_failing) {
        world_.conditions.fence_failing_permille = fault.strength;
        for_a_while(fault, [this] { world_.conditions.fence_failing_permille = 0; });
        return;
    }
    std::vector<std::uint32_t> chosen;
    if (fault.kind == FaultKind::domain_loss) {
        const auto domain = static_cast<std::uint32_t>(rng.below(world_.plan.domains));
        for (std::uint32_t host = domain; host < host_count; host += world_.plan.domains) chosen.push_back(host);
    } else {
        for (std::uint32_t i = 0; i < fault.strength; ++i) chosen.push_back(static_cast<std::uint32_t>(rng.below(host_count)));
    }
    // Only one of a domain may stay broken in ordinary runs: see heal().
    for (const std::uint32_t host : chosen) {
        Fault one = fault;
        if (fault.kind == FaultKind::domain_loss && host != chosen.front() && !world_.options.large) one.stays = false;
        if (fault.kind == FaultKind::hypervisor_unreachable) {
            world_.site.hosts()[host].unreachable = true;
            for_a_while(one, [this, host] { world_.site.hosts()[host].unreachable = false; });
        } else {
            world_.site.crash_host(host);
            for_a_while(one, [this, host] { world_.site.host_returns(host); });
        }
    }
}

void FaultDriver::break_store(const Fault& fault) {
    StoreCondition& condition = world_.store.condition;
    switch (fault.kind) {
        case FaultKind::store_slow:
            condition.latency = Duration(fault.strength * 1000);
            for_a_while(fault, [&condition] { condition.latency = Duration(500); });
            return;
        case FaultKind::store_failing:
            condition.failing_permille = fault.strength;
            for_a_while(fault, [&condition] { condition.failing_permille = 0; });
            return;
        case FaultKind::store_unknown:
            condition.unknown_permille = fault.strength;
            for_a_while(fault, [&condition] { condition.unknown_permille = 0; });
            return;
        case FaultKind::store_unsynced_lost: world_.manager.crash(fault.lasts, true); return;
        case FaultKind::store_lost: world_.manager.lose_records(fault.lasts, Duration::max()); return;
        default: world_.manager.lose_records(fault.lasts, Duration(std::int64_t{fault.strength} * 1'000'000)); return;
    }
}

void FaultDriver::trouble_people(const Fault& fault) {
    Conditions& conditions = world_.conditions;
    Rng rng(fault.pick);
    switch (fault.kind) {
        case FaultKind::creation_slow:
            conditions.creation_slowness = fault.strength;
            for_a_while(fault, [&conditions] { conditions.creation_slowness = 1; });
            return;
        case FaultKind::creation_failing:
            if (rng.permille(500)) {
                Site::Host& host = world_.site.hosts()[rng.below(world_.site.hosts().size())];
                host.failing_permille = fault.strength;
                for_a_while(fault, [&host] { host.failing_permille = 0; });
                return;
            }
            conditions.creation_failing_permille = fault.strength;
            active_.push_back({[&conditions] { conditions.creation_failing_permille = 0; }, false});
            world_.kernel.after(fault.lasts, active_.back().end);
            return;
        case FaultKind::creation_reply_lost:
            conditions.reply_lost_permille = fault.strength;
            for_a_while(fault, [&conditions] { conditions.reply_lost_permille = 0; });
            return;
        case FaultKind::start_failing:
            conditions.start_failing_permille = fault.strength;
            for_a_while(fault, [&conditions] { conditions.start_failing_permille = 0; });
            return;
        case FaultKind::resume_failing:
            conditions.resume_failing_permille = fault.strength;
            for_a_while(fault, [&conditions] { conditions.resume_failing_permille = 0; });
            return;
        case FaultKind::deploy_failing:
            conditions.deploy_failing_permille = fault.strength;
            for_a_while(fault, [&conditions] { conditions.deploy_failing_permille = 0; });
            return;
        case FaultKind::receipt_missing:
            conditions.receipt_missing_permille = fault.strength;
            for_a_while(fault, [&conditions] { conditions.receipt_missing_permille = 0; });
            return;
        case FaultKind::mixed_versions:
            conditions.mixed_versions_permille = fault.strength;
            for_a_while(fault, [&conditions] { conditions.mixed_versions_permille = 0; });
            return;
        case FaultKind::session_crash:
            for (SimNode* node : some_nodes(fault.pick, fault.strength * 4)) {
                const std::vector<SessionId> sessions = node->running_sessions();
                if (sessions.empty()) continue;
                node->end_session(sessions[rng.below(sessions.size())], rng.permille(800) ? Ending::crashed : Ending::closed);
            }
            return;
        case FaultKind::client_restart:
            for (std::uint32_t i = 0; i < fault.strength && !world_.clients.empty(); ++i) {
                world_.clients[rng.below(world_.clients.size())]->vanish(fault.lasts);
            }
            return;
        case FaultKind::people_leave:
            for (std::uint32_t i = 0; i < fault.strength && !world_.clients.empty(); ++i) {
                SimClient& client = *world_.clients[rng.below(world_.clients.size())];
                if (!client.present()) continue;
                client.vanish(fault.lasts);
                world_.wish(ReleaseTerminal{client.name()});
            }
            return;
        case FaultKind::operator_wishes:
            for (std::uint32_t i = 0; i < fault.strength; ++i) wish_something(rng);
            return;
        default:
            for (std::uint32_t i = 0; i < fault.strength; ++i) talk_nonsense(rng);
            return;
    }
}

void FaultDriver::wish_something(Rng& rng) {
    const auto& nodes = world_.oracle.nodes();
    const auto any_node = [&] {
        if (nodes.empty()) return NodeId(1);
        return std::next(nodes.begin(), static_cast<std::ptrdiff_t>(rng.below(nodes.size())))->first;
    };
    const auto any_terminal = [&] { return "terminal-" + std::to_string(rng.below(world_.clients.size() + 1)); };
    const std::string host = "host-" + std::to_string(rng.below(world_.plan.hosts));
    switch (rng.below(8)) {
        case 0: {
            const NodeId node = any_node();
            world_.wish(SetDrain{node, true});
            world_.kernel.after(rng.between(Duration(5'000'000), Duration(40'000'000)),
                                [this, node] { world_.wish(SetDrain{node, false}); });
            return;
        }
        case 1:
            world_.wish(SetMaintenance{host, true});
            world_.kernel.after(rng.between(Duration(5'000'000), Duration(60'000'000)),
                                [this, host] { world_.wish(SetMaintenance{host, false}); });
            return;
        case 2:
            if (const NodeId node = any_node(); node.value % 4 == 0) switch_off_host_of(node, rng);
            else world_.wish(KillInstance{node});
            return;
        case 3: world_.wish(ReleaseTerminal{any_terminal()}); return;
        case 4: world_.wish(FailOverPresentation{any_terminal()}); return;
        case 5:
        case 6:
            if (!world_.oracle.sessions().empty()) {
                const auto& sessions = world_.oracle.sessions();
                world_.wish(FailOverSession{
                    std::next(sessions.begin(), static_cast<std::ptrdiff_t>(rng.below(sessions.size())))->first});
            }
            return;
        default: world_.wish(OverrideGate{}); return;
    }
}

/// By hand, with whoever works there; used again some time later. Now and then the manager dies before it is done.
void FaultDriver::switch_off_host_of(NodeId node, Rng& rng) {
    const auto known = world_.oracle.nodes().find(node);
    if (known == world_.oracle.nodes().end()) return;
    for (const auto& [name, host] : world_.oracle.hosts()) {
        if (host.id != known->second.host) continue;
        world_.wish(FenceByHand{name});
        if (rng.permille(300)) {
            world_.kernel.after(rng.between(Duration(0), Duration(3'000'000)), [this] { world_.manager.crash(Duration(2'000'000), false); });
        }
        world_.kernel.after(rng.between(Duration(20'000'000), Duration(60'000'000)),
                            [this, name = name] { world_.wish(SetMaintenance{name, false}); });
    }
}

/// Events that make no sense in the present state: counted or answered, never fatal.
void FaultDriver::talk_nonsense(Rng& rng) {
    const NodeId node(rng.below(400));
    switch (rng.below(9)) {
        case 0: world_.manager.feed_nonsense(NodeSaid{node, Heartbeat{rng.below(100), 1, 0, 0}}); return;
        case 1: world_.manager.feed_nonsense(OperationDone{OperationId(rng.next()), Done{{"x", 1}, {}}}); return;
        case 2: world_.manager.feed_nonsense(HostListed{HostId(rng.below(60) + 5000), std::vector<ListedInstance>{}}); return;
        case 3: world_.manager.feed_nonsense(NodeDisconnected{NodeId(rng.next())}); return;
        case 4: world_.manager.feed_nonsense(ClientSaid{ClientId(rng.next()), TerminalAttach{"nobody", 1, 1, 7}}); return;
        case 5: world_.manager.feed_nonsense(ClientSaid{ClientId(rng.next()), TerminalSeen{TerminalId(3), 9, "picture", {}}}); return;
        case 6: world_.manager.feed_nonsense(NodeSaid{NodeId(rng.next()), Hello{}}); return;
        case 7: world_.manager.feed_nonsense(NodeSaid{node, AdminReply{}}); return;
        default:
            switch (rng.below(7)) {
                case 4: world_.wish(RemoveHost{"no-such-host"}); return;
                case 5: world_.wish(RemovePool{"standard"}); return;
                case 6: world_.wish(DefineHost{HostRecord{}}); return;
                case 0: world_.wish(RemoveTerminal{"no-such-terminal"}); return;
                case 1: world_.wish(DefineTerminal{"bad name!", "nothing"}); return;
                case 2: world_.wish(KillInstance{NodeId(rng.next())}); return;
                default: world_.wish(DefineTerminal{"terminal-0", "no-such-profile"}); return;
            }
    }
}

}  // namespace understudy::sim
