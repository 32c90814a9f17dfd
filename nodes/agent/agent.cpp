// See agent.hpp.
#include "nodes/agent/agent.hpp"

#include <sodium.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <utility>

#include <spdlog/spdlog.h>

#include "nodes/agent/base/cgroup.hpp"
#include "nodes/agent/base/tcp.hpp"
#include "nodes/agent/enrol.hpp"
#include "nodes/agent/probe.hpp"
#include "protocol/ticket.hpp"

namespace understudy::node {
namespace {

constexpr Duration kLoadInterval = std::chrono::seconds(1);
constexpr Duration kKeyLookInterval = std::chrono::hours(1);
constexpr Duration kNameAgain = std::chrono::seconds(2);
constexpr int kNextLookMs = 10;  ///< for the moments in which two connections are open
constexpr Duration kLongAway = std::chrono::milliseconds(500);  ///< of the loop, from what it should look at: worth a line
constexpr std::int64_t kDayMs = 24 * 60 * 60 * 1000;

std::int64_t wall_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
    char name[256]{};
    ::gethostname(name, sizeof name - 1);
    return name;
}

std::string new_renewal() {
    std::array<unsigned char, 32> bytes{};
    ::randombytes_buf(bytes.data(), bytes.size());
    std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
    ::sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    text.pop_back();  // libsodium counts the terminator
    return text;
}

// The parts of the agent that are no adapters do not know the logging library.
void log(const std::string& level, const std::string& words) {
    spdlog::log(level == "debug" ? spdlog::level::debug : level == "warning" ? spdlog::level::warn : spdlog::level::info, "{}", words);
}

Identity make_identity(const Config& config, const CheckpointProbe& probe, std::uint16_t port, const std::string& door_key) {
    Identity identity;
    identity.node = config.node;
    ::randombytes_buf(&identity.incarnation, sizeof identity.incarnation);
    identity.incarnation >>= 1U;  // stays positive in stores that know signed numbers only
    identity.software = config.software;
    identity.host_name = config.host_name.empty() ? host_name() : config.host_name;
    identity.slots = config.slots;
    identity.door_port = port;
    identity.door_key = door_key;
    identity.memory_mib = LoadMeter::memory_mib();
    identity.can_checkpoint = probe.possible;
    identity.checkpoint_reason = probe.reason;
    return identity;
}

}  // namespace

Agent::Agent(const Config& config, OwnKeys keys, const Identity& identity)
    : config_(config), incarnation_(identity.incarnation), core_(identity), keys_(std::move(keys)), witnesses_(loop_, pump_) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::start(const Config& config, OwnKeys keys) {
    if (::sodium_init() < 0) return failure(ErrorCode::failed, "libsodium does not start");
    const auto account = find_account(config.user);
    if (!account) return failure(ErrorCode::failed, account.error().message + "; applications run as this one (option sessions.user)");
    auto listener = listen_on(config.door_address, config.door_port);
    if (!listener) return failure(ErrorCode::failed, listener.error().message + "; the door's port is the option node.door_port");
    // In memory only, and not before a copied machine has become an individual.
    auto door = streams::DoorIdentity::make();
    if (!door) return tl::unexpected(door.error());
    std::error_code wrong;
    std::filesystem::create_directories(config.run_folder, wrong);
    // Whatever an earlier agent started must be gone before anything is said to the manager.
    clear_leftover_groups(config.cgroup_root);
    const auto probe = probe_checkpoints(config.run_folder + "/checkpoint-probe", kProbePatienceMs);
    spdlog::info("node={} door={} checkpoints={}", config.node.value, port_of(listener->get()), probe.possible ? "possible" : probe.reason);
    std::unique_ptr<Agent> agent(new Agent(config, std::move(keys), make_identity(config, probe, port_of(listener->get()), door->key())));
    if (auto opened = agent->open_parts(*account, std::move(*listener), std::move(*door), probe.possible, probe.reason); !opened) return tl::unexpected(opened.error());
    return agent;
}

Result<> Agent::open_parts(const Account& account, Descriptor listener, streams::DoorIdentity door, bool can_checkpoint, const std::string& reason) {
    ExecutionSettings execution;
    execution.sessions_folder = config_.state_folder + "/sessions";
    execution.environments_folder = config_.state_folder + "/environments";
    execution.programs_folder = config_.programs_folder;
    execution.cgroup_root = config_.cgroup_root;
    execution.account = account;
    execution.geometry = config_.geometry;
    execution.pause_budget = config_.pause_budget;
    execution.loopback_alias = config_.loopback_alias;
    execution.can_checkpoint = can_checkpoint;
    execution.pump = &pump_;
    execution.checkpoint_reason = reason;
    SessionServices sessions;
    sessions.report = [this](SessionStatus status) { feed(SessionHappened{std::move(status)}); };
    sessions.window_connections = [this](SessionId session) { return door_ ? door_->window_connections(session) : std::vector<int>{}; };
    sessions.windows_may_connect = [this](SessionId session) {
        if (door_) door_->retry_held(session);
    };
    sessions.log = log;
    sessions_ = std::make_unique<Sessions>(loop_, std::move(execution), std::move(sessions));

    PresentationSettings presentation;
    presentation.run_folder = config_.run_folder;
    presentation.programs_folder = config_.programs_folder;
    presentation.cgroup_root = config_.cgroup_root;
    presentation.account = account;
    presentation.loopback_alias = config_.loopback_alias;
    DesktopServices desktops;
    desktops.report = [this](DesktopStatus status) { feed(DesktopHappened{std::move(status)}); };
    desktops.layout_changed = [this](TerminalId terminal, std::vector<WindowPlace> places) { feed(LayoutChanged{terminal, std::move(places)}); };
    desktops.log = log;
    desktops_ = std::make_unique<Desktops>(loop_, std::move(presentation), std::move(desktops));
    open_door(std::move(listener), std::move(door));

    return {};
}

