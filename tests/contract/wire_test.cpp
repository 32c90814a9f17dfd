// Who gets in, who may say what, and how fast a lost peer shows; on real sockets over loopback.
#include <catch2/catch.hpp>

#include <cstring>
#include <functional>
#include <memory>

#include <zmq.hpp>

#include "manager/adapters/wire/role_rules.hpp"
#include "manager/adapters/wire/router.hpp"
#include "protocol/codec.hpp"

using namespace understudy;
using namespace understudy::manager;

namespace {

/// A dealer as agents and clients are: DEALER with CURVE.
class Dealer {
  public:
    Dealer(const std::string& endpoint, const std::string& server_key, const CurveKeys& keys) {
        socket_.set(zmq::sockopt::linger, 0);
        socket_.set(zmq::sockopt::curve_serverkey, server_key);
        socket_.set(zmq::sockopt::curve_publickey, keys.public_key);
        socket_.set(zmq::sockopt::curve_secretkey, keys.secret_key);
        socket_.connect(endpoint);
    }
    /// Without CURVE.
    explicit Dealer(const std::string& endpoint) {
        socket_.set(zmq::sockopt::linger, 0);
        socket_.connect(endpoint);
    }

    void say(const Message& message, std::uint16_t version = kProtocolVersion) { say_bytes(encode({1, 1, message}, version)); }
    void say_bytes(const Bytes& bytes) { socket_.send(zmq::buffer(bytes), zmq::send_flags::none); }
    void say_two_frames() {
        socket_.send(zmq::str_buffer("a"), zmq::send_flags::sndmore);
        socket_.send(zmq::str_buffer("b"), zmq::send_flags::none);
    }

    std::optional<Message> hear() {
        zmq::message_t frame;
        if (!socket_.recv(frame, zmq::recv_flags::dontwait)) return std::nullopt;
        auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
        REQUIRE(envelope);
        return std::move(envelope->message);
    }

    void leave() { socket_.close(); }

    /// Whether its connection has come so far (ZMQ_EVENT_…) since this was asked last. Ask once before it matters.
    bool came_to(int event) {
        if (!watched_) {
            REQUIRE(zmq_socket_monitor(socket_.handle(), "inproc://events", ZMQ_EVENT_ALL) == 0);
            watched_.emplace(context_, zmq::socket_type::pair);
            watched_->connect("inproc://events");
        }
        zmq::message_t head;
        while (watched_->recv(head, zmq::recv_flags::dontwait)) {
            std::uint16_t kind = 0;
            std::memcpy(&kind, head.data(), sizeof kind);
            zmq::message_t address;
            static_cast<void>(watched_->recv(address));
            if (kind == event) return true;
        }
        return false;
    }

  private:
    zmq::context_t context_{1};
    zmq::socket_t socket_{context_, zmq::socket_type::dealer};
    std::optional<zmq::socket_t> watched_;
};

struct Network {
    Network() {
        RouterOptions options;
        options.listen = "tcp://127.0.0.1:*";
        options.keys = server;
        auto opened = Router::open(options);
        REQUIRE(opened);
        router = std::move(*opened);
    }

    Dealer join(const CurveKeys& keys) { return {router->endpoint(), server.public_key, keys}; }

    /// The next event within the patience of a slow machine; ends early when `until` holds.
    std::optional<PeerEvent> next(const std::function<bool()>& until = [] { return false; }) {
        for (int turn = 0; turn < 500 && !until(); ++turn) {
            if (auto event = router->take()) return event;
            router->wait(std::chrono::milliseconds(20), {});
        }
        return std::nullopt;
    }

    CurveKeys server = make_curve_keys();
    std::unique_ptr<Router> router;
};

PeerIdentity agent(std::uint64_t node) { return {PeerRole::agent, "us-" + std::to_string(node), NodeId(node), {}}; }
PeerIdentity terminal(const std::string& name) { return {PeerRole::terminal, name, {}, {name}}; }

Hello hello(std::uint64_t node) {
    Hello message;
    message.node = NodeId(node);
    return message;
}

}  // namespace

TEST_CASE("wire: a message of an admitted agent comes with its key's node, and answers reach it") {
    Network network;
    const CurveKeys keys = make_curve_keys();
    network.router->admit(keys.public_key, agent(5));
    network.router->set_incarnation(77);
    Dealer peer = network.join(keys);
    peer.say(hello(5));
    const auto event = network.next();
    REQUIRE(event);
    CHECK(std::get<NodeMessage>(*event).from == NodeId(5));
    network.router->send(NodeId(5), HeartbeatAck{3, 9});
    std::optional<Message> answer;
    network.next([&] { return (answer = peer.hear()).has_value(); });
    REQUIRE(answer);
    CHECK(std::get<HeartbeatAck>(*answer).sequence == 9);
}

