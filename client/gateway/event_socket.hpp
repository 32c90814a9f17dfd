// A WebSocket that mostly speaks: JSON texts to one page, with a bounded queue. A page that does not
// read loses old views (they are replaced) or, if it misses events, its connection.
// Belongs to the gateway's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "client/gateway/network.hpp"

namespace understudy::gateway {

/// One text for many pages; shared because each page sends it at its own pace.
using SharedText = std::shared_ptr<const std::string>;

class EventSocket {
public:
    EventSocket(asio::io_context& context, WebSocket socket);

    /// Queues a text that must not be missed. A full queue ends the connection.
    void push(std::string text);

    /// Queues a text that replaces an older one of its kind that was not sent yet.
    void offer(SharedText text);

    /// Ends the connection; run() returns soon.
    void close();

    /// Sends and receives until either side ends it. `heard` is called with each text of the page.
    /// Precondition: the socket's handshake is done; `self` keeps the socket alive for its two halves.
    [[nodiscard]] static asio::awaitable<void> run(std::shared_ptr<EventSocket> self,
                                                   std::function<void(const std::string&)> heard);

private:
    [[nodiscard]] asio::awaitable<void> speak();

    asio::io_context& context_;
    WebSocket socket_;
    Wakeup wakeup_;
    std::deque<std::string> queue_;
    SharedText newest_;
    bool ended_ = false;
};

}  // namespace understudy::gateway
