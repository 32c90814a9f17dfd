// One connection of a browser: requests one after the other, or one WebSocket. Belongs to the gateway's
// thread.
#pragma once

#include <memory>

#include <boost/asio/ip/tcp.hpp>

#include "client/gateway/network.hpp"

namespace understudy::gateway {

class Server;

struct Visit;

/// Serves a connection to its end. The visit is kept by whoever can be asked to end it; postcondition: nobody can.
[[nodiscard]] asio::awaitable<void> serve_connection(Server& server, asio::ip::tcp::socket socket, std::shared_ptr<Visit> visit);

}  // namespace understudy::gateway