TEST_CASE("wire: no key, a wrong server key and a key nobody entered are all kept out") {
    Network network;
    const CurveKeys unknown = make_curve_keys();
    const CurveKeys known = make_curve_keys();
    network.router->admit(known.public_key, agent(5));
    Dealer plain(network.router->endpoint());
    Dealer stranger = network.join(unknown);
    Dealer misled(network.router->endpoint(), make_curve_keys().public_key, known);
    plain.say(hello(5));
    stranger.say(hello(5));
    misled.say(hello(5));
    const auto event = network.next([&] { return network.router->figures().denied >= 1; });
    CHECK_FALSE(event);
    CHECK(network.router->figures().denied >= 1);
    CHECK(network.router->figures().messages_in == 0);
    // The door is not jammed by them.
    Dealer friendly = network.join(known);
    friendly.say(hello(5));
    CHECK(network.next());
}

TEST_CASE("wire: a role that says what it may not is answered, counted and reported once") {
    Network network;
    const CurveKeys keys = make_curve_keys();
    network.router->admit(keys.public_key, terminal("desk"));
    Dealer peer = network.join(keys);
    peer.say(hello(5));
    peer.say(AdminRequest{1, "kill", {"node=5"}});
    peer.say(TerminalAttach{"another-desk", 0, 0, 0});
    const auto event = network.next();
    REQUIRE(event);
    CHECK_THAT(std::get<PeerOddity>(*event).text, Catch::Contains("terminal may not say Hello"));
    network.next([&] { return network.router->figures().out_of_role == 3; });
    CHECK(network.router->figures().out_of_role == 3);
    std::optional<Message> answer;
    network.next([&] { return (answer = peer.hear()).has_value(); });
    REQUIRE(answer);
    CHECK(std::get<TerminalRefused>(*answer).code == static_cast<std::uint32_t>(ErrorCode::refused));
    peer.say(TerminalAttach{"desk", 0, 0, 0});
    const auto attached = network.next();
    REQUIRE(attached);
    CHECK(std::get<ClientMessage>(*attached).name == "desk");
}

TEST_CASE("wire: an agent that claims another node's number is refused") {
    Network network;
    const CurveKeys keys = make_curve_keys();
    network.router->admit(keys.public_key, agent(5));
    Dealer peer = network.join(keys);
    peer.say(hello(6));
    const auto event = network.next();
    REQUIRE(event);
    CHECK_THAT(std::get<PeerOddity>(*event).text, Catch::Contains("node 5") && Catch::Contains("node 6"));
}

TEST_CASE("wire: nonsense, another version and messages in pieces are answered and do no harm") {
    Network network;
    const CurveKeys keys = make_curve_keys();
    network.router->admit(keys.public_key, agent(5));
    Dealer peer = network.join(keys);
    std::optional<Message> answer;
    SECTION("nonsense") { peer.say_bytes(Bytes(300, 0xc1)); }
    SECTION("empty") { peer.say_bytes({}); }
    SECTION("pieces") { peer.say_two_frames(); }
    SECTION("another version") { peer.say(hello(5), 9); }
    CHECK(std::holds_alternative<PeerOddity>(*network.next()));
    network.next([&] { return (answer = peer.hear()).has_value(); });
    REQUIRE(answer);
    CHECK_FALSE(std::get<NotRegistered>(*answer).reason.empty());
    peer.say(hello(5));
    CHECK(std::holds_alternative<NodeMessage>(*network.next()));
}

TEST_CASE("wire: a peer that leaves is reported within moments, and only once") {
    Network network;
    const CurveKeys keys = make_curve_keys();
    network.router->admit(keys.public_key, agent(5));
    Dealer peer = network.join(keys);
    peer.say(hello(5));
    REQUIRE(network.next());
    const auto before = std::chrono::steady_clock::now();
    peer.leave();
    const auto event = network.next();
    const auto took = std::chrono::steady_clock::now() - before;
    REQUIRE(event);
    CHECK(std::get<NodeLost>(*event).node == NodeId(5));
    WARN("a lost connection was reported after "
         << std::chrono::duration_cast<std::chrono::microseconds>(took).count() << " us");
    CHECK_FALSE(network.router->take());
}