Result<std::unique_ptr<Link>> Agent::connect() {
    Link::Listener listening;
    listening.on_message = [this](const Message& message) { hear(message); };
    listening.on_change = [this](bool up) {
        spdlog::info("the connection to the manager {}", up ? "stands" : "broke");
        feed(LinkChanged{up});
    };
    listening.on_nonsense = [](const std::string& why) { spdlog::warn("something that is no message came from the manager: {}", why); };
    return Link::open(config_, keys_.current(), incarnation_, std::move(listening));
}

void Agent::hear(const Message& message) {
    link_before_.reset();
    if (const auto* named = std::get_if<KeyNamed>(&message)) loop_.post([this, named = *named] { take_new_key(named); });
    else feed(FromManager{message});
}

// ---- keys

void Agent::look_at_keys() {
    const std::int64_t age = wall_ms() - keys_.made_wall_ms();
    if (!keys_.is_given() && config_.renew_days != 0 && age > config_.renew_days * kDayMs) renew_keys();
    loop_.after(kKeyLookInterval, [this] { look_at_keys(); });
}

/// The key before serves until the manager has heard the next one.
void Agent::renew_keys() {
    if (link_next_) return;  // one after the other
    const auto next = keys_.next(wall_ms());
    if (!next) {
        spdlog::warn("the key of this agent stays as it is: {}", next.error().message);
        return;
    }
    if (renewing_ != 0) loop_.cancel(renewing_);
    link_->send(NameKey{next->public_key});
    renewing_ = loop_.after(kNameAgain, [this] {
        renewing_ = 0;
        renew_keys();
    });
}

void Agent::take_new_key(const KeyNamed& named) {
    if (renewing_ == 0 || named.code == static_cast<std::uint32_t>(ErrorCode::unavailable)) return;
    loop_.cancel(std::exchange(renewing_, 0));
    if (named.code != 0) {
        spdlog::warn("the key of this agent stays as it is: {}", named.text);
        return;
    }
    if (const auto taken = keys_.take_next(); !taken) {
        spdlog::warn("the key of this agent stays as it is: {}", taken.error().message);
        return;
    }
    auto link = connect();
    if (!link) {
        spdlog::error("no connection under the new key: {}", link.error().message);
        return;
    }
    link_next_ = std::move(*link);
}

/// The manager ends the connection before when it hears this one.
void Agent::look_at_next_link() {
    link_next_->wait(-1, 0);
    if (!link_next_->stands()) return;
    spdlog::info("this agent has a new key");
    link_before_ = std::exchange(link_, std::move(link_next_));
    feed(LinkChanged{true});
}

void Agent::open_door(Descriptor listener, streams::DoorIdentity identity) {
    DoorTargets targets;
    targets.open_ticket = [this](std::string_view text) -> Result<TicketClaims> {
        // Before the ticket is looked at: without a manager nobody can have a better one.
        if (!core_.lease_valid(loop_.now())) return failure(ErrorCode::unavailable, "this node has no lease; it waits for its manager");
        return open_ticket(text, core_.ticket_key());
    };
    targets.admits = [this](const TicketClaims& claims) { return core_.admits(claims, loop_.now()); };
    // A guest's own clock may be anywhere.
    targets.wall_ms = [this] {
        const auto told = core_.manager_wall_ms(loop_.now());
        return told != 0 ? told : wall_ms();
    };
    targets.new_renewal = new_renewal;
    targets.comes_up = [this](const TicketClaims& claims) {
        return core_.lease_valid(loop_.now()) && claims.door == config_.node && sessions_->comes_up(claims.session, claims.serving_epoch, claims.epoch);
    };
    targets.screen_socket = [this](SessionId session) { return sessions_->screen_socket(session); };
    targets.desktop_socket = [this](TerminalId terminal) { return desktops_->socket(terminal); };
    targets.take_checkpoints = [this](const TicketClaims& claims, Descriptor socket, std::function<void()> on_gone) {
        return sessions_->accept_checkpoints(claims.session, std::move(socket), claims.epoch, std::move(on_gone));
    };
    targets.lapses = [this] { return lease_.lapses(); };
    targets.log = log;
    door_ = std::make_unique<Door>(loop_, std::move(listener), std::move(identity), std::move(targets));
}

