// See world.hpp.
#include "tests/sim/world.hpp"

#include <algorithm>
#include <exception>

#include "tests/sim/solver.hpp"

namespace understudy::sim {

using namespace understudy::manager;

namespace {

const ClientId kAdministrator{999'999'999'999ull};

Duration seconds(std::int64_t count) { return Duration(count * 1'000'000); }

}  // namespace

World::World(const Options& given, const Plan& drawn, std::uint64_t seed)
    : options(given), plan(drawn), kernel(given.trace), rng(seed * 0xA24BAED4963EE407ull + 5), network(kernel, rng.fork(1)),
      store(kernel, rng.fork(2)), oracle(*this), site(*this, rng.fork(3)), manager(*this, rng.fork(4)),
      faults(*this, rng.fork(5)) {
    store.committed = [this](const Batch& batch) { oracle.committed(batch); };
    // Shorter patience than people want, so that a simulated hour sees more of it.
    settings.operation_patience = seconds(30);
    settings.boot_limit = seconds(40);
    settings.pool_pause = seconds(10);
    settings.gate_hold = seconds(20);
    for (const Fault& fault : plan.faults) store.keeps_copies = store.keeps_copies || fault.kind == FaultKind::store_restored;
    configure();
    site.build();
    for (std::uint32_t i = 0; i < options.terminals; ++i) {
        clients.push_back(std::make_unique<SimClient>(*this, i, network.add_place(false, 0), rng.fork(1000 + i)));
    }
}

void World::configure() {
    const auto add = [this](Wish wish) { configuration_.push_back(Intent{{}, 0, "configuration", std::move(wish)}); };
    for (std::uint32_t i = 0; i < plan.hosts; ++i) {
        HostRecord host;
        host.name = "host-" + std::to_string(i);
        host.uri = "sim:///" + host.name;
        host.domain = "domain-" + std::to_string(i % plan.domains);
        host.vcpus = plan.instances_per_host;
        host.memory_mib = plan.instances_per_host * 1024;
        host.can_fence = i * 1000 < plan.hosts * plan.fenced_permille;
        host.disk_mib = plan.disks_per_host * kDiskMib;
        add(DefineHost{host});
    }
    for (int i = 0; i < 2; ++i) {
        EnvironmentRecord environment;
        environment.name = "bundle-" + std::to_string(i);
        environment.digest = "sha256:" + std::string(64, static_cast<char>('a' + i));
        add(DefineEnvironment{environment});
    }
    PoolRecord pool;
    pool.flavour = "standard";
    pool.image = "base";
    pool.vcpus = 1;
    pool.memory_mib = 1024;
    pool.slots = kSlots;
    pool.min_idle = plan.min_idle;
    pool.max_idle = plan.max_idle;
    pool.max_total = plan.max_total;
    pool.disk_mib = plan.disks_per_host == 0 ? 0 : kDiskMib;
    pool.min_paused = plan.min_paused;
    pool.max_paused = plan.min_paused == 0 ? 0 : plan.min_paused + 2;
    pool.follow_demand = plan.follows_demand;
    pool.policy = plan.packs ? Policy::pack : Policy::spread;
    if (plan.environments) pool.environment = "bundle-0";
    add(DefinePool{pool});
    ProfileRecord profile;
    profile.name = "office";
    profile.flavour = "standard";
    profile.presentation_backups = plan.presentation_backups;
    profile.execution_backups = plan.execution_backups;
    profile.separation = static_cast<Separation>(plan.separation);
    for (std::uint32_t i = 0; i < plan.applications; ++i) {
        ProfileApplication wanted;
        wanted.application.name = "application-" + std::to_string(i);
        wanted.application.title = "Application " + std::to_string(i);
        wanted.application.command = {"run"};
        if (plan.environments) wanted.application.environment = "bundle-" + std::to_string(i % 2);
        wanted.protection = i % 3 == 2 ? Protection::restart : Protection::checkpoint;
        profile.applications.push_back(std::move(wanted));
    }
    add(DefineProfile{profile});
    for (std::uint32_t i = 0; i < options.terminals; ++i) add(DefineTerminal{"terminal-" + std::to_string(i), "office"});
}

// ---------------------------------------------------------------------------- clients and the administrator

const SimClient* World::client_named(const std::string& name) const {
    const std::size_t dash = name.find('-');
    if (dash == std::string::npos) return nullptr;
    const std::size_t number = std::stoull(name.substr(dash + 1));
    return number < clients.size() ? clients[number].get() : nullptr;
}

std::vector<const SimClient*> World::present_clients() const {
    std::vector<const SimClient*> present;
    for (const auto& client : clients) {
        if (client->present()) present.push_back(client.get());
    }
    return present;
}

void World::deliver_to_client(ClientId to, Bytes bytes) {
    if (to == kAdministrator) {
        const auto envelope = decode(bytes);
        const auto* reply = envelope ? std::get_if<AdminReply>(&envelope->message) : nullptr;
        if (reply == nullptr || wishes_.empty() || reply->request != wishes_.front().request) return;
        kernel.trace("wish answered", reply->request, reply->code);
        wishes_.erase(wishes_.begin());
        wish_since_ = wishes_.empty() ? kNever : kernel.now();
        if (!wishes_.empty()) manager.wish(wishes_.front());
        return;
    }
    const std::size_t number = to.value / 1'000'000;
    if (number >= clients.size()) return;
    SimClient& client = *clients[number];
    network.send(kManagerPlace, client.place(), [&client, to, bytes = std::move(bytes)] { client.receive(to, bytes); });
}

void World::wish(Wish wish) {
    if (wishes_.size() > 200) return;
    wishes_.push_back(Intent{kAdministrator, next_request_++, "a person wanted it", std::move(wish)});
    kernel.trace("wish", wishes_.back().request, wishes_.back().wish.index());
    if (wishes_.size() > 1) return;
    wish_since_ = kernel.now();
    // Not from inside of whatever is being handled now.
    kernel.after(Duration(10), [this] {
        if (!wishes_.empty()) manager.wish(wishes_.front());
    });
}

/// The administrator ends every maintenance and every drain.
void World::take_back() {
    for (const auto& [name, host] : oracle.hosts()) {
        if (host.maintenance) wish(SetMaintenance{name, false});
    }
    for (const auto& [id, node] : oracle.nodes()) {
        if (node.draining) wish(SetDrain{id, false});
    }
}

void World::repeat_wish() {
    if (!wishes_.empty()) manager.wish(wishes_.front());
    kernel.after(seconds(5), [this] { repeat_wish(); });
}

const Intent* World::open_wish(std::uint64_t request) const {
    return wishes_.empty() || wishes_.front().request != request ? nullptr : &wishes_.front();
}

TimePoint World::oldest_open_wish() const { return wishes_.empty() ? kNever : wish_since_; }

// ---------------------------------------------------------------------------- the phases

void World::check_regularly() {
    manager.compare_with_store();
    manager.rehearse();
    kernel.after(seconds(options.large ? 120 : 20), [this] { check_regularly(); });
}

/// One terminal after the other gives everything back and comes again.
void World::plan_cycles() {
    const Duration pause = options.cycles == 0 ? Duration{0} : plan.faults_for / options.cycles;
    for (std::uint32_t i = 0; i < options.cycles; ++i) {
        const std::string terminal = "terminal-" + std::to_string(i % options.terminals);
        kernel.at(TimePoint{} + plan.calm + pause * i, [this, terminal] {
            oracle.something_is_wrong();
            wish(ReleaseTerminal{terminal});
        });
    }
}

void World::safety_phase() {
    manager.start();
    for (const auto& client : clients) {
        client->start(rng.between(Duration(100'000), options.large ? seconds(20) : seconds(15)));
    }
    kernel.after(seconds(5), [this] { repeat_wish(); });
    kernel.after(seconds(7), [this] { check_regularly(); });
    faults.plan_all();
    plan_cycles();
    kernel.run_until(TimePoint{} + plan.calm + plan.faults_for);
}

/// Is there room for everybody with all backups, by the judgement of the solver, with a tenth to spare?
/// (The manager does not move what is well placed, so it may not use the last corner.)
bool World::roomy() const {
    SiteShape shape;
    shape.slots = kSlots;
    std::uint32_t lost = 0;  // they count as machines, and serve nobody; those that are given up do neither
    for (std::uint32_t i = 0; i < site.hosts().size(); ++i) {
        const Site::Host& host = site.hosts()[i];
        if (site.hypervisor_answers(i) && host.failing_permille == 0) {
            shape.instances_per_host.push_back(plan.disks_per_host == 0 ? host.vcpus : plan.disks_per_host);
        } else {
            lost += static_cast<std::uint32_t>(std::count_if(host.nodes.begin(), host.nodes.end(), [this](const SimNode* node) {
                const auto record = oracle.nodes().find(node->id());
                return record == oracle.nodes().end() || record->second.state != manager::NodeState::condemned;
            }));
        }
    }
    const std::uint32_t most = plan.max_total > lost ? plan.max_total - lost : 0;
    shape.instances_at_most = most - most / 10 > 2 ? most - most / 10 - 2 : 0;
    const Demand demand{static_cast<std::uint32_t>(present_clients().size()), plan.applications, plan.presentation_backups,
                        plan.execution_backups};
    return can_place(shape, demand);
}

void World::wait_for(const char* promise, Duration bound, const std::function<std::string()>& missing) {
    const TimePoint end = kernel.now() + bound;
    std::string why = missing();
    while (!why.empty() && kernel.now() < end) {
        kernel.run_until(kernel.now() + seconds(2));
        why = missing();
    }
    if (!why.empty()) {
        throw Violation{Exit::liveness, promise, "not within " + std::to_string(bound.count() / 1'000'000) + " s: " + why};
    }
}

void World::liveness_phase(Outcome& outcome) {
    faults.heal();
    const TimePoint healed = kernel.now();
    // Whoever went away comes back; a manager that is down is started by its supervisor.
    wait_for("L0", seconds(120), [this] {
        if (!manager.up()) return std::string("the manager is down");
        if (!wishes_.empty()) return std::string("the administrator has open wishes");
        if (!oracle.set_aside().empty()) {
            take_back();
            return oracle.set_aside();
        }
        return present_clients().size() == clients.size() ? std::string() : std::string("a terminal is away");
    });
    if (roomy()) {
        UNDERSTUDY_MARK("liveness.room_for_all");
        wait_for("L1", seconds(300), [this] { return oracle.unserved(); });
        wait_for("L2", seconds(300), [this] { return oracle.without_backup(); });
    } else {
        UNDERSTUDY_MARK("liveness.not_enough_room");
        kernel.run_until(kernel.now() + seconds(300));
    }
    wait_for("L3", seconds(240), [this] { return oracle.leaks(); });
    wait_for("L3", seconds(240), [this] { return oracle.wrong_power(); });
    if (roomy()) wait_for("L3", seconds(240), [this] { return oracle.pool_off(); });
    if (oracle.released() < options.cycles) {
        throw Violation{Exit::liveness, "L5", std::to_string(oracle.released()) + " of " + std::to_string(options.cycles) + " releases were answered"};
    }
    const TimePoint asked = kernel.now() - seconds(30);
    wait_for("L5", seconds(60), [this, asked] { return oracle.unanswered(asked); });
    outcome.healed_after = kernel.now() - healed;
    if (!roomy()) return;
    std::uint64_t before = oracle.commotion();
    const TimePoint end = kernel.now() + seconds(300);
    TimePoint quiet_since = kernel.now();
    while (kernel.now() - quiet_since < seconds(60)) {
        kernel.run_until(kernel.now() + seconds(5));
        if (oracle.commotion() != before) {
            before = oracle.commotion();
            quiet_since = kernel.now();
        }
        if (kernel.now() > end) throw Violation{Exit::liveness, "L4", "no 60 s without a change within 300 s after all was well"};
    }
    if (const std::string why = oracle.unserved(); !why.empty()) throw Violation{Exit::liveness, "L4", "served, and then not: " + why};
    manager.compare_with_store();
}

Outcome World::run() {
    Outcome outcome;
    try {
        safety_phase();
        liveness_phase(outcome);
    } catch (const Violation& violation) {
        outcome.exit = violation.kind;
        outcome.promise = violation.promise;
        outcome.text = violation.text;
    } catch (const std::exception& error) {
        outcome.exit = Exit::crash;
        outcome.promise = "no exception";
        outcome.text = error.what();
    }
    outcome.hash = kernel.hash();
    outcome.events = kernel.events();
    outcome.simulated = kernel.now() - TimePoint{};
    outcome.present = present_clients().size();
    if (outcome.exit == Exit::ok) outcome.served = oracle.served();
    else outcome.last_lines = kernel.last_lines(120);
    outcome.notes = notes;
    return outcome;
}

}  // namespace understudy::sim
