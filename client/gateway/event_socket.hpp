// A WebSocket that mostly speaks: JSON texts to one page, with a bounded queue. A page that does not
// read loses old views (they are replaced) or, if it misses events, its connection.
// Belongs to the gateway's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "client/gateway/network.hpp"
#include "client/gateway/web_socket.hpp"

namespace understudy::gateway {

/// One text for many pages; shared because each page sends it at its own pace.
using SharedText = std::shared_ptr<const std::string>;

/// News of which a page needs the newest only.
struct Offer {
    std::uint64_t number = 0;  ///< one more than that of the offer before
    SharedText whole;
    SharedText change;         ///< what it says more than the offer before; none: it cannot be told
};

/// What a page gets: every offer whole, or only the change if it has got the offer before.
enum class Offers { whole, changes };

class EventSocket {
public:
    EventSocket(asio::io_context& context, WebSocket socket, Offers wanted = Offers::whole);

    /// Queues a text that must not be missed. A full queue ends the connection.
    void push(std::string text);

    /// Replaces an older offer that was not sent yet.
    void offer(Offer offer);

    /// Ends the connection; run() returns soon.
    void close();

    /// Sends and receives until either side ends it. `heard` is called with each text of the page.
    /// Precondition: the socket's handshake is done; `self` keeps the socket alive for its two halves.
    [[nodiscard]] static asio::awaitable<void> run(std::shared_ptr<EventSocket> self,
                                                   std::function<void(const std::string&)> heard);

private:
    [[nodiscard]] asio::awaitable<void> speak();
    [[nodiscard]] SharedText take_offer();

    asio::io_context& context_;
    WebSocket socket_;
    Wakeup wakeup_;
    std::deque<std::string> queue_;
    Offers wanted_;
    std::optional<Offer> newest_;
    std::uint64_t sent_ = 0;  ///< number of the last offer sent
    bool ended_ = false;
};

}  // namespace understudy::gateway
