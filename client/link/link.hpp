// The one connection of a client program to the manager: ZeroMQ DEALER, CURVE always on.
// A Link owns a thread; that thread owns the socket. Plain values go in through an in-process pair and
// come out through the sink, which is called on the link's thread and must not block.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "client/link/configuration.hpp"
#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy::client {

/// The manager has accepted us; what is sent from now on reaches it.
struct LinkUp {};

/// There is no connection. Said once when one ends, and again when the reason why none comes about changes.
struct LinkDown {
    std::string reason;   ///< for people, with the next step
    bool denied = false;  ///< the manager was there and does not know our key
};

/// The manager said something this program cannot read (another version, most likely); still connected.
struct Unreadable {
    std::string reason;
};

/// A message of the manager.
struct Received {
    Message message;
};

using LinkEvent = std::variant<LinkUp, LinkDown, Unreadable, Received>;
using LinkSink = std::function<void(LinkEvent)>;

class Link {
public:
    /// Starts connecting and goes on for ever; the first event says how it went.
    /// Errors: `invalid` (the address is none), `failed` (no socket to be had).
    [[nodiscard]] static Result<std::unique_ptr<Link>> open(const Configuration& configuration, LinkSink sink);

    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Ends the thread; no sink call happens after it returned.
    ~Link();

    /// Hands a message to the link. Without a connection it is dropped, never kept: an act that somebody
    /// has given up on must not happen later. Whoever needs it repeated sends it again on LinkUp.
    /// Precondition: always called by the same thread.
    void send(const Message& message);

private:
    struct Threaded;
    explicit Link(std::unique_ptr<Threaded> threaded);
    std::unique_ptr<Threaded> threaded_;
};

}  // namespace understudy::client
