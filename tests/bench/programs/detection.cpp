// From the end of a machine to the redirect at its terminal: the manager's own loop, wire and store, and machines that are
// processes (process_hypervisor.hpp). Whoever measures says line by line on standard input how the machine that shows
// the desktop dies, and gets a line of JSON for each: how long it took, and at the very same death the limits: when a
// pidfd was readable, and when a ROUTER that does nothing else saw the connection break.
//
//   bench-detection run --dir DIR [--heartbeat-ms N …] [--unwatched]
//       killed    kill -9                   stopped   SIGSTOP
//       dropped   iptables drops all of its packets: in a network namespace of its own only
//       report    how often the desktop moved so far
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include "manager/adapters/audit/audit_worker.hpp"
#include "manager/adapters/config/node_key_files.hpp"
#include "manager/adapters/hypervisor/hypervisor_workers.hpp"
#include "manager/adapters/store/open_store.hpp"
#include "manager/adapters/store/store_worker.hpp"
#include "manager/adapters/system/log.hpp"
#include "manager/adapters/system/signals.hpp"
#include "manager/adapters/wire/router.hpp"
#include "manager/core/state.hpp"
#include "manager/runtime/loop.hpp"
#include "protocol/codec.hpp"
#include "tests/bench/programs/process_hypervisor.hpp"

namespace {

using namespace understudy;
using namespace understudy::bench;
using namespace understudy::manager;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kHost = "here";
constexpr auto kPatience = 60s;

double us_between(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double, std::micro>(to - from).count(); }

zmq::socket_t curve_socket(zmq::context_t& context, zmq::socket_type type, const CurveKeys& keys) {
    zmq::socket_t socket(context, type);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::curve_publickey, keys.public_key);
    socket.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    return socket;
}

/// Somebody at a terminal, on a thread of its own: when was it told where its desktop is?
class Terminal {
  public:
    explicit Terminal(CurveKeys keys) : keys_(std::move(keys)) {}
    ~Terminal() {
        leave_ = true;
        if (thread_.joinable()) thread_.join();
    }

    void attach(const std::string& manager, const std::string& server_key) {
        thread_ = start_thread([this, manager, server_key] { run(manager, server_key); });
    }
    [[nodiscard]] const std::string& public_key() const { return keys_.public_key; }
    [[nodiscard]] std::pair<Epoch, Clock::time_point> told() const {
        const std::lock_guard lock(mutex_);
        return {epoch_, at_};
    }

  private:
    void run(const std::string& manager, const std::string& server_key) {
        zmq::socket_t socket = curve_socket(context_, zmq::socket_type::dealer, keys_);
        socket.set(zmq::sockopt::curve_serverkey, server_key);
        socket.set(zmq::sockopt::rcvtimeo, 200);
        socket.connect(manager);
        std::uint64_t said = 0;
        const auto say = [&](const Message& message) { static_cast<void>(socket.send(zmq::buffer(encode({1, ++said, message})), zmq::send_flags::none)); };
        say(TerminalAttach{"desk", 0, 0, 0});
        for (zmq::message_t frame; !leave_;) {
            if (!socket.recv(frame, zmq::recv_flags::none)) continue;
            const auto now = Clock::now();
            const auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
            const auto* redirect = envelope ? std::get_if<TerminalRedirect>(&envelope->message) : nullptr;
            if (redirect == nullptr) continue;
            {
                const std::lock_guard lock(mutex_);
                if (redirect->epoch > epoch_) at_ = now;
                epoch_ = std::max(epoch_, redirect->epoch);
            }
            say(TerminalSeen{redirect->terminal, redirect->epoch, "picture", redirect->incident});
        }
    }

    CurveKeys keys_;
    zmq::context_t context_{1};
    mutable std::mutex mutex_;
    Epoch epoch_ = 0;
    Clock::time_point at_{};
    std::atomic<bool> leave_{false};
    std::thread thread_;
};

