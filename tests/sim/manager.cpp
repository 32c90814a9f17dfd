// See manager.hpp.
#include "tests/sim/manager.hpp"

#include <algorithm>
#include <charconv>

#include "manager/core/rehearsal.hpp"
#include "manager/core/state.hpp"
#include "protocol/pack.hpp"
#include "tests/sim/world.hpp"

namespace understudy::sim {

using namespace understudy::manager;

SimManager::SimManager(World& world, Rng rng) : world_(world), rng_(rng) {
    clock_.parts_per_million = rng_.between(-9000, 9000);
    clock_.origin_us = rng_.between(0, 1'000'000'000);
    world_.store.answer_commit = [this](CommitAnswer answer) {
        run([this, answer] {
            dispatcher_->commit_answered(clock_.local(world_.kernel.now()), answer);
            settle();
        });
    };
    world_.store.answer_head = [this](Result<StoreHead> head) {
        run([this, head] {
            dispatcher_->head_answered(clock_.local(world_.kernel.now()), head);
            settle();
        });
    };
}

Moment SimManager::moment() const {
    return {clock_.local(world_.kernel.now()), clock_.wall_ms(world_.kernel.now())};
}

// ---------------------------------------------------------------------------- its life

void SimManager::start() {
    if (core_) return;
    ++life_;
    world_.kernel.trace("manager starts", life_);
    auto content = world_.store.load_all();
    auto core = Core::load(world_.settings, content->image);
    if (!core) throw Violation{Exit::safety, "S9", "the store's content does not load: " + core.error().message};
    if (!content->image.empty() && core->durable_image() != content->image) {
        throw Violation{Exit::safety, "S9", "what was loaded differs from what the store holds"};
    }
    core_.emplace(std::move(*core));
    dispatcher_ = std::make_unique<Dispatcher>(DispatcherSettings{}, content->head, rng_.next(), world_.store, *this, *this);
    paused_ = false;
    world_.oracle.manager_started(*core_, clock_.local(world_.kernel.now()));
    take(core_->start(moment()));
    settle();
    configure();
    for (SimNode* node : world_.site.powered()) {
        if (!world_.network.connected(kManagerPlace, node->place())) continue;
        world_.kernel.after(rng_.between(ms(10), ms(500)), [node] { node->link_up(); });
    }
}

/// The configuration is applied at every start, as the real program does.
void SimManager::configure() {
    for (const Intent& intent : world_.configuration()) feed(intent);
}

void SimManager::crash(Duration restart_after, bool lose_unsynced) {
    if (!core_) return;
    world_.kernel.trace("manager dies", life_);
    core_.reset();
    dispatcher_.reset();
    backlog_.clear();
    paused_ = false;
    ++core_timer_;
    ++dispatcher_timer_;
    core_timer_at_ = dispatcher_timer_at_ = kNever;
    world_.store.power_lost(lose_unsynced);
    const std::uint64_t life = life_;
    world_.kernel.after(restart_after, [this, life] {
        if (life == life_) start();
    });
}

void SimManager::lose_records(Duration restart_after, Duration copy_age) {
    if (!core_) return;
    crash(restart_after, false);
    Image image = copy_age == Duration::max() ? Image{} : world_.store.copy_before(world_.kernel.now() - copy_age);
    ++losses_;
    // As the real program does it: numbers above all that can have been given out, and the order to rebuild.
    ManagerRecord record{1'000'000 * losses_ + life_, 1'000'000'000 * losses_, true, "the store was lost"};
    Bytes bytes;
    pack::append(bytes, record);
    std::erase_if(image, [](const auto& row) { return row.first == "manager"; });
    image.emplace_back("manager", std::move(bytes));
    std::sort(image.begin(), image.end());
    world_.store.replace(image);
    world_.oracle.records_replaced(image);
}

void SimManager::pause() {
    if (!core_ || paused_) return;
    paused_ = true;
    world_.kernel.trace("manager stands still", life_);
}

void SimManager::resume() {
    if (!paused_) return;
    paused_ = false;
    world_.kernel.trace("manager goes on", life_);
    const std::uint64_t life = life_;
    const std::vector<std::function<void()>> backlog = std::exchange(backlog_, {});
    // What arrived meanwhile and the own late timers come in an order that nobody promises.
    if (rng_.permille(500)) feed(Woken{});
    for (const auto& work : backlog) {
        if (life == life_) run(work);
    }
    if (life == life_) feed(Woken{});
}

void SimManager::run(std::function<void()> work) {
    if (!core_) return;
    if (paused_) backlog_.push_back(std::move(work));
    else work();
}

void SimManager::feed(const Event& event) {
    run([this, event] {
        take(core_->handle(moment(), event));
        settle();
    });
}

void SimManager::take(Step step) {
    world_.oracle.stepped(step);
    schedule(step.wake_at, true);
    dispatcher_->accept(clock_.local(world_.kernel.now()), std::move(step));
}

void SimManager::settle() {
    while (auto event = dispatcher_->take_event()) take(core_->handle(moment(), *event));
    world_.oracle.queues(dispatcher_->figures());
    if (dispatcher_->fatal()) {
        UNDERSTUDY_MARK("dispatcher.another_manager");
        crash(ms(1000), false);
        return;
    }
    schedule(dispatcher_->wake_at(), false);
}

void SimManager::schedule(TimePoint local_wake, bool for_core) {
    if (for_core) core_wake_ = local_wake;
    if (local_wake == kNever) return;
    const TimePoint when = std::max(clock_.real(local_wake), world_.kernel.now());
    TimePoint& planned = for_core ? core_timer_at_ : dispatcher_timer_at_;
    if (planned <= when) return;
    planned = when;
    const std::uint64_t timer = for_core ? ++core_timer_ : ++dispatcher_timer_;
    world_.kernel.at(when, [this, timer, for_core] {
        if (timer != (for_core ? core_timer_ : dispatcher_timer_) || !core_) return;
        (for_core ? core_timer_at_ : dispatcher_timer_at_) = kNever;
        if (paused_) return;
        const TimePoint now = clock_.local(world_.kernel.now());
        if (!for_core) {
            dispatcher_->woken(now);
            settle();
        } else if (now < core_wake_) {
            schedule(core_wake_, true);
        } else {
            feed(Woken{});
        }
    });
}

void SimManager::compare_with_store() {
    if (!quiet() || paused_) return;
    if (core_->durable_image() == world_.store.image()) return;
    throw Violation{Exit::safety, "S9", "the store's content differs from the durable part of the live state"};
}

void SimManager::rehearse() {
    if (!core_ || paused_ || core_->state().hosts.rows().empty()) return;
    const auto& hosts = core_->state().hosts.rows();
    const auto host = std::next(hosts.begin(), static_cast<std::ptrdiff_t>(rehearsed_++ % hosts.size()))->first;
    const Image before = core_->durable_image();
    const Rehearsal rehearsal = rehearse_loss(*core_, host, moment());
    if (core_->durable_image() != before) throw Violation{Exit::safety, "rehearsal", "what was only rehearsed changed the state"};
    if (!rehearsal.complete) throw Violation{Exit::safety, "S11", "the rehearsal of a host's death does not end within its bound"};
}

// ---------------------------------------------------------------------------- what reaches it

void SimManager::node_said(NodeId from, const Bytes& bytes) {
    if (!core_) return;
    auto envelope = decode(bytes);
    if (!envelope) {
        UNDERSTUDY_MARK("manager.refused_a_version");
        return;
    }
    world_.kernel.mix("manager got", from.value, envelope->message.index());
    world_.oracle.heard(from);
    feed(NodeSaid{from, std::move(envelope->message)});
}

void SimManager::client_said(ClientId from, const Bytes& bytes) {
    if (!core_) return;
    auto envelope = decode(bytes);
    if (!envelope) return;
    world_.kernel.mix("manager heard", from.value, envelope->message.index());
    feed(ClientSaid{from, std::move(envelope->message)});
}

void SimManager::client_gone(ClientId client) { feed(ClientGone{client}); }

void SimManager::connection_lost(SimNode& node) {
    if (!world_.site.host_up(node.host()) || !world_.network.connected(kManagerPlace, node.place())) return;
    const NodeId id = node.id();
    const std::uint64_t life = life_;
    world_.kernel.after(rng_.between(Duration(300), Duration(5000)), [this, id, life] {
        if (life == life_) feed(NodeDisconnected{id});
    });
}

void SimManager::instance_ended(SimNode& node, const char* cause, bool by_itself) {
    const std::uint32_t host = node.host();
    const NodeId id = node.id();
    const std::uint64_t life = life_;
    if (rng_.permille(world_.conditions.reply_lost_permille / 2)) return;
    const TimePoint seen = clock_.local(world_.kernel.now());
    const Duration takes = rng_.permille(700) ? rng_.between(Duration(100), Duration(5000)) : rng_.between(ms(200), ms(1500));
    if (!world_.site.hypervisor_answers(host)) return;
    world_.kernel.after(takes, [this, host, id, life, seen, cause, by_itself] {
        if (life == life_ && world_.site.hypervisor_answers(host)) feed(InstanceEnded{id, cause, seen, by_itself});
    });
}

void SimManager::operation_done(const OperationDone& done, std::uint64_t life) {
    // An answer to a manager that is gone reaches the next one now and then: it must not care.
    if (life == life_ || rng_.permille(100)) feed(done);
}

void SimManager::host_listed(const HostListed& listed, std::uint64_t life) {
    if (life == life_) feed(listed);
}

void SimManager::wish(const Intent& intent) { feed(intent); }

// ---------------------------------------------------------------------------- what leaves it

std::uint32_t SimManager::host_index(HostId id) const {
    const HostRecord* host = core_->state().hosts.find(id);
    if (host == nullptr) throw Violation{Exit::safety, "S6", "an operation names a host that is not known"};
    std::uint32_t index = 0;
    std::from_chars(host->name.data() + 5, host->name.data() + host->name.size(), index);
    return index;
}

void SimManager::send_to_node(NodeId to, const Message& message) {
    world_.oracle.sends(to, message);
    SimNode* node = world_.site.find(to);
    if (node == nullptr) return;
    Bytes bytes = encode({life_, ++sequence_, message});
    world_.network.send(kManagerPlace, node->place(), [node, bytes = std::move(bytes), identity = node->identity()] {
        node->receive(bytes, identity);
    });
}

void SimManager::send_to_client(ClientId to, const Message& message) {
    world_.oracle.sends(to, message);
    world_.deliver_to_client(to, encode({life_, ++sequence_, message}));
}

void SimManager::create(const CreateInstance& action) {
    const std::uint32_t host = host_index(action.host);
    world_.oracle.creates(host, action);
    world_.site.create(host, action);
}

void SimManager::resume(const ResumeInstance& action) {
    world_.oracle.resumes(action);
    world_.site.resume(host_index(action.host), action);
}

void SimManager::scrub(const ScrubInstance& action) {
    world_.oracle.scrubs(action);
    world_.site.scrub(host_index(action.host), action);
}

void SimManager::deploy(const DeployEnvironment& action) {
    world_.oracle.deploys(action);
    world_.site.deploy(host_index(action.host), action);
}

void SimManager::destroy(const DestroyInstance& action) {
    world_.oracle.destroys(action);
    world_.site.destroy(host_index(action.host), action);
}

void SimManager::list(const ListInstances& action) { world_.site.list(host_index(action.host), action); }

void SimManager::fence(const FenceHost& action) {
    const std::uint32_t host = host_index(action.host);
    world_.kernel.trace("fence", host);
    world_.oracle.fences(host);
    world_.kernel.after(rng_.between(ms(500), ms(4000)), [this, host, operation = action.operation, life = life_] {
        if (rng_.permille(world_.conditions.fence_failing_permille)) {
            UNDERSTUDY_MARK("fence.failed");
            operation_done({operation, failure(ErrorCode::failed, "the fence agent said: connection timed out")}, life);
            return;
        }
        UNDERSTUDY_MARK("fence.switched_off");
        if (world_.site.host_up(host)) {
            world_.site.crash_host(host);
            world_.kernel.after(rng_.between(ms(20'000), ms(60'000)), [this, host] { world_.site.host_returns(host); });
        }
        operation_done({operation, Done{}}, life);
    });
}

void SimManager::note(const Note& action) {
    world_.kernel.mix("note", action.text.size());
    if (world_.options.trace) std::printf("                 # %s\n", action.text.c_str());
    world_.notes.push_back(action.text);
    if (world_.notes.size() > 64) world_.notes.erase(world_.notes.begin());
}

std::int64_t SimManager::wall_ms() const { return clock_.wall_ms(world_.kernel.now()); }

std::string SimManager::seal(TicketClaims& claims) {
    claims.expires_wall_ms = wall_ms() + to_ms(kTicketLife);
    return "sealed-" + std::to_string(claims.serial);
}

}  // namespace understudy::sim