TEST_CASE("wire: two machines with one identity: the one that speaks already is kept, the other is told, until the first is gone") {
    Network network;
    const CurveKeys keys = make_curve_keys();
    network.router->admit(keys.public_key, agent(5));
    Dealer first = network.join(keys);
    first.say(hello(5));
    REQUIRE(network.next());
    Dealer twin = network.join(keys);
    twin.say(hello(5));
    CHECK(std::holds_alternative<PeerOddity>(network.next().value()));
    CHECK(network.router->figures().doubled == 1);
    std::optional<Message> answer;
    network.next([&] { return (answer = twin.hear()).has_value(); });
    REQUIRE(answer);
    CHECK_THAT(std::get<NotRegistered>(*answer).reason, Catch::Contains("another machine speaks under the identity of node 5"));
    first.say(Heartbeat{});
    CHECK(std::holds_alternative<NodeMessage>(network.next().value()));
    first.leave();
    CHECK(std::holds_alternative<NodeLost>(network.next().value()));
    twin.say(hello(5));
    CHECK(std::holds_alternative<NodeMessage>(network.next().value()));
    network.router->send(NodeId(5), HeartbeatAck{});
    answer.reset();
    network.next([&] { return (answer = twin.hear()).has_value(); });
    REQUIRE(answer);
    CHECK(std::holds_alternative<HeartbeatAck>(*answer));
}

TEST_CASE("wire: a revoked key is cut off within a second, kept out from then on, and nobody else notices") {
    Network network;
    const CurveKeys revoked = make_curve_keys();
    const CurveKeys other = make_curve_keys();
    network.router->admit(revoked.public_key, agent(5));
    network.router->admit(other.public_key, agent(6));
    Dealer peer = network.join(revoked);
    Dealer friendly = network.join(other);
    CHECK_FALSE(peer.came_to(ZMQ_EVENT_DISCONNECTED));
    CHECK_FALSE(friendly.came_to(ZMQ_EVENT_DISCONNECTED));
    peer.say(hello(5));
    REQUIRE(network.next());
    friendly.say(hello(6));
    REQUIRE(network.next());
    const auto before = std::chrono::steady_clock::now();
    network.router->revoke(revoked.public_key);
    peer.say(hello(5));  // on the connection that stands, or on the next one
    const auto event = network.next();
    const auto took = std::chrono::steady_clock::now() - before;
    REQUIRE(event);
    CHECK(std::get<NodeLost>(*event).node == NodeId(5));
    CHECK(took < std::chrono::seconds(1));
    WARN("a revoked key was cut off after " << std::chrono::duration_cast<std::chrono::microseconds>(took).count() << " us");
    CHECK_FALSE(network.next([&] { return network.router->figures().denied > 0; }));  // it tried to come back
    CHECK(peer.came_to(ZMQ_EVENT_DISCONNECTED));
    CHECK(network.router->figures().cut == 1);
    friendly.say(Heartbeat{});
    CHECK(std::get<NodeMessage>(network.next().value()).from == NodeId(6));
    CHECK_FALSE(friendly.came_to(ZMQ_EVENT_DISCONNECTED));
}