/// The limit of a broken connection: encrypted as the manager's, and watched.
class BareRouter {
  public:
    explicit BareRouter(const CurveKeys& keys) : router_(curve_socket(context_, zmq::socket_type::router, keys)), ends_(context_, zmq::socket_type::pair) {
        router_.set(zmq::sockopt::curve_server, true);
        ::zmq_socket_monitor(router_.handle(), "inproc://ends", ZMQ_EVENT_DISCONNECTED);
        ends_.connect("inproc://ends");
        router_.bind("tcp://127.0.0.1:*");
    }
    [[nodiscard]] std::string endpoint() const { return router_.get(zmq::sockopt::last_endpoint); }
    [[nodiscard]] zmq::pollitem_t item() { return {ends_.handle(), 0, ZMQ_POLLIN, 0}; }
    void forget() {
        for (zmq::message_t frame; ends_.recv(frame, zmq::recv_flags::dontwait);) continue;
    }

  private:
    zmq::context_t context_{1};
    zmq::socket_t router_;
    zmq::socket_t ends_;
};

/// How a machine dies. On a thread of its own, beside the manager's loop, which waits for whatever comes.
class Death {
  public:
    Death(std::string how, pid_t process, std::string address, BareRouter& bare, Duration delay)
        : how_(std::move(how)), process_(process), address_(std::move(address)), bare_(bare), thread_(start_thread([this, delay] { run(delay); })) {}

    ~Death() {
        if (thread_.joinable()) thread_.join();
    }

    /// Packets pass again. On a thread of its own: a manager's loop that stands still would not hear of the key of a machine
    /// that is made meanwhile, and a machine that is refused once does not ask again.
    [[nodiscard]] std::thread undo() const {
        if (how_ != "dropped") return {};
        return start_thread([address = address_] { drop("-D", address); });
    }

    /// Blocks until all that can be seen of it has been seen.
    nlohmann::json take(Clock::time_point redirected) {
        thread_.join();
        nlohmann::json said{{"how", how_}, {"redirect_us", us_between(at_, redirected)}};
        if (pidfd_us_ > 0) said["pidfd_us"] = pidfd_us_;
        if (broken_us_ > 0) said["disconnect_us"] = broken_us_;
        return said;
    }

  private:
    static void drop(const std::string& act, const std::string& address) {
        for (const char* side : {"-s ", "-d "}) {
            const std::string command = "iptables -w " + act + " INPUT " + side + address + " -j DROP";
            if (std::system(command.c_str()) != 0) std::cerr << command << ": failed\n";
        }
    }

    void run(Duration delay) {
        const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, process_, 0)));
        bare_.forget();
        std::this_thread::sleep_for(delay);
        at_ = Clock::now();
        if (how_ == "dropped") return drop("-I", address_);
        ::kill(process_, how_ == "killed" ? SIGKILL : SIGSTOP);
        const auto limit = at_ + 2s;
        while (how_ == "killed" && (pidfd_us_ == 0 || broken_us_ == 0) && Clock::now() < limit) {
            std::array<zmq::pollitem_t, 2> items{{bare_.item(), {nullptr, handle.get(), static_cast<short>(pidfd_us_ == 0 ? ZMQ_POLLIN : 0), 0}}};
            zmq::poll(items.data(), items.size(), 100ms);
            const auto now = Clock::now();
            if (items[0].revents != 0 && broken_us_ == 0) broken_us_ = us_between(at_, now);
            if (items[1].revents != 0) pidfd_us_ = us_between(at_, now);
            if (items[0].revents != 0) bare_.forget();
        }
    }

    std::string how_;
    pid_t process_;
    std::string address_;
    BareRouter& bare_;
    Clock::time_point at_{};
    double pidfd_us_ = 0;
    double broken_us_ = 0;
    std::thread thread_;  // last: the others are there when it starts
};

/// A thread that is waited for.
class Undoing {
  public:
    ~Undoing() { join(); }
    void start(std::thread thread) { thread_ = std::move(thread); }
    void join() {
        if (thread_.joinable()) thread_.join();
    }

  private:
    std::thread thread_;
};

struct Options {
    std::string dir;
    std::uint32_t heartbeat_ms = 1000;
    std::uint32_t silence_ms = 3000;
    std::uint32_t lease_ms = 10000;
    std::uint32_t grace_ms = 1000;
    std::uint32_t collect_ms = 500;
    std::uint32_t window_ms = 10000;
    bool unwatched = false;
};

