// One connection of a browser: requests one after the other, or one WebSocket. Belongs to the gateway's
// thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "client/gateway/network.hpp"

namespace understudy::gateway {

class Server;

[[nodiscard]] asio::awaitable<void> serve_connection(Server& server, asio::ip::tcp::socket socket);

}  // namespace understudy::gateway