// What a performer reports while an action is carried out waits until the step is done: actions keep
// their order, and the core is never entered twice.
void Agent::feed(const Event& event) {
    waiting_.push_back(event);
    if (feeding_) return;
    feeding_ = true;
    while (!waiting_.empty()) {
        const auto events = std::exchange(waiting_, {});
        for (const auto& one : events) carry_out(core_.handle(loop_.now(), one));
    }
    feeding_ = false;
}

void Agent::carry_out(const Step& step) {
    wake_at_ = step.wake_at;
    lease_.ends_at(core_.lease_end());
    for (const auto& action : step.actions) std::visit([this](const auto& one) { on(one); }, action);
}

void Agent::on(const SendToManager& action) {
    if (link_) link_->send(action.message);
}

void Agent::on(const PerformSession& action) {
    const auto& assign = action.assign;
    spdlog::info("session={} epoch={} incident={} duty={} {}", assign.session.value, assign.epoch, assign.incident.value,
                 static_cast<int>(assign.duty), assign.application.name);
    sessions_->perform(assign);
    door_->recheck();
}

void Agent::on(const PerformDesktop& action) {
    const auto& assign = action.assign;
    spdlog::info("terminal={} epoch={} incident={} desktop duty={} windows={}", assign.terminal.value, assign.epoch, assign.incident.value,
                 static_cast<int>(assign.duty), assign.windows.size());
    desktops_->perform(assign);
    door_->recheck();
}

void Agent::on(const FreezeSession& action) {
    spdlog::warn("session={} frozen: the lease ran out", action.session.value);
    sessions_->freeze(action.session);
}

void Agent::on(const ThawSession& action) {
    spdlog::info("session={} goes on", action.session.value);
    sessions_->thaw(action.session);
}

void Agent::on(const CloseDoor&) {
    spdlog::warn("the door is closed: no lease");
    door_->cut_all();
}

void Agent::on(const OpenDoor&) { spdlog::info("registration={} the door is open", core_.registration()); }

void Agent::on(const Witness& action) {
    const auto request = action.request;
    const auto suspect = action.suspect;
    witnesses_.probe(as_seen_here(action.endpoint, config_.loopback_alias), [this, request, suspect](bool reached, Duration round_trip) {
        feed(WitnessResult{request, suspect, reached, static_cast<std::uint32_t>(round_trip.count())});
    });
}

void Agent::measure_load() {
    const auto load = load_.measure();
    feed(LoadMeasured{load.busy_permille, load.memory_used_mib});
    loop_.after(kLoadInterval, [this] { measure_load(); });
}

void Agent::take_signals(int signals) {
    signalfd_siginfo said{};
    while (::read(signals, &said, sizeof said) == static_cast<ssize_t>(sizeof said)) {
        if (said.ssi_signo != SIGHUP) ending_ = true;
        else if (link_) renew_keys();
    }
}

Result<> Agent::begin() {
    if (config_.one_time_key && keys_.is_given()) {
        if (auto enrolled = enrol(config_, keys_, loop_, ending_); !enrolled) return enrolled;
    }
    auto link = connect();
    if (!link) return tl::unexpected(link.error());
    link_ = std::move(*link);
    return {};
}

/// Who looks for the reason of a silence finds here whether this node was at work or had no processor.
void Agent::note_away(Duration late, Duration at_work) {
    if (late >= kLongAway) spdlog::warn("the agent was woken {} ms late: this machine has too little of a processor, or stood still", to_ms(late));
    if (at_work >= kLongAway) spdlog::warn("the agent was busy for {} ms at one go, and heard nothing meanwhile", to_ms(at_work));
}

Result<> Agent::run(int signals) {
    const auto watch = loop_.watch(signals, EPOLLIN, [this, signals](std::uint32_t) { take_signals(signals); });
    if (auto begun = begin(); !begun) return ending_ ? Result<>() : begun;
    feeding_ = true;
    carry_out(core_.start(loop_.now()));
    feeding_ = false;
    measure_load();
    look_at_keys();
    while (!ending_) {
        int timeout_ms = loop_.timeout_ms();
        if (wake_at_ != kNever) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake_at_ - loop_.now()).count();
            const int until_wake = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
            timeout_ms = timeout_ms < 0 ? until_wake : std::min(timeout_ms, until_wake);
        }
        if (link_next_) timeout_ms = timeout_ms < 0 ? kNextLookMs : std::min(timeout_ms, kNextLookMs);
        const TimePoint due = loop_.now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
        link_->wait(loop_.descriptor(), timeout_ms);
        const TimePoint woken = loop_.now();
        if (link_next_) look_at_next_link();
        loop_.dispatch();
        if (loop_.now() >= wake_at_) feed(Woken{});
        note_away(timeout_ms < 0 ? Duration::zero() : woken - due, loop_.now() - woken);
    }
    loop_.unwatch(watch);
    spdlog::info("ending");
    return {};
}

}  // namespace understudy::node
