// See link.hpp.
#include "client/link/link.hpp"

#include <sodium.h>

#include <csignal>
#include <cstring>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

namespace understudy::client {
namespace {

constexpr int kHighWaterMessages = 1000;
constexpr int kHandshakeMs = 5000;
constexpr int kHeartbeatMs = 2000;
constexpr int kHeartbeatTimeoutMs = 6000;
constexpr int kReconnectFirstMs = 20;
constexpr int kReconnectLastMs = 1000;
constexpr int kGoodbyeMs = 100;
constexpr std::size_t kWaitingMessages = 256;  ///< between our queue and the socket, while it is full
constexpr int kMessagesPerTurn = 64;           ///< so that a flood of one kind cannot starve the others
constexpr const char* kCommands = "inproc://commands";
constexpr const char* kMonitor = "inproc://monitor";

/// What the socket's monitor says, reduced to what matters here.
struct SocketEvent {
    int kind = 0;
    int value = 0;
};

bool take_socket_event(zmq::socket_t& monitor, SocketEvent& event) {
    zmq::message_t head;
    if (!monitor.recv(head, zmq::recv_flags::dontwait)) return false;
    std::uint16_t kind = 0;
    std::int32_t value = 0;
    if (head.size() >= sizeof kind + sizeof value) {
        std::memcpy(&kind, head.data(), sizeof kind);
        std::memcpy(&value, head.data<char>() + sizeof kind, sizeof value);
    }
    if (head.more()) {
        zmq::message_t address;
        static_cast<void>(monitor.recv(address, zmq::recv_flags::none));
    }
    event = {kind, value};
    return true;
}

void configure(zmq::socket_t& socket, const Configuration& configuration) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::immediate, 1);  // nothing is queued for a connection that does not exist
    socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::kMessageBytes));
    socket.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
    socket.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
    socket.set(zmq::sockopt::heartbeat_timeout, kHeartbeatTimeoutMs);
    socket.set(zmq::sockopt::reconnect_ivl, kReconnectFirstMs);
    socket.set(zmq::sockopt::reconnect_ivl_max, kReconnectLastMs);
    socket.set(zmq::sockopt::sndhwm, kHighWaterMessages);
    socket.set(zmq::sockopt::rcvhwm, kHighWaterMessages);
    socket.set(zmq::sockopt::curve_serverkey, configuration.manager_key);
    socket.set(zmq::sockopt::curve_publickey, configuration.keys.public_key);
    socket.set(zmq::sockopt::curve_secretkey, configuration.keys.secret_key);
}

}  // namespace

struct Link::Threaded {
    Threaded(const Configuration& given, LinkSink given_sink)
        : configuration(given), sink(std::move(given_sink)), incarnation(randombytes_random()) {}

    ~Threaded() {
        if (worker.joinable()) {
            zmq::message_t stop;  // an empty message ends the thread
            commands.send(stop, zmq::send_flags::none);
            worker.join();
        }
    }

