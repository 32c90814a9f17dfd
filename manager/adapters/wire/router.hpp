// The manager's one network socket: ZeroMQ ROUTER, CURVE always on, identities bound to keys, roles bound
// to messages. Owned by the loop's thread.
//
// A connection is known by the routing id that libzmq gave it; who speaks on it is looked up, message by
// message, from the key that its handshake proved. Of several connections under a node's key the newest
// counts. The socket's monitor says when a descriptor was closed, which tells a killed peer within a
// fraction of a millisecond.
//
// libzmq has no way to end one connection. Ours are ended by shutting down their descriptor, which libzmq then takes
// for the peer's doing: see cut().
#pragma once

#include <memory>
#include <string>

#include "manager/adapters/config/state_directory.hpp"
#include "manager/runtime/peers_port.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

struct RouterOptions {
    std::string listen;            ///< "tcp://127.0.0.1:7400"; port 0: any free one
    CurveKeys keys;
    std::size_t most_connections = 8192;
    std::size_t most_silent = 512;   ///< connections that have not said a word yet, in handshake or behind it
    std::uint64_t most_unread_bytes = 16u << 20;  ///< under way to one peer; one that leaves more unread is cut off
    std::chrono::milliseconds twin_patience{1500};  ///< whoever spoke so lately under a node's key is alive: nobody replaces it
    int high_water_messages = 4000;  ///< to one peer; beyond it messages to that peer are dropped
};

class Router : public PeersPort {
  public:
    /// Errors: `unavailable` (port in use, or no such address), `invalid` (not an address).
    [[nodiscard]] static Result<std::unique_ptr<Router>> open(const RouterOptions& options);
    ~Router() override;

    /// Where it really listens, port filled in.
    [[nodiscard]] const std::string& endpoint() const;

    void wait(std::chrono::milliseconds limit, std::span<const int> others) override;
    [[nodiscard]] std::optional<PeerEvent> take() override;
    void send(NodeId to, const Message& message) override;
    void send(ClientId to, const Message& message) override;
    void admit(const std::string& key, const PeerIdentity& identity) override;
    void revoke(const std::string& key) override;
    void set_incarnation(std::uint64_t incarnation) override;
    [[nodiscard]] const PeerFigures& figures() const override;

  private:
    struct Sockets;
    explicit Router(std::unique_ptr<Sockets> sockets);
    std::unique_ptr<Sockets> sockets_;
};

}  // namespace understudy::manager
