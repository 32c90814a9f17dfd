// What all connections of the gateway share: configuration, access, files, the admin desk, the rooms of
// the terminals. Belongs to the gateway's thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "client/gateway/access.hpp"
#include "client/gateway/admin_desk.hpp"
#include "client/gateway/assets.hpp"
#include "client/gateway/configuration.hpp"
#include "client/gateway/terminal_room.hpp"

namespace understudy::gateway {

class Server {
public:
    Server(asio::io_context& context, GatewayConfiguration configuration);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// Opens the link and starts to listen. Errors: `failed` (address in use, in the system's words), or
    /// the link's. Postcondition: port() is the real one.
    [[nodiscard]] Result<> start();

    [[nodiscard]] std::uint16_t port() const { return port_; }

    [[nodiscard]] bool running() const { return !stopped_; }

    /// Ends all connections; the loop runs empty soon afterwards.
    void stop();

    /// The room of a terminal, opened if nobody has it open. Errors: `limit`, or the link's.
    /// Rooms are shared with their streams, which may outlive the room's place in the table.
    [[nodiscard]] Result<std::shared_ptr<TerminalRoom>> room(const std::string& terminal, const std::string& place);

    [[nodiscard]] std::size_t connections() const { return connections_; }
    [[nodiscard]] std::size_t rooms() const { return rooms_.size(); }

    [[nodiscard]] asio::io_context& context() { return context_; }
    [[nodiscard]] AdminDesk& desk() { return desk_; }
    [[nodiscard]] const Access& access() const { return access_; }
    [[nodiscard]] GuessLimit& guesses() { return guesses_; }
    [[nodiscard]] const Assets& assets() const { return assets_; }

private:
    [[nodiscard]] asio::awaitable<void> accept();
    [[nodiscard]] asio::awaitable<void> sweep();
    [[nodiscard]] asio::awaitable<void> serve(asio::ip::tcp::socket socket);

    asio::io_context& context_;
    GatewayConfiguration configuration_;
    Access access_;
    GuessLimit guesses_;
    Assets assets_;
    AdminDesk desk_;
    asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_ = 0;
    std::size_t connections_ = 0;
    bool stopped_ = false;
    Wakeup sweep_wakeup_;
    std::map<std::pair<std::string, std::string>, std::shared_ptr<TerminalRoom>> rooms_;  ///< by terminal and place
};

}  // namespace understudy::gateway