    /// Signals are the program's business, not this thread's: an interrupted poll would be an error here.
    void start() {
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        worker = std::thread([this] { run(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void run() {
        bool running = true;
        while (running) {
            std::vector<zmq::pollitem_t> items = {
                {socket.handle(), 0, static_cast<short>(outgoing.empty() ? ZMQ_POLLIN : ZMQ_POLLIN | ZMQ_POLLOUT), 0},
                {monitor.handle(), 0, ZMQ_POLLIN, 0},
                {orders.handle(), 0, ZMQ_POLLIN, 0}};
            zmq::poll(items, std::chrono::milliseconds(-1));
            take_socket_events();
            running = take_orders();
            send_outgoing();
            take_messages();
        }
        // A goodbye may still leave; without a connection there is nothing to wait for.
        if (up) socket.set(zmq::sockopt::linger, kGoodbyeMs);
    }

    void take_socket_events() {
        SocketEvent event;
        for (int turn = 0; turn < kMessagesPerTurn && take_socket_event(monitor, event); ++turn) {
            if (event.kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
                up = true;
                reason.clear();
                sink(LinkUp{});
            } else if (event.kind == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
                down("the manager at " + configuration.manager + " does not admit this key: enter public key " +
                         configuration.keys.public_key + " with a role in the manager's configuration",
                     true);
            } else if (event.kind == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
                       event.kind == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
                down("the handshake with " + configuration.manager +
                         " failed: check that manager_key is the manager's public key",
                     false);
            } else if (event.kind == ZMQ_EVENT_DISCONNECTED && up) {
                down("the connection to the manager at " + configuration.manager + " was lost", false);
            } else if (event.kind == ZMQ_EVENT_CONNECT_RETRIED && !up && reason.empty()) {
                down("no manager answers at " + configuration.manager +
                         ": check that understudyd runs and that the address is right",
                     false);
            }
        }
    }

    void down(const std::string& why, bool denied) {
        outgoing.clear();
        if (!up && reason == why) return;
        up = false;
        reason = why;
        sink(LinkDown{why, denied});
    }

    bool take_orders() {
        for (int turn = 0; turn < kMessagesPerTurn; ++turn) {
            zmq::message_t order;
            if (!orders.recv(order, zmq::recv_flags::dontwait)) return true;
            if (order.size() == 0) return false;
            if (up && outgoing.size() < kWaitingMessages) outgoing.push_back(std::move(order));
        }
        return true;
    }

    void send_outgoing() {
        while (!outgoing.empty()) {
            zmq::message_t copy;
            copy.copy(outgoing.front());
            if (!socket.send(copy, zmq::send_flags::dontwait)) return;
            outgoing.pop_front();
        }
    }

    void take_messages() {
        for (int turn = 0; turn < kMessagesPerTurn; ++turn) {
            zmq::message_t frame;
            if (!socket.recv(frame, zmq::recv_flags::dontwait)) return;
            auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
            if (!envelope) {
                // Said aloud, because a manager of another version would otherwise look like a silent one.
                sink(Unreadable{"the manager sent something that cannot be read: " + envelope.error().message});
                continue;
            }
            sink(Received{std::move(envelope->message)});
        }
    }

    Configuration configuration;
    LinkSink sink;
    std::uint64_t incarnation;
    std::uint64_t sequence = 0;

    zmq::context_t context{1};
    zmq::socket_t commands{context, zmq::socket_type::pair};  // the caller's end
    zmq::socket_t orders{context, zmq::socket_type::pair};    // the thread's end
    zmq::socket_t socket{context, zmq::socket_type::dealer};
    zmq::socket_t monitor{context, zmq::socket_type::pair};
    std::thread worker;

    // Used by the worker only.
    bool up = false;
    std::string reason;
    std::deque<zmq::message_t> outgoing;
};

Link::Link(std::unique_ptr<Threaded> threaded) : threaded_(std::move(threaded)) {}
Link::~Link() = default;

Result<std::unique_ptr<Link>> Link::open(const Configuration& configuration, LinkSink sink) {
    if (sodium_init() < 0) return failure(ErrorCode::failed, "libsodium does not start");
    try {
        auto threaded = std::make_unique<Threaded>(configuration, std::move(sink));
        configure(threaded->socket, configuration);
        for (zmq::socket_t* side : {&threaded->commands, &threaded->orders, &threaded->monitor}) {
            side->set(zmq::sockopt::linger, 0);
        }
        threaded->orders.bind(kCommands);
        threaded->commands.connect(kCommands);
        if (zmq_socket_monitor(threaded->socket.handle(), kMonitor, ZMQ_EVENT_ALL) != 0) throw zmq::error_t();
        threaded->monitor.connect(kMonitor);
        threaded->socket.connect(configuration.manager);
        threaded->start();
        return std::unique_ptr<Link>(new Link(std::move(threaded)));
    } catch (const zmq::error_t& error) {
        const auto code = error.num() == EINVAL ? ErrorCode::invalid : ErrorCode::failed;
        return failure(code, "cannot connect to the manager at \"" + configuration.manager + "\": " + error.what());
    }
}

void Link::send(const Message& message) {
    const Bytes bytes = encode({threaded_->incarnation, ++threaded_->sequence, message});
    zmq::message_t order(bytes.data(), bytes.size());
    // A full pair means that the connection has been stuck for a thousand messages; dropping is what a
    // missing connection does as well.
    static_cast<void>(threaded_->commands.send(order, zmq::send_flags::dontwait));
}

}  // namespace understudy::client
