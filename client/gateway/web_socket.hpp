// The WebSocket of a page, from the request to upgrade to its end. Belongs to the gateway's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "client/gateway/line.hpp"
#include "client/gateway/network.hpp"

namespace understudy::gateway {

/// What a page is sent.
enum class Messages { text, binary };

class WebSocket {
public:
    /// It has time limits of its own: those of the line end here.
    explicit WebSocket(Line line);
    WebSocket(WebSocket&&) noexcept;
    ~WebSocket();

    /// Agrees to the upgrade. Nothing else may be asked for before.
    [[nodiscard]] asio::awaitable<void> accept(const Request& request, error_code& error);

    /// What is sent from now on, and how long a message of the page may be, in bytes: a longer one ends the connection.
    void exchange(Messages sent, std::size_t longest_heard);

    /// The next message of the page, appended. One reader at a time.
    [[nodiscard]] asio::awaitable<void> read(beast::flat_buffer& buffer, error_code& error);
    /// One message, whole, uncopied: the bytes must stay until it is done. One writer at a time.
    [[nodiscard]] asio::awaitable<void> write(asio::const_buffer message, error_code& error);

    /// Says goodbye with a code that pages understand, and why: `words` are cut where the protocol ends. Waits for the answer.
    [[nodiscard]] asio::awaitable<void> close(std::uint16_t code, std::string_view words);
    /// The coroutines that read and write are told at once that it was cancelled.
    void cancel();
    /// Ends the connection without a word.
    void cut();

private:
    struct Stream;
    std::unique_ptr<Stream> stream_;
};

}  // namespace understudy::gateway