TEST_CASE("wire: a revoked key that has not said a word is cut off too, and the honest silent ones come back by themselves") {
    Network network;
    const CurveKeys revoked = make_curve_keys();
    const CurveKeys other = make_curve_keys();
    network.router->admit(revoked.public_key, agent(5));
    network.router->admit(other.public_key, agent(6));
    Dealer peer = network.join(revoked);
    Dealer friendly = network.join(other);
    REQUIRE_FALSE(peer.came_to(ZMQ_EVENT_HANDSHAKE_SUCCEEDED));
    REQUIRE_FALSE(friendly.came_to(ZMQ_EVENT_HANDSHAKE_SUCCEEDED));
    bool stands = false;
    bool stands_too = false;
    network.next([&] {
        stands = stands || peer.came_to(ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        stands_too = stands_too || friendly.came_to(ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
        return stands && stands_too;
    });
    REQUIRE((stands && stands_too));
    network.router->revoke(revoked.public_key);
    bool cut = false;
    CHECK_FALSE(network.next([&] { return cut = cut || peer.came_to(ZMQ_EVENT_DISCONNECTED); }));
    CHECK(cut);
    friendly.say(hello(6));
    CHECK(std::get<NodeMessage>(network.next().value()).from == NodeId(6));
    // Whoever has spoken is known, and is never touched for somebody else's silence.
    const auto counted = network.router->figures().cut;
    network.router->revoke(make_curve_keys().public_key);
    network.router->revoke(revoked.public_key);
    CHECK(network.router->figures().cut == counted);
}

TEST_CASE("wire: a key that stands for something else from now on begins anew") {
    Network network;
    const CurveKeys keys = make_curve_keys();
    network.router->admit(keys.public_key, {PeerRole::operator_, "anna", {}, {}});
    Dealer peer = network.join(keys);
    peer.say(AdminRequest{1, "watch", {}});
    const auto asked = network.next();
    REQUIRE(asked);
    const ClientId client = std::get<ClientMessage>(*asked).from;
    network.router->admit(keys.public_key, {PeerRole::operator_, "anna", {}, {}});  // nothing changed
    network.router->admit(keys.public_key, terminal("desk"));
    const auto lost = network.next();
    REQUIRE(lost);
    CHECK(std::get<ClientLost>(*lost).client == client);
    CHECK(network.router->figures().cut == 1);
    peer.say(AdminRequest{2, "view", {}});
    CHECK_THAT(std::get<PeerOddity>(network.next().value()).text, Catch::Contains("terminal may not say AdminRequest"));
}

TEST_CASE("wire: an address in use says so and what to do") {
    Network network;
    RouterOptions options;
    options.listen = network.router->endpoint();
    options.keys = network.server;
    const auto second = Router::open(options);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == ErrorCode::unavailable);
    CHECK_THAT(second.error().message, Catch::Contains(options.listen) && Catch::Contains("listen"));
}

TEST_CASE("roles: nobody but an agent says what agents say, and nobody says what managers say") {
    for (const PeerRole role : {PeerRole::agent, PeerRole::terminal, PeerRole::operator_, PeerRole::gateway, PeerRole::administrator, PeerRole::observer}) {
        const PeerIdentity who{role, "x", {}, {"*"}};
        CHECK(refusal_of(who, Heartbeat{}).empty() == (role == PeerRole::agent));
        CHECK(refusal_of(who, TerminalAttach{}).empty() == (role == PeerRole::terminal || role == PeerRole::gateway));
        CHECK(refusal_of(who, AdminRequest{1, "view", {}}).empty() == (role != PeerRole::agent && role != PeerRole::terminal));
        CHECK_FALSE(refusal_of(who, AssignSession{}).empty());
        CHECK_FALSE(refusal_of(who, TerminalRedirect{}).empty());
    }
}

TEST_CASE("roles: an observer looks, an operator keeps things going, an administrator decides what there is") {
    const std::vector<std::string> looks{"view", "watch", "incident", "what-if"};
    const std::vector<std::string> keeps_going{"failover", "kill", "drain", "undrain", "release", "pool", "maintenance", "message"};
    const std::vector<std::string> decides{"define-pool", "remove-pool", "define-host", "remove-host", "fence", "override-gate", "define-terminal", "remove-terminal", "audit"};
    const auto may = [](PeerRole role, const std::string& verb, std::vector<std::string> arguments = {}) {
        return refusal_of({role, "x", {}, {}}, AdminRequest{1, verb, std::move(arguments)}).empty();
    };
    for (const auto& [verbs, least] : {std::pair{looks, 0}, std::pair{keeps_going, 1}, std::pair{decides, 2}}) {
        for (const std::string& verb : verbs) {
            INFO(verb);
            CHECK(may(PeerRole::observer, verb) == (least <= 0));
            CHECK(may(PeerRole::operator_, verb) == (least <= 1));
            CHECK(may(PeerRole::administrator, verb));
            CHECK(may(PeerRole::gateway, verb));
            CHECK_FALSE(may(PeerRole::agent, verb));
            CHECK_FALSE(may(PeerRole::terminal, verb));
            if (verb != "audit") CHECK(may(PeerRole::observer, verb, {"dry-run=yes"}));
        }
    }
    CHECK_THAT(refusal_of({PeerRole::operator_, "ben", {}, {}}, AdminRequest{1, "fence", {"host=alpha", "reason=x"}}),
               Catch::Contains("\"ben\" has the role operator") && Catch::Contains("role administrator"));
}

TEST_CASE("roles: only a gateway says for whom it asks") {
    const AdminRequest request{1, "kill", {"node=5", "reason=x", "by=anna"}};
    CHECK(refusal_of({PeerRole::gateway, "web", {}, {"*"}}, request).empty());
    for (const PeerRole role : {PeerRole::operator_, PeerRole::administrator}) {
        CHECK_THAT(refusal_of({role, "ben", {}, {}}, request), Catch::Contains("only a gateway says by="));
    }
}
