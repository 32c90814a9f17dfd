// See link.hpp. Both sockets are polled by ZeroMQ's own poll, which knows the rules of its edge-triggered
// descriptors; the rest of the agent hangs on one descriptor next to them.
#include "nodes/agent/link.hpp"

#include <sched.h>

#include <array>
#include <cstring>

#include <zmq.hpp>

#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

namespace understudy::node {
namespace {

constexpr int kReconnectMs = 20;
constexpr int kReconnectLongestMs = 500;
constexpr int kHeartbeatMs = 1000;
constexpr int kHeartbeatPatienceMs = 3000;
constexpr int kHandshakeMs = 3000;
constexpr int kQueued = 1000;
constexpr int kMessagesPerTurn = 64;

/// ZeroMQ's own thread brings signs of life out: it is as urgent as the thread that makes them. Where that one was not
/// let, this one would not be either, and ZeroMQ ends a program over it.
zmq::context_t make_context() {
    zmq::context_t context{1};
    if ((::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) != SCHED_RR) return context;
    sched_param ours{};
    if (::sched_getparam(0, &ours) != 0) return context;
    context.set(zmq::ctxopt::thread_sched_policy, SCHED_RR);
    context.set(zmq::ctxopt::thread_priority, ours.sched_priority);
    return context;
}

}  // namespace

struct Link::Sockets {
    zmq::context_t context = make_context();
    zmq::socket_t dealer{context, zmq::socket_type::dealer};
    zmq::socket_t monitor{context, zmq::socket_type::pair};
};

Link::Link(Listener listener) : listener_(std::move(listener)), sockets_(std::make_unique<Sockets>()) {}
Link::~Link() = default;

Result<std::unique_ptr<Link>> Link::open(const Config& config, const CurvePair& keys, std::uint64_t incarnation, Listener listener) {
    std::unique_ptr<Link> link(new Link(std::move(listener)));
    link->incarnation_ = incarnation;
    try {
        auto& dealer = link->sockets_->dealer;
        dealer.set(zmq::sockopt::curve_serverkey, config.manager_public_key);
        dealer.set(zmq::sockopt::curve_publickey, keys.public_key);
        dealer.set(zmq::sockopt::curve_secretkey, keys.secret_key);
        dealer.set(zmq::sockopt::linger, 0);
        // What was queued for a broken connection is stale when the next one stands.
        dealer.set(zmq::sockopt::immediate, true);
        dealer.set(zmq::sockopt::sndhwm, kQueued);
        dealer.set(zmq::sockopt::rcvhwm, kQueued);
        dealer.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::kMessageBytes));
        dealer.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
        dealer.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
        dealer.set(zmq::sockopt::heartbeat_timeout, kHeartbeatPatienceMs);
        dealer.set(zmq::sockopt::reconnect_ivl, kReconnectMs);
        dealer.set(zmq::sockopt::reconnect_ivl_max, kReconnectLongestMs);
        constexpr const char* kMonitor = "inproc://link-monitor";
        if (::zmq_socket_monitor(dealer.handle(), kMonitor, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0) {
            return failure(ErrorCode::failed, "can't watch the connection to the manager");
        }
        link->sockets_->monitor.connect(kMonitor);
        dealer.connect(config.manager_endpoint);
    } catch (const zmq::error_t& error) {
        return failure(ErrorCode::invalid, "the manager at '" + config.manager_endpoint + "' can't be used: " + error.what() +
                                               "; look at manager.endpoint and the keys in the configuration");
    }
    return link;
}

void Link::send(const Message& message) {
    const Bytes bytes = encode({incarnation_, ++sequence_, message});
    try {
        (void)sockets_->dealer.send(zmq::buffer(bytes), zmq::send_flags::dontwait);
    } catch (const zmq::error_t&) {
        // A connection that breaks at this moment: as good as lost on the way.
    }
}

void Link::receive_messages() {
    for (int count = 0; count < kMessagesPerTurn; ++count) {
        zmq::message_t frame;
        if (!sockets_->dealer.recv(frame, zmq::recv_flags::dontwait)) return;
        if (frame.more()) continue;  // ours have one frame
        const auto envelope = decode({static_cast<const std::uint8_t*>(frame.data()), frame.size()});
        if (envelope) listener_.on_message(envelope->message);
        else listener_.on_nonsense(envelope.error().message);
    }
}

void Link::receive_changes() {
    zmq::message_t frame;
    while (sockets_->monitor.recv(frame, zmq::recv_flags::dontwait)) {
        std::uint16_t event = 0;
        const bool first = frame.more() && frame.size() >= sizeof event;
        if (first) {
            std::memcpy(&event, frame.data(), sizeof event);
            stands_ = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
            listener_.on_change(stands_);
        }
    }
}

void Link::wait(int also, int timeout_ms) {
    std::array<zmq::pollitem_t, 3> items{{{sockets_->dealer.handle(), 0, ZMQ_POLLIN, 0},
                                          {sockets_->monitor.handle(), 0, ZMQ_POLLIN, 0},
                                          {nullptr, also, ZMQ_POLLIN, 0}}};
    try {
        zmq::poll(items.data(), items.size(), std::chrono::milliseconds(timeout_ms));
    } catch (const zmq::error_t&) {
        return;  // interrupted by a signal
    }
    if ((items[1].revents & ZMQ_POLLIN) != 0) receive_changes();
    if ((items[0].revents & ZMQ_POLLIN) != 0) receive_messages();
}

}  // namespace understudy::node