Settings settings_of(const Options& options) {
    Settings settings;
    settings.heartbeat = std::chrono::milliseconds(options.heartbeat_ms);
    settings.silence = std::chrono::milliseconds(options.silence_ms);
    settings.lease = std::chrono::milliseconds(options.lease_ms);
    settings.suspect_grace = std::chrono::milliseconds(options.grace_ms);
    settings.gate_collect = std::chrono::milliseconds(options.collect_ms);
    settings.gate_window = std::chrono::milliseconds(options.window_ms);
    settings.tick = std::min(settings.tick, settings.heartbeat / 4);
    return settings;
}

std::vector<Wish> wishes() {
    HostRecord host;
    host.name = kHost;
    host.uri = "bench:///here";
    host.domain = kHost;
    host.vcpus = 64;
    host.memory_mib = 65536;
    PoolRecord pool;
    pool.flavour = "small";
    pool.image = "base";
    pool.min_idle = 2;
    pool.max_total = 16;
    ProfileRecord profile;
    profile.name = "office";
    profile.flavour = "small";
    profile.separation = Separation::instance;
    profile.applications.push_back({Application{"xterm", "Terminal", {"xterm"}, {}}, Protection::restart});
    return {DefineHost{host}, DefinePool{pool}, DefineProfile{profile}, DefineTerminal{"desk", "office"}};
}

/// Everything runs, and everybody who should stand by does.
bool settled(const State& state) {
    if (state.terminals.rows().empty()) return false;
    const TerminalRecord& terminal = state.terminals.rows().begin()->second;
    const auto desktop = [&](NodeId node, Phase phase) {
        const auto live = state.live.find(node);
        if (live == state.live.end() || live->second.health != Health::healthy) return false;
        const auto found = live->second.desktops.find(terminal.id);
        return found != live->second.desktops.end() && found->second.phase == phase && found->second.epoch == terminal.epoch;
    };
    if (!desktop(terminal.presentation, Phase::running) || terminal.backups.size() != 1 || !desktop(terminal.backups[0], Phase::standby)) return false;
    for (const auto& [id, session] : state.sessions.rows()) {
        if (!session.primary || session.backups.empty()) return false;
    }
    for (const auto& [id, node] : state.nodes.rows()) {
        if (node.state != NodeState::serving && node.state != NodeState::idle) return false;
    }
    return !state.sessions.rows().empty();
}

