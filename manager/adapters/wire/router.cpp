// See router.hpp.
#include "manager/adapters/wire/router.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "manager/adapters/wire/descriptors.hpp"
#include "manager/adapters/wire/key_list.hpp"
#include "manager/adapters/wire/role_rules.hpp"
#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kZapAddress = "inproc://zeromq.zap.01";
constexpr const char* kMonitorAddress = "inproc://router-monitor";
constexpr int kHandshakeMs = 5000;
constexpr int kProbeSeconds = 1;     ///< of a connection that says nothing, and between two probes
constexpr int kProbes = 3;
constexpr int kUnacknowledgedMs = 3000;  ///< what TCP has sent and nobody acknowledged for so long goes nowhere
constexpr int kBacklog = 1024;
constexpr int kReceivedAhead = 128;  ///< messages that wait for the loop, per peer; beyond it TCP holds that peer back
constexpr int kFruitless = 256;      ///< refused messages in a row, before time and everybody else get their turn
constexpr std::uint64_t kFrameBytes = 64;  ///< what encryption and framing add to a message, about
constexpr std::uint64_t kLookBytes = 1 << 20;  ///< so much may be under way before the kernel is asked what has arrived

/// One connection that has said something.
struct Connection {
    std::string routing;   ///< as libzmq names it, or as the peer wants to be named
    std::string key;       ///< Z85, proven by its handshake
    int descriptor = -1;
    std::uint64_t ordinal = 0;  ///< rises with every new connection
    ClientId client;       ///< of a terminal, an operator or a gateway
    NodeId node;           ///< of an agent, at its last message
    std::uint64_t given = 0;         ///< bytes for it that libzmq was given
    std::uint64_t acknowledged = 0;  ///< bytes that its end is known to have received
    std::chrono::steady_clock::time_point heard{};  ///< of an agent: its last message
    bool complained = false;
};

}  // namespace

struct Router::Sockets {
    explicit Sockets(const RouterOptions& given) : options(given) {}

    void open() {
        handler.set(zmq::sockopt::linger, 0);
        handler.bind(kZapAddress);
        router.set(zmq::sockopt::linger, 0);
        router.set(zmq::sockopt::curve_server, true);
        router.set(zmq::sockopt::curve_secretkey, options.keys.secret_key);
        router.set(zmq::sockopt::zap_domain, kZapDomain);
        router.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(limits::kMessageBytes));
        router.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
        // A machine that vanished is found by the kernel. ZMTP's own heartbeats are left to the peers, who have one
        // connection each: here each message would cancel a timer that libzmq looks for among those of all connections.
        router.set(zmq::sockopt::tcp_keepalive, 1);
        router.set(zmq::sockopt::tcp_keepalive_idle, kProbeSeconds);
        router.set(zmq::sockopt::tcp_keepalive_intvl, kProbeSeconds);
        router.set(zmq::sockopt::tcp_keepalive_cnt, kProbes);
        router.set(zmq::sockopt::tcp_maxrt, kUnacknowledgedMs);
        router.set(zmq::sockopt::backlog, kBacklog);
        router.set(zmq::sockopt::sndhwm, options.high_water_messages);
        router.set(zmq::sockopt::rcvhwm, kReceivedAhead);
        if (zmq_socket_monitor(router.handle(), kMonitorAddress,
                               ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0) {
            throw zmq::error_t();
        }
        monitor.set(zmq::sockopt::linger, 0);
        monitor.connect(kMonitorAddress);
        router.bind(options.listen);
        endpoint = router.get(zmq::sockopt::last_endpoint);
    }

    // ---- what the monitor says

    void read_monitor() {
        zmq::message_t head;
        while (monitor.recv(head, zmq::recv_flags::dontwait)) {
            std::uint16_t kind = 0;
            std::int32_t descriptor = 0;
            std::memcpy(&kind, head.data(), sizeof kind);
            std::memcpy(&descriptor, head.data<char>() + sizeof kind, sizeof descriptor);
            zmq::message_t address;
            if (head.more()) static_cast<void>(monitor.recv(address, zmq::recv_flags::none));
            if (kind == ZMQ_EVENT_ACCEPTED) {
                // A descriptor that is used again was closed before, whatever is still queued.
                closed(descriptor);
                forget_silent(descriptor);
                const std::string peer = other_end(descriptor);
                open_descriptors.insert_or_assign(descriptor, peer);
                silent[machine_of(peer)].push_back(descriptor);
                ++silent_count;
            } else if (kind == ZMQ_EVENT_DISCONNECTED) {
                forget_silent(descriptor);
                open_descriptors.erase(descriptor);
                closed(descriptor);
            }
        }
        while (silent_count > options.most_silent) cut_oldest_silent();
        figures.connections = open_descriptors.size();
    }

