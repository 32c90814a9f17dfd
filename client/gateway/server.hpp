// What all connections of the gateway share: configuration, access, files, the admin desk, the rooms of
// the terminals. Belongs to the gateway's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "client/gateway/access.hpp"
#include "client/gateway/admin_desk.hpp"
#include "client/gateway/assets.hpp"
#include "client/gateway/audit.hpp"
#include "client/gateway/configuration.hpp"
#include "client/gateway/limits.hpp"
#include "client/gateway/log_in_guard.hpp"
#include "client/gateway/terminal_room.hpp"
#include "client/gateway/tls.hpp"
#include "client/gateway/visits.hpp"
#include "client/gateway/worker.hpp"

namespace understudy::gateway {

class Server {
public:
    Server(asio::io_context& context, GatewayConfiguration configuration);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// Opens the link and starts to listen. Errors: `failed` (address in use, in the system's words), `invalid`
    /// (without TLS on something else than loopback), the certificate's, or the link's. Postcondition: port() is
    /// the real one.
    [[nodiscard]] Result<> start();

    [[nodiscard]] std::uint16_t port() const { return port_; }

    /// How people reach it, and whom they have to trust for that: some lines.
    [[nodiscard]] std::string introduction() const;

    /// Takes the certificate as it is now in its files, or renews our own. On failure the one in use stays.
    void renew_certificate();

    [[nodiscard]] bool running() const { return !stopped_; }

    /// Ends all connections; the loop runs empty soon afterwards.
    void stop();

    /// The room of a terminal, opened by this account if it is not open. Errors: `limit` (this account has opened
    /// as many as one may, or all have), or the link's. Rooms are shared with their streams, which may outlive the
    /// room's place in the table.
    [[nodiscard]] Result<std::shared_ptr<TerminalRoom>> room(const std::string& terminal, const std::string& place, const std::string& account);

    [[nodiscard]] std::size_t connections() const { return visits_.size(); }
    /// As Visits::belongs_to().
    [[nodiscard]] bool belongs_to(Visit& visit, Caller caller) { return visits_.belongs_to(visit, std::move(caller)); }
    /// Nothing if TLS is off.
    [[nodiscard]] const TlsIdentity* tls() const { return tls_ ? &*tls_ : nullptr; }
    [[nodiscard]] std::size_t rooms() const { return rooms_.size(); }

    [[nodiscard]] asio::io_context& context() { return context_; }
    [[nodiscard]] AdminDesk& desk() { return desk_; }
    [[nodiscard]] Access& access() { return access_; }
    [[nodiscard]] LogInGuard& guard() { return guard_; }
    [[nodiscard]] Worker& hashing() { return hashing_; }
    [[nodiscard]] Worker& disk() { return disk_; }
    [[nodiscard]] std::string audit_file() const { return audit_path(configuration_.state_dir); }

    /// Writes an entry that nothing waits for. Strangers can cause a few of them per second, and no more.
    void note(AuditEntry entry);

    /// The person has logged out: what the session still has open ends.
    void end_session(const std::string& hash);
    [[nodiscard]] const Assets& assets() const { return assets_; }

private:
    [[nodiscard]] asio::awaitable<void> accept();
    [[nodiscard]] asio::awaitable<void> sweep();
    [[nodiscard]] asio::awaitable<void> serve(asio::ip::tcp::socket socket, std::shared_ptr<Visit> visit);
    [[nodiscard]] Result<> prepare_tls();
    [[nodiscard]] Result<> listen();
    [[nodiscard]] Result<> write_port_file() const;
    [[nodiscard]] Result<> watch_accounts();
    [[nodiscard]] asio::awaitable<void> follow_accounts();
    void end_lapsed();
    void keep_sessions();
    void detach_empty_rooms();
    void tell_of_displaced();

    asio::io_context& context_;
    GatewayConfiguration configuration_;
    Access access_;
    LogInGuard guard_;
    Worker hashing_;
    Worker disk_;
    double notes_left_ = limits::kNotesOfStrangers;  ///< of what strangers do
    std::size_t notes_dropped_ = 0;
    asio::posix::stream_descriptor state_changes_;
    Assets assets_;
    AdminDesk desk_;
    asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_ = 0;
    std::optional<TlsIdentity> tls_;
    Visits visits_;
    std::size_t turned_away_ = 0;   ///< connections, since it was told last
    std::size_t displaced_told_ = 0;
    bool stopped_ = false;
    Wakeup sweep_wakeup_;
    struct Opened {
        std::shared_ptr<TerminalRoom> room;
        std::string account;
    };
    std::map<std::pair<std::string, std::string>, Opened> rooms_;  ///< by terminal and place
};

}  // namespace understudy::gateway
