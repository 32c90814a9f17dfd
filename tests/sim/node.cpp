// See node.hpp.
#include "tests/sim/node.hpp"

#include <algorithm>

#include "tests/sim/world.hpp"

namespace understudy::sim {
namespace {

constexpr std::size_t kBacklog = 4096;
constexpr Duration kCheckpointInterval{10'000'000};
constexpr Duration kPoll{1'000'000};

/// One message in the trace: registration (or sequence), epoch, revision or phase.
void chatter(Kernel& kernel, const char* what, NodeId node, const Message& message) {
    std::uint64_t registration = 0;
    std::uint64_t epoch = 0;
    std::uint64_t subject = 0;
    std::visit(
        [&](const auto& body) {
            if constexpr (requires { body.registration; }) registration = body.registration & 0xffffff;
            if constexpr (requires { body.epoch; }) epoch = body.epoch;
            if constexpr (requires { body.session.value; }) subject = body.session.value;
            else if constexpr (requires { body.terminal.value; }) subject = body.terminal.value;
        },
        message);
    kernel.chatter(what, node.value, subject, epoch, registration, name_of(message));
}

}  // namespace

SimNode::SimNode(World& world, NodeId id, std::uint32_t host, Place place, Rng rng)
    : world_(world), id_(id), host_(host), place_(place), rng_(rng) {
    // Clocks differ by up to 1.8 %: just inside the drift margin that the manager allows for.
    clock_.parts_per_million = rng_.between(-9000, 9000);
    clock_.origin_us = rng_.between(1'000'000, 4'000'000'000'000);
    clock_.wall_offset_ms = rng_.between(-2000, 2000);
    door_ = {"host-" + std::to_string(host), static_cast<std::uint16_t>(10000 + id.value % 50000)};
}

TimePoint SimNode::local() const { return clock_.local(world_.kernel.now()); }

// ---------------------------------------------------------------------------- the machine

void SimNode::install() {
    power_off();
    ++identity_;
    mixed_version = rng_.permille(world_.conditions.mixed_versions_permille);
    if (mixed_version) UNDERSTUDY_MARK("agent.of_another_version");
    environments.clear();
    dirty = false;
    power_on();
}

void SimNode::install_standing_still() {
    power_off();
    ++identity_;
    environments.clear();
    powered_ = still_ = true;
    ++life_;
}

void SimNode::go_on() {
    if (!still_) return;
    still_ = false;
    ++identity_;
    const std::uint64_t life = ++life_;
    world_.kernel.after(rng_.between(ms(50), ms(500)), [this, life] {
        if (life == life_) start_agent();
    });
}

void SimNode::power_on() {
    if (powered_) return;
    powered_ = true;
    const std::uint64_t life = ++life_;
    world_.kernel.after(rng_.between(ms(2000), ms(8000)), [this, life] {
        if (life == life_) start_agent();
    });
}

void SimNode::power_off() {
    if (!powered_) return;
    powered_ = still_ = false;
    stop_agent();
}

void SimNode::reboot(Duration off_for) {
    if (!powered_ || still_) return;
    power_off();
    const std::uint64_t life = life_;
    world_.kernel.after(off_for, [this, life] {
        if (life == life_ && exists && world_.site.host_up(host_)) power_on();
    });
}

// ---------------------------------------------------------------------------- the agent's process

void SimNode::start_agent() {
    if (!powered_ || agent_) return;
    // Whatever an earlier agent left behind is ended before the first word.
    stop_agent();
    node::Identity identity;
    identity.node = id_;
    identity.incarnation = incarnation_ = rng_.next() | 1;
    identity.software = "sim";
    identity.slots = 4;
    identity.can_checkpoint = true;
    identity.door_key = door_.key = "key-" + std::to_string(incarnation_);
    book_ = {};
    agent_ = std::make_unique<node::AgentCore>(identity);
    paused_ = false;
    world_.kernel.trace("agent starts", id_.value, incarnation_ & 0xffff);
    apply(agent_->start(local()));
}

void SimNode::stop_agent() {
    const bool ran = agent_ != nullptr;
    agent_.reset();
    ++life_;
    ++timer_;
    timer_at_ = kNever;
    paused_ = false;
    backlog_.clear();
    std::vector<SessionId> ended;
    for (const auto& [session, process] : processes_) ended.push_back(session);
    processes_.clear();
    screens_.clear();
    for (const SessionId session : ended) world_.oracle.forget_holder(session, *this);
    if (ran) world_.manager.connection_lost(*this);
}

void SimNode::crash_agent(Duration restart_after) {
    if (!agent_) return;
    world_.kernel.trace("agent crashes", id_.value);
    stop_agent();
    const std::uint64_t life = life_;
    world_.kernel.after(restart_after, [this, life] {
        if (life == life_) start_agent();
    });
}

void SimNode::pause() {
    if (!agent_ || paused_) return;
    paused_ = true;
    world_.kernel.trace("agent stands still", id_.value);
}

void SimNode::resume() {
    if (!paused_) return;
    paused_ = false;
    world_.kernel.trace("agent goes on", id_.value);
    const std::vector<node::Event> backlog = std::exchange(backlog_, {});
    apply(agent_->handle(local(), node::Woken{}));
    for (const auto& [session, process] : processes_) world_.oracle.check_acting(session);
    for (const node::Event& event : backlog) tell_agent(event);
}

void SimNode::tell_agent(node::Event event) {
    if (!agent_) return;
    if (paused_) {
        if (backlog_.size() < kBacklog) backlog_.push_back(std::move(event));
        return;
    }
    apply(agent_->handle(local(), event));
}

void SimNode::receive(const Bytes& bytes, std::uint64_t identity) {
    if (!agent_ || identity != identity_) return;
    auto envelope = decode(bytes);
    if (!envelope) throw Violation{Exit::crash, "codec", "a node refused the manager's message: " + envelope.error().message};
    chatter(world_.kernel, "node got", id_, envelope->message);
    tell_agent(node::FromManager{std::move(envelope->message)});
}

void SimNode::link_up() { tell_agent(node::LinkChanged{true}); }

void SimNode::schedule(TimePoint local_wake) {
    wake_ = local_wake;
    if (local_wake == kNever) return;
    const TimePoint when = std::max(clock_.real(local_wake), world_.kernel.now());
    if (timer_at_ <= when) return;
    timer_at_ = when;
    const std::uint64_t timer = ++timer_;
    world_.kernel.at(when, [this, timer] {
        if (timer != timer_ || !agent_) return;
        timer_at_ = kNever;
        if (paused_) return;
        if (local() < wake_) schedule(wake_);
        else apply(agent_->handle(local(), node::Woken{}));
    });
}

void SimNode::apply(node::Step step) {
    const std::uint64_t life = life_;
    for (const node::Action& action : step.actions) {
        if (life != life_) return;
        std::visit([&](const auto& wanted) { act(wanted); }, action);
    }
    schedule(step.wake_at);
}

void SimNode::act(const node::SendToManager& action) {
    chatter(world_.kernel, "node said", id_, action.message);
    Bytes bytes = encode({incarnation_, ++sequence_, action.message},
                         static_cast<std::uint16_t>(kProtocolVersion + (mixed_version ? 1 : 0)));
    world_.network.send(place_, kManagerPlace, [this, identity = identity_, bytes = std::move(bytes)] {
        if (identity == identity_) world_.manager.node_said(id_, bytes);
    });
}

// ---------------------------------------------------------------------------- sessions

void SimNode::later(SessionId session, Duration delay, std::function<void(Process&)> then) {
    const std::uint64_t generation = processes_.at(session).generation;
    world_.kernel.after(delay, [this, session, generation, then = std::move(then)] {
        const auto at = processes_.find(session);
        if (at != processes_.end() && at->second.generation == generation && powered_) then(at->second);
    });
}

void SimNode::act(const node::PerformSession& action) {
    const AssignSession& assign = action.assign;
    world_.oracle.performs(*this, assign);
    const auto [at, added] = processes_.try_emplace(assign.session);
    Process& process = at->second;
    const bool same = !added && process.assign.epoch == assign.epoch && process.assign.duty == assign.duty;
    process.assign = assign;
    if (same && assign.duty != Duty::backup) return;
    // Generations never repeat, so that nothing planned for an earlier process touches a later one.
    process.generation = rng_.next();
    world_.kernel.trace("session assigned", id_.value, assign.session.value, assign.epoch,
                        static_cast<std::uint64_t>(assign.duty));
    switch (assign.duty) {
        case Duty::primary: start_primary(process); break;
        case Duty::backup:
            process.run = Run::none;
            process.frozen = false;
            later(assign.session, rng_.between(ms(20), ms(200)), [this](Process& p) { report(p, Phase::standby); });
            break;
        case Duty::released: release(process); break;
    }
    world_.oracle.check_acting(assign.session);
}

void SimNode::start_primary(Process& process) {
    const SessionId session = process.assign.session;
    const CheckpointId from = process.assign.restore;
    process.frozen = false;
    process.sequence = 0;
    const bool holds = from.sequence == 0 || std::any_of(process.held.begin(), process.held.end(),
                                                         [&](const auto& info) { return info.id == from; });
    const bool fails = !holds || rng_.permille(world_.conditions.start_failing_permille);
    process.run = fails ? Run::none : Run::starting;
    if (!holds) UNDERSTUDY_MARK("agent.checkpoint_not_here");
    later(session, rng_.between(ms(300), ms(2000)), [this, session, fails](Process& p) {
        if (fails) {
            p.run = Run::none;
            report(p, Phase::failed, Ending::none, "it could not be started");
            return;
        }
        p.run = Run::running;
        p.memory_since = std::min(p.memory_since, world_.kernel.now());
        report(p, Phase::running);
        later(session, kCheckpointInterval / 4, [this, session](Process&) { take_checkpoint(session); });
    });
}

void SimNode::release(Process& process) {
    const SessionId session = process.assign.session;
    const bool hands_over = process.run == Run::running && !process.frozen && !process.assign.peers.empty();
    if (process.run != Run::none) process.run = Run::stopping;
    const Duration takes = hands_over ? rng_.between(ms(200), ms(900)) : rng_.between(ms(20), ms(150));
    if (hands_over) bring_checkpoint(process);
    later(session, takes, [this, session](Process& p) {
        p.run = Run::none;
        p.held.clear();
        p.memory_since = kNever;
        report(p, Phase::released);
        processes_.erase(session);
        world_.oracle.forget_holder(session, *this);
    });
}

void SimNode::bring_checkpoint(Process& process) {
    CheckpointInfo info;
    info.id = {process.assign.epoch, ++process.sequence};
    info.taken_wall_ms = clock_.wall_ms(world_.kernel.now());
    info.bytes = 1'000'000;
    process.held.push_back(info);
    if (process.held.size() > 2) process.held.erase(process.held.begin());
    for (const Peer& peer : process.assign.peers) {
        SimNode* target = world_.site.find(peer.node);
        if (target == nullptr || peer.ticket.text.empty() || !world_.network.connected(place_, target->place()) ||
            !target->admits(peer.ticket.claims)) {
            continue;
        }
        const SessionId session = process.assign.session;
        const Epoch epoch = process.assign.epoch;
        world_.network.send(place_, target->place(), [this, target, session, info, epoch] {
            world_.kernel.after(rng_.between(ms(10), ms(150)),
                                [target, session, info, epoch] { target->checkpoint_arrived(session, info, epoch); });
        });
    }
}

void SimNode::take_checkpoint(SessionId session) {
    Process& process = processes_.at(session);
    if (process.run != Run::running || process.assign.duty != Duty::primary) return;
    if (!process.frozen && !paused_ && agent_ && process.assign.protection == Protection::checkpoint) {
        bring_checkpoint(process);
        report(process, Phase::running);
    }
    later(session, kCheckpointInterval + rng_.between(ms(0), ms(200)),
          [this, session](Process&) { take_checkpoint(session); });
}

void SimNode::checkpoint_arrived(SessionId session, const CheckpointInfo& info, Epoch epoch) {
    const auto at = processes_.find(session);
    if (!agent_ || paused_ || at == processes_.end()) return;
    Process& process = at->second;
    if (process.assign.duty != Duty::backup || epoch < process.assign.epoch) return;
    if (!process.held.empty() && info.id <= process.held.back().id) return;
    process.held.push_back(info);
    if (process.held.size() > 2) process.held.erase(process.held.begin());
    process.memory_since = std::min(process.memory_since, world_.kernel.now());
    report(process, Phase::standby);
}

void SimNode::end_session(SessionId session, Ending ending) {
    const auto at = processes_.find(session);
    if (at == processes_.end() || at->second.run != Run::running || !agent_) return;
    world_.kernel.trace("session ends by itself", id_.value, session.value);
    at->second.run = Run::none;
    at->second.generation = rng_.next();
    report(at->second, Phase::ended, ending, "the application crashed");
}

void SimNode::act(const node::FreezeSession& action) {
    const auto at = processes_.find(action.session);
    if (at == processes_.end()) return;
    UNDERSTUDY_MARK("agent.froze_itself");
    at->second.frozen = true;
    world_.kernel.trace("session frozen", id_.value, action.session.value);
}

void SimNode::act(const node::ThawSession& action) {
    const auto at = processes_.find(action.session);
    if (at == processes_.end()) return;
    UNDERSTUDY_MARK("agent.thawed");
    at->second.frozen = false;
    world_.kernel.trace("session thawed", id_.value, action.session.value);
    world_.oracle.check_acting(action.session);
}

void SimNode::report(const Process& process, Phase phase, Ending ending, const char* detail) {
    SessionStatus status;
    status.session = process.assign.session;
    status.epoch = process.assign.epoch;
    status.phase = phase;
    status.ending = ending;
    status.in_force = process.assign.protection;
    status.restored_from = process.assign.restore;
    status.checkpoints = process.held;
    status.interval_ms = static_cast<std::uint32_t>(to_ms(kCheckpointInterval));
    status.detail = detail;
    tell_agent(node::SessionHappened{std::move(status)});
}

// ---------------------------------------------------------------------------- desktops

void SimNode::later(TerminalId terminal, Duration delay, std::function<void(Screen&)> then) {
    const std::uint64_t generation = screens_.at(terminal).generation;
    world_.kernel.after(delay, [this, terminal, generation, then = std::move(then)] {
        const auto at = screens_.find(terminal);
        if (at != screens_.end() && at->second.generation == generation && powered_) then(at->second);
    });
}

void SimNode::act(const node::Witness& action) {
    const SimNode* suspect = world_.site.find(action.suspect);
    const bool reached = suspect != nullptr && suspect->door() == action.endpoint && suspect->agent_runs() && !suspect->paused() &&
                         world_.network.connected(place_, suspect->place()) && world_.network.connected(suspect->place(), place_);
    const Duration takes = reached ? rng_.between(Duration(300), Duration(5000)) : Duration(500'000);
    world_.kernel.after(takes, [this, life = life_, action, reached, takes] {
        if (life != life_) return;
        tell_agent(node::WitnessResult{action.request, action.suspect, reached, static_cast<std::uint32_t>(takes.count())});
    });
}

void SimNode::act(const node::PerformDesktop& action) {
    const AssignDesktop& assign = action.assign;
    world_.oracle.performs(*this, assign);
    const TerminalId terminal = assign.terminal;
    const auto [at, added] = screens_.try_emplace(terminal);
    Screen& screen = at->second;
    const bool same = !added && screen.assign.epoch == assign.epoch && screen.assign.duty == assign.duty;
    screen.assign = assign;
    if (same) return;
    screen.generation = rng_.next();
    screen.polling = false;
    world_.kernel.trace("desktop assigned", id_.value, terminal.value, assign.epoch,
                        static_cast<std::uint64_t>(assign.duty));
    if (assign.duty == Duty::released) {
        later(terminal, rng_.between(ms(20), ms(150)), [this, terminal](Screen& s) {
            report(s, Phase::released);
            screens_.erase(terminal);
        });
        return;
    }
    const Duration takes = screen.up ? rng_.between(ms(10), ms(50)) : rng_.between(ms(300), ms(1000));
    const bool fails = !screen.up && rng_.permille(world_.conditions.start_failing_permille);
    later(terminal, takes, [this, terminal, fails](Screen& s) {
        if (fails) {
            report(s, Phase::failed);
            return;
        }
        s.up = true;
        report(s, s.assign.duty == Duty::primary ? Phase::running : Phase::standby);
        poll(terminal);
    });
}

void SimNode::poll(TerminalId terminal) {
    Screen& screen = screens_.at(terminal);
    bool changed = false;
    std::map<SessionId, WindowStatus> shown;
    for (const WindowSource& source : screen.assign.windows) {
        WindowStatus status;
        status.session = source.session;
        status.session_epoch = source.session_epoch;
        SimNode* target = source.endpoint.port == 0 ? nullptr : world_.site.find(source.ticket.claims.door);
        status.connected = agent_ && !paused_ && target != nullptr && target->door() == source.endpoint &&
                           world_.network.connected(place_, target->place()) && target->admits(source.ticket.claims);
        // A window's process ends now and then, and what it had in hand with it.
        if (status.connected && world_.conditions.people_work && rng_.permille(3)) screen.passes.erase(source.session);
        if (status.connected && !target->lets_in(source.ticket.claims, screen.passes[source.session])) {
            status.connected = false;
            status.void_ticket = source.ticket.claims.serial;
        }
        status.picture = status.connected;
        shown[source.session] = status;
    }
    changed = shown != screen.shown;
    screen.shown = std::move(shown);
    if (changed) report(screen, screen.assign.duty == Duty::primary ? Phase::running : Phase::standby);
    if (world_.conditions.people_work && screen.assign.duty == Duty::primary && rng_.permille(10)) {
        std::vector<WindowPlace> places;
        for (const WindowSource& source : screen.assign.windows) {
            places.push_back({source.session, static_cast<std::int32_t>(rng_.below(500)), 10, 640, 480});
        }
        tell_agent(node::LayoutChanged{terminal, std::move(places)});
    }
    later(terminal, kPoll, [this, terminal](Screen&) { poll(terminal); });
}

void SimNode::report(const Screen& screen, Phase phase) {
    DesktopStatus status;
    status.terminal = screen.assign.terminal;
    status.epoch = screen.assign.epoch;
    status.phase = phase;
    for (const auto& [session, window] : screen.shown) status.windows.push_back(window);
    tell_agent(node::DesktopHappened{std::move(status)});
}

// ---------------------------------------------------------------------------- the truth

bool SimNode::admits(const TicketClaims& claims) const {
    return agent_ && !paused_ && agent_->admits(claims, local()).has_value();
}

bool SimNode::lets_in(const TicketClaims& claims, Pass& pass) {
    const Pass given{incarnation_, claims.epoch, claims.serving_epoch};
    if (pass == given) return true;
    const std::int64_t told = agent_->manager_wall_ms(local());
    const std::int64_t wall_ms = told != 0 ? told : clock_.wall_ms(world_.kernel.now());
    const auto looked = book_.look_at(claims, wall_ms);
    if (!looked) {
        if (wall_ms > claims.expires_wall_ms) UNDERSTUDY_MARK("door.ticket_expired");
        else UNDERSTUDY_MARK("door.ticket_used");
        return false;
    }
    if (!book_.spend(*looked, "renewal-" + std::to_string(claims.serial), wall_ms)) return false;
    pass = given;
    return true;
}

bool SimNode::runs(const Process& process) const {
    return process.run != Run::none && !process.frozen;
}

std::optional<Epoch> SimNode::acting(SessionId session) const {
    const auto at = processes_.find(session);
    if (at == processes_.end() || !agent_ || paused_ || !runs(at->second)) return std::nullopt;
    return at->second.assign.epoch;
}

std::optional<Epoch> SimNode::could_act(SessionId session) const {
    const auto at = processes_.find(session);
    if (at == processes_.end() || !agent_ || !runs(at->second)) return std::nullopt;
    if (paused_ && !agent_->lease_valid(local())) return std::nullopt;
    return at->second.assign.epoch;
}

bool SimNode::runs_session(SessionId session, Epoch epoch) const {
    const auto at = processes_.find(session);
    return at != processes_.end() && agent_ && !paused_ && at->second.run == Run::running && !at->second.frozen &&
           at->second.assign.epoch == epoch && at->second.assign.duty == Duty::primary;
}

bool SimNode::stands_by(SessionId session) const {
    const auto at = processes_.find(session);
    return at != processes_.end() && agent_ && at->second.assign.duty == Duty::backup;
}

bool SimNode::shows_desktop(TerminalId terminal, Epoch epoch) const {
    const auto at = screens_.find(terminal);
    return at != screens_.end() && agent_ && !paused_ && at->second.up && at->second.assign.epoch == epoch &&
           at->second.assign.duty == Duty::primary;
}

bool SimNode::desktop_stands_by(TerminalId terminal) const {
    const auto at = screens_.find(terminal);
    return at != screens_.end() && agent_ && at->second.assign.duty == Duty::backup;
}

bool SimNode::window_connected(TerminalId terminal, SessionId session, Epoch epoch) const {
    const auto at = screens_.find(terminal);
    if (at == screens_.end()) return false;
    const auto window = at->second.shown.find(session);
    return window != at->second.shown.end() && window->second.connected && window->second.session_epoch == epoch;
}

std::optional<TimePoint> SimNode::memory_since(SessionId session, Epoch not_before) const {
    const auto at = processes_.find(session);
    if (at == processes_.end() || !agent_) return std::nullopt;
    const Process& process = at->second;
    const bool held = std::any_of(process.held.begin(), process.held.end(), [&](const CheckpointInfo& info) { return info.id.epoch >= not_before; });
    const bool runs_it = process.run == Run::running && process.assign.duty == Duty::primary && process.assign.epoch >= not_before;
    if (!held && !runs_it) return std::nullopt;
    return process.memory_since;
}

std::vector<SessionId> SimNode::running_sessions() const {
    std::vector<SessionId> sessions;
    for (const auto& [session, process] : processes_) {
        if (process.run == Run::running && agent_) sessions.push_back(session);
    }
    return sessions;
}

}  // namespace understudy::sim