    /// It has spoken, or is gone.
    void forget_silent(int descriptor) {
        const auto open = open_descriptors.find(descriptor);
        if (open == open_descriptors.end()) return;
        const auto same_machine = silent.find(machine_of(open->second));
        if (same_machine == silent.end()) return;
        silent_count -= std::erase(same_machine->second, descriptor);
        if (same_machine->second.empty()) silent.erase(same_machine);
    }

    /// Whoever is honest speaks within moments. Where too many do not, the machine with most of them loses its oldest.
    void cut_oldest_silent() {
        const auto most = std::max_element(silent.begin(), silent.end(), [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
        const int descriptor = most->second.front();
        if (cut_descriptor(descriptor, open_descriptors.at(descriptor))) ++figures.cut_silent;
        forget_silent(descriptor);
    }

    void closed(int descriptor) {
        const auto found = by_descriptor.find(descriptor);
        if (found == by_descriptor.end()) return;
        const std::string routing = found->second;
        by_descriptor.erase(found);
        forget(routing);
    }

    void forget(const std::string& routing) {
        const auto found = connections.find(routing);
        if (found == connections.end()) return;
        const Connection connection = found->second;
        connections.erase(found);
        if (connection.client) {
            clients.erase(connection.client);
            events.emplace_back(ClientLost{connection.client});
        }
        const auto newest = nodes.find(connection.node);
        if (newest != nodes.end() && newest->second == routing) {
            nodes.erase(newest);
            events.emplace_back(NodeLost{connection.node});
        }
    }

    // ---- what peers say

    /// The connection a message came on; made at its first message.
    Connection& connection_of(const std::string& routing, zmq::message_t& payload) {
        const char* proven = ::zmq_msg_gets(payload.handle(), "User-Id");
        const std::string key = proven == nullptr ? "" : proven;
        const auto found = connections.find(routing);
        if (found != connections.end() && found->second.key == key) return found->second;
        // A peer may choose its routing id, and take one that another key had before it.
        if (found != connections.end()) {
            by_descriptor.erase(found->second.descriptor);
            forget(routing);
        }
        // The monitor is read first: it knows of this connection by now, and of everything that was closed
        // before its descriptor could be used again.
        read_monitor();
        Connection connection;
        connection.routing = routing;
        connection.key = key;
        connection.descriptor = zmq_msg_get(payload.handle(), ZMQ_SRCFD);
        connection.ordinal = ++last_ordinal;
        connection.acknowledged = connection.given = acknowledged_bytes(connection.descriptor);
        keys.spoke(connection.key);
        forget_silent(connection.descriptor);
        closed(connection.descriptor);
        by_descriptor.insert_or_assign(connection.descriptor, routing);
        return connections.emplace(routing, std::move(connection)).first->second;
    }

    /// False: nothing waits.
    bool receive() {
        zmq::message_t routing;
        if (!router.recv(routing, zmq::recv_flags::dontwait)) return false;
        zmq::message_t payload;
        bool whole = routing.more() && router.recv(payload, zmq::recv_flags::none).has_value();
        while (whole && payload.more()) {  // one frame is a message; more are none
            whole = false;
            zmq::message_t extra;
            while (router.recv(extra, zmq::recv_flags::none) && extra.more()) {
            }
        }
        ++figures.messages_in;
        Connection& connection = connection_of(routing.to_string(), payload);
        const PeerIdentity* who = keys.find(connection.key);
        if (who == nullptr) {
            ++figures.out_of_role;  // its key was revoked while it was connected
        } else if (!whole) {
            refuse(connection, *who, ErrorCode::invalid, "a message of more than one frame");
        } else if (auto envelope = decode({payload.data<std::uint8_t>(), payload.size()}); !envelope) {
            ++figures.undecodable;
            refuse(connection, *who, envelope.error().code, envelope.error().message);
        } else if (const std::string refusal = refusal_of(*who, envelope->message); !refusal.empty()) {
            ++figures.out_of_role;
            refuse(connection, *who, ErrorCode::refused, refusal, &envelope->message);
        } else {
            accept(connection, *who, std::move(envelope->message));
        }
        drop_if_closed(connection);
        return true;
    }

    void accept(Connection& connection, const PeerIdentity& who, Message message) {
        if (who.role == PeerRole::agent) {
            if (!who.follows.empty()) succeed(connection, who);
            if (!who.node) {
                refuse(connection, who, ErrorCode::unavailable, "node \"" + who.name + "\" is not enrolled yet; say it again");
                return;
            }
            if (!take_over(connection, who.node)) {
                ++figures.doubled;
                refuse(connection, who, ErrorCode::refused,
                       "another machine speaks under the identity of node " + to_string(who.node) +
                           " already; end one of the two, or give it keys of its own");
                return;
            }
            if (auto* name = std::get_if<NameKey>(&message)) {
                events.emplace_back(KeyOffered{{}, who.node, connection.key, std::move(name->public_key)});
            } else {
                events.emplace_back(NodeMessage{who.node, std::move(message)});
            }
            return;
        }
        if (!connection.client) {
            connection.client = ClientId(++last_client);
            clients.emplace(connection.client, connection.routing);
        }
        if (auto* name = std::get_if<NameKey>(&message); name != nullptr && who.role == PeerRole::newcomer) {
            events.emplace_back(KeyOffered{connection.client, who.node, connection.key, std::move(name->public_key)});
        } else {
            events.emplace_back(ClientMessage{connection.client, who.name, who.role, std::move(message)});
        }
    }

    /// The connection under the key that is void now ends without a loss: the node speaks on this one already.
    void succeed(Connection& connection, PeerIdentity who) {
        const std::string before = std::exchange(who.follows, {});
        keys.admit(connection.key, who);
        connection.node = who.node;
        connection.heard = std::chrono::steady_clock::now();
        nodes.insert_or_assign(who.node, connection.routing);
        events.emplace_back(KeyTaken{who.node, connection.key});
        revoke(before);
    }

    /// One connection under a node's key is heard and answered: the newest, unless an older one still speaks. An
    /// agent that was started anew has left its old connection behind; one that still speaks is another machine.
    bool take_over(Connection& connection, NodeId node) {
        const auto now = std::chrono::steady_clock::now();
        connection.node = node;
        connection.heard = now;
        const auto [entry, added] = nodes.try_emplace(node, connection.routing);
        if (added || entry->second == connection.routing) return true;
        const auto other = connections.find(entry->second);
        if (other == connections.end()) {
            entry->second = connection.routing;
            return true;
        }
        if (other->second.ordinal > connection.ordinal) return false;
        if (now - other->second.heard < options.twin_patience) return false;
        entry->second = connection.routing;
        return true;
    }

    void refuse(Connection& connection, const PeerIdentity& who, ErrorCode code, const std::string& why,
                const Message* message = nullptr) {
        PeerRole role = who.role;
        send_to(connection.routing, refusal_for(role, static_cast<std::uint32_t>(code), why, message));
        if (connection.complained) return;
        connection.complained = true;
        events.emplace_back(PeerOddity{std::string(to_string(role)) + " \"" + who.name + "\": " + why});
    }

    /// A message may be read after its connection was closed; then nothing will say so again.
    void drop_if_closed(const Connection& connection) {
        if (open_descriptors.contains(connection.descriptor)) return;
        closed(connection.descriptor);
    }

    // ---- who has to go

    void admit(const std::string& key, const PeerIdentity& identity) {
        const PeerIdentity* before = keys.find(key);
        const bool another = before != nullptr && *before != identity;
        keys.admit(key, identity);
        if (another) cut_connections(key);
    }

    void revoke(const std::string& key) {
        keys.revoke(key);
        cut_connections(key);
    }

    /// Which of the connections that have not said a word is the key's, libzmq does not tell; if there may be one, all
    /// of them are cut. Whoever is honest among them connects again by itself and has lost nothing.
    void cut_connections(const std::string& key) {
        read_monitor();
        const bool silent_too = keys.take_silent(key);
        for (const auto& [descriptor, peer] : open_descriptors) {
            const auto speaks = by_descriptor.find(descriptor);
            const bool its = speaks == by_descriptor.end() ? silent_too : connections.at(speaks->second).key == key;
            if (its && cut_descriptor(descriptor, peer)) ++figures.cut;
        }
    }

    /// False: it does not read what it is sent, and nothing more is kept for it. What has not arrived is counted here,
    /// because libzmq counts messages and not bytes; libzmq's own heartbeats count as arrived, so the sum is set right
    /// whenever everything has.
    bool reads(Connection& connection, std::uint64_t bytes) {
        connection.given += bytes;
        if (connection.given - connection.acknowledged < kLookBytes) return true;
        const std::uint64_t arrived = acknowledged_bytes(connection.descriptor);
        if (arrived == 0) return true;  // not known; libzmq's own limit has to do
        connection.acknowledged = std::max(connection.acknowledged, arrived);
        connection.given = std::max(connection.given, connection.acknowledged);
        if (connection.given - connection.acknowledged < options.most_unread_bytes) return true;
        const auto open = open_descriptors.find(connection.descriptor);
        if (open != open_descriptors.end() && cut_descriptor(open->first, open->second)) ++figures.cut_unread;
        return false;
    }

    // ---- what is said to peers

    void send_to(const std::string& routing, const Message& message) {
        const Bytes bytes = encode({incarnation, ++sequence, message});
        const auto connection = connections.find(routing);
        if (connection != connections.end() && !reads(connection->second, bytes.size() + kFrameBytes)) return;
        const bool addressed = router.send(zmq::buffer(routing), zmq::send_flags::sndmore | zmq::send_flags::dontwait).has_value();
        if (addressed) static_cast<void>(router.send(zmq::buffer(bytes), zmq::send_flags::dontwait));
        ++figures.messages_out;
    }

    RouterOptions options;
    zmq::context_t context{1};
    zmq::socket_t handler{context, zmq::socket_type::rep};
    zmq::socket_t router{context, zmq::socket_type::router};
    zmq::socket_t monitor{context, zmq::socket_type::pair};
    std::string endpoint;
    KeyList keys;
    PeerFigures figures;
    std::uint64_t incarnation = 0;
    std::uint64_t sequence = 0;
    std::uint64_t last_ordinal = 0;
    std::uint64_t last_client = 0;
    std::deque<PeerEvent> events;
    std::unordered_map<std::string, Connection> connections;  ///< by routing id
    std::unordered_map<int, std::string> by_descriptor;
    std::unordered_map<int, std::string> open_descriptors;    ///< and the other end of each
    std::unordered_map<std::string, std::deque<int>> silent;  ///< those that have not said a word, by machine, oldest first
    std::size_t silent_count = 0;
    std::unordered_map<NodeId, std::string> nodes;            ///< newest connection
    std::unordered_map<ClientId, std::string> clients;
};

Router::Router(std::unique_ptr<Sockets> sockets) : sockets_(std::move(sockets)) {}
Router::~Router() = default;

Result<std::unique_ptr<Router>> Router::open(const RouterOptions& options) {
    try {
        auto sockets = std::make_unique<Sockets>(options);
        sockets->open();
        return std::unique_ptr<Router>(new Router(std::move(sockets)));
    } catch (const zmq::error_t& error) {
        const auto code = error.num() == EINVAL ? ErrorCode::invalid : ErrorCode::unavailable;
        return failure(code, "cannot listen at " + options.listen + ": " + error.what() +
                                 "; choose another address with [manager] listen, or end the program that has it");
    }
}

const std::string& Router::endpoint() const { return sockets_->endpoint; }

void Router::wait(std::chrono::milliseconds limit, std::span<const int> others) {
    if (!sockets_->events.empty()) limit = std::chrono::milliseconds(0);
    std::vector<zmq::pollitem_t> items = {{sockets_->router.handle(), 0, ZMQ_POLLIN, 0},
                                          {sockets_->monitor.handle(), 0, ZMQ_POLLIN, 0},
                                          {sockets_->handler.handle(), 0, ZMQ_POLLIN, 0}};
    for (const int other : others) items.push_back({nullptr, other, ZMQ_POLLIN, 0});
    try {
        zmq::poll(items, limit);
    } catch (const zmq::error_t&) {
        // Interrupted: whoever called looks at everything anyway.
    }
    sockets_->read_monitor();
    sockets_->figures.denied +=
        sockets_->keys.answer(sockets_->handler, sockets_->open_descriptors.size() <= sockets_->options.most_connections);
}

std::optional<PeerEvent> Router::take() {
    for (int fruitless = 0; sockets_->events.empty(); ++fruitless) {
        if (fruitless == kFruitless || !sockets_->receive()) return std::nullopt;
    }
    PeerEvent event = std::move(sockets_->events.front());
    sockets_->events.pop_front();
    return event;
}

void Router::send(NodeId to, const Message& message) {
    const auto found = sockets_->nodes.find(to);
    if (found == sockets_->nodes.end()) {
        ++sockets_->figures.unreachable;
        return;
    }
    sockets_->send_to(found->second, message);
}

void Router::send(ClientId to, const Message& message) {
    const auto found = sockets_->clients.find(to);
    if (found == sockets_->clients.end()) {
        ++sockets_->figures.unreachable;
        return;
    }
    sockets_->send_to(found->second, message);
}

void Router::admit(const std::string& key, const PeerIdentity& identity) { sockets_->admit(key, identity); }
void Router::revoke(const std::string& key) { sockets_->revoke(key); }
void Router::set_incarnation(std::uint64_t incarnation) { sockets_->incarnation = incarnation; }
const PeerFigures& Router::figures() const { return sockets_->figures; }

}  // namespace understudy::manager
