// One picture stream: a page's WebSocket joined to the door of the node that shows the desktop.
// Belongs to the gateway's thread.
#pragma once

#include <memory>

#include "client/gateway/network.hpp"
#include "client/gateway/terminal_room.hpp"
#include "client/gateway/visits.hpp"
#include "client/gateway/web_socket.hpp"

namespace understudy::gateway {

/// Why a stream was closed, as WebSocket close codes that the terminal page understands.
enum class StreamEnd : std::uint16_t {
    door_lost = 4001,    ///< the door could not be reached, or ended the stream
    outdated = 4002,     ///< the desktop has moved: a redirect tells where to
    refused = 4003,      ///< the door did not admit the ticket
    nowhere = 4004,      ///< the manager has not said where the desktop is
};

/// Serves one stream until either side ends it, or the visit is ended. The room is kept because the stream uses it to its end.
[[nodiscard]] asio::awaitable<void> serve_stream(asio::io_context& context, std::shared_ptr<TerminalRoom> room,
                                                 WebSocket socket, std::shared_ptr<Visit> visit);

}  // namespace understudy::gateway