int run(const Options& options) {
    const UniqueFd signals = take_over_signals();
    const auto directory = make_state_directory(options.dir);
    if (!directory) throw std::runtime_error(directory.error().message);
    const auto log = open_log(LogWeight::debug, options.dir + "/log");
    if (!log) throw std::runtime_error(log.error().message);
    const Settings settings = settings_of(options);
    auto opened = open_store(options.dir + "/store.db", settings);
    if (!opened) throw std::runtime_error(opened.error().message);
    RouterOptions wire;
    wire.listen = "tcp://127.0.0.1:0";
    wire.keys = directory->keys;
    auto router = Router::open(wire);
    if (!router) throw std::runtime_error(router.error().message);

    Mailbox<Arrival> mailbox;
    const ArrivalSink sink = [&mailbox](Arrival arrival) { mailbox.push(std::move(arrival)); };
    BareRouter bare(directory->keys);
    MachineOptions common;
    common.manager = (*router)->endpoint();
    common.server_key = directory->keys.public_key;
    common.bare = bare.endpoint();
    ProcessHypervisor machines(common, !options.unwatched, sink);
    HypervisorWorkers hypervisors(settings.parallel_creations, sink);
    hypervisors.add_host(kHost, machines);
    TicketSealer sealer(directory->ticket_keys);
    StoreWorker store(std::move(opened->store), sink);
    AuditWorker audit(options.dir + "/audit.log", sink);
    NodeKeyFiles keys(options.dir + "/keys", sink);
    Terminal terminal(make_curve_keys());
    LoopOptions given;
    given.version = "bench";
    given.peers.push_back({{terminal.public_key()}, {PeerRole::terminal, "desk", {}, {"desk"}}, {}});
    Loop loop({store, sealer, hypervisors, **router, audit, keys, mailbox, *log}, given, std::move(opened->core), opened->head);
    loop.start(wishes());
    terminal.attach((*router)->endpoint(), directory->keys.public_key);

    std::mt19937 chance(1);
    std::string wanted;
    Epoch epoch = 0;
    std::uint64_t moved_for_cause = 0;
    Undoing undoing;
    std::unique_ptr<Death> death;
    auto since = Clock::now();
    const std::array<int, 2> others{STDIN_FILENO, signals.get()};
    for (;;) {
        loop.turn(50ms, others);
        if (loop.fatal()) throw std::runtime_error(loop.fatal()->message);
        const int signal = next_signal(signals);
        if (signal == SIGTERM || signal == SIGINT) return 0;
        if (signal == SIGCHLD) loop.child_ended();
        const State& state = loop.core().state();
        if (death) {
            const auto [told, at] = terminal.told();
            if (told > epoch) {
                std::cout << death->take(at).dump() << std::endl;
                undoing.join();
                undoing.start(death->undo());
                death.reset();
                wanted.clear();
                ++moved_for_cause;
            }
        } else if (!wanted.empty() && settled(state)) {
            const TerminalRecord& desk = state.terminals.rows().begin()->second;
            epoch = terminal.told().first;
            std::uniform_int_distribution<Duration::rep> delay(2000, Duration(settings.heartbeat).count() + 2000);
            death = std::make_unique<Death>(wanted, machines.process(desk.presentation), ProcessHypervisor::address(desk.presentation), bare, Duration(delay(chance)));
        }
        if (!wanted.empty() && Clock::now() - since > kPatience) throw std::runtime_error("the desktop did not move, or did not come to rest, within a minute");
        pollfd input{STDIN_FILENO, POLLIN, 0};
        if (!wanted.empty() || ::poll(&input, 1, 0) <= 0) continue;
        if (!std::getline(std::cin, wanted)) return 0;
        since = Clock::now();
        if (wanted != "report") continue;
        // The first redirect is where the desktop came from; every other one was a move.
        const Epoch now = terminal.told().first;
        std::cout << nlohmann::json{{"settled", settled(state)}, {"epoch", now}, {"moved_for_cause", moved_for_cause}}.dump() << std::endl;
        wanted.clear();
    }
}

}  // namespace

int main(int count, char** words) {
    CLI::App program{"How soon the end of a machine reaches its terminal"};
    program.require_subcommand(1);
    Options options;
    CLI::App& manager = *program.add_subcommand("run", "be the manager, and let machines die");
    manager.add_option("--dir", options.dir, "an empty folder")->required();
    manager.add_option("--heartbeat-ms", options.heartbeat_ms);
    manager.add_option("--silence-ms", options.silence_ms);
    manager.add_option("--lease-ms", options.lease_ms);
    manager.add_option("--grace-ms", options.grace_ms);
    manager.add_option("--collect-ms", options.collect_ms);
    manager.add_option("--window-ms", options.window_ms, "machines that fall silent within so long fall silent together");
    manager.add_flag("--unwatched", options.unwatched, "no process is watched: only its connection tells of a machine's end");
    MachineOptions machine;
    CLI::App& one = *program.add_subcommand("machine", "be one of its machines");
    one.add_option("--manager", machine.manager)->required();
    one.add_option("--server-key", machine.server_key)->required();
    one.add_option("--public-key", machine.public_key)->required();
    one.add_option("--secret-key", machine.secret_key)->required();
    one.add_option("--address", machine.address)->required();
    one.add_option("--bare", machine.bare);
    one.add_option("--node", machine.node)->required();
    one.add_option("--slots", machine.slots);
    CLI11_PARSE(program, count, words);
    try {
        if (one.parsed()) run_machine(machine);
        return run(options);
    } catch (const std::exception& problem) {
        std::cerr << problem.what() << '\n';
        return 1;
    }
}
