// See server.hpp.
#include "client/gateway/server.hpp"

#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/address.hpp>
#include <spdlog/spdlog.h>

#include "client/gateway/certificates.hpp"
#include "client/gateway/connection.hpp"
#include "client/gateway/limits.hpp"
#include "client/gateway/private_file.hpp"

namespace understudy::gateway {

using asio::ip::tcp;

Server::Server(asio::io_context& context, GatewayConfiguration configuration)
    : context_(context), configuration_(std::move(configuration)), access_(configuration_.state_dir),
      hashing_(limits::kOpenLogIns), disk_(limits::kOpenCalls), state_changes_(context),
      assets_(configuration_.pages, configuration_.novnc), desk_(context), acceptor_(context),
      visits_({configuration_.connections, configuration_.connections_per_address, configuration_.connections_per_account, configuration_.connections / 16}),
      sweep_wakeup_(context) {}

Server::~Server() = default;

Result<> Server::start() {
    if (auto prepared = prepare_tls(); !prepared) return prepared;
    if (auto loaded = access_.load(); !loaded) return loaded;
    if (access_.book().accounts.empty()) spdlog::warn("nobody can log in yet: understudy-gateway account add NAME --role ROLE");
    if (auto watched = watch_accounts(); !watched) return watched;
    if (auto listening = listen(); !listening) return listening;
    if (auto written = write_port_file(); !written) return written;
    if (auto opened = desk_.open(configuration_.manager); !opened) return opened;
    asio::co_spawn(context_, accept(), asio::detached);
    asio::co_spawn(context_, sweep(), asio::detached);
    asio::co_spawn(context_, follow_accounts(), asio::detached);
    return {};
}

Result<> Server::watch_accounts() {
    const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (descriptor >= 0) state_changes_.assign(descriptor);
    // The file is replaced, never written into; the folder is what stays.
    if (descriptor < 0 || ::inotify_add_watch(descriptor, configuration_.state_dir.c_str(), IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE) < 0) {
        return failure(ErrorCode::failed, "cannot watch " + configuration_.state_dir + ": " + std::strerror(errno));
    }
    return {};
}

asio::awaitable<void> Server::follow_accounts() {
    error_code error;
    alignas(inotify_event) std::array<char, 4096> buffer{};
    while (!stopped_ && !error) {
        const std::size_t length = co_await state_changes_.async_read_some(asio::buffer(buffer), into(error));
        bool changed = false;
        for (std::size_t at = 0; !error && at + sizeof(inotify_event) <= length;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            changed = changed || (event->len > 0 && std::string_view(event->name) == "accounts") || (event->mask & IN_Q_OVERFLOW) != 0;
            at += sizeof(inotify_event) + event->len;
        }
        if (!changed) continue;
        if (auto reloaded = access_.reload_accounts(); !reloaded) spdlog::error("the accounts stay as they were: {}", reloaded.error().message);
        end_lapsed();
    }
}

void Server::end_lapsed() {
    const std::int64_t now_s = std::time(nullptr);
    visits_.end_those([&](const Visit& visit) { return visit.known && !access_.still(visit.caller, now_s); });
}

void Server::end_session(const std::string& hash) {
    access_.sessions().end(hash);
    // Not the connection that says so: it still has to be answered.
    visits_.end_those([&](const Visit& visit) { return visit.caller.session == hash && visit.is_websocket; });
}

void Server::keep_sessions() {
    access_.sessions().forget(std::time(nullptr));
    if (!access_.sessions().take_changed()) return;
    disk_.post([path = access_.sessions_path(), text = access_.sessions().text()] {
        if (auto kept = replace_private_file(path, text); !kept) spdlog::error("people will have to log in again after a restart: {}", kept.error().message);
    });
}

void Server::note(AuditEntry entry) {
    const bool of_strangers = entry.role.empty() && entry.event != "login" && entry.event != "logout" && entry.event != "result";
    if (of_strangers && notes_left_ < 1) {
        ++notes_dropped_;
        return;
    }
    if (of_strangers) notes_left_ -= 1;
    if (of_strangers && notes_dropped_ > 0) entry.result += " (and " + std::to_string(std::exchange(notes_dropped_, 0)) + " more attempts, not written down)";
    disk_.post([path = audit_file(), line = audit_line(entry, wall_ms_now())] {
        if (auto recorded = append_audit(path, line); !recorded) spdlog::error("{}: {}", recorded.error().message, line);
    });
}

Result<> Server::prepare_tls() {
    error_code error;
    const auto address = asio::ip::make_address(configuration_.address, error);
    if (error) return failure(ErrorCode::invalid, "gateway.address \"" + configuration_.address + "\" is not an IP address");
    if (auto folder = make_private_folder(configuration_.state_dir); !folder) return folder;
    if (configuration_.tls == Tls::off) {
        if (address.is_loopback()) return {};
        return failure(ErrorCode::invalid, "gateway.tls is off and gateway.address is " + configuration_.address +
                                               ": passwords and pictures would cross the network in clear. Leave gateway.tls out, or listen "
                                               "on 127.0.0.1 behind a proxy that speaks TLS");
    }
    auto identity = make_tls_identity(configuration_, std::time(nullptr));
    if (!identity) return tl::unexpected(identity.error());
    tls_ = std::move(*identity);
    return {};
}

void Server::renew_certificate() {
    if (!tls_) return;
    auto identity = make_tls_identity(configuration_, std::time(nullptr));
    if (!identity) {
        spdlog::error("the certificate stays as it was: {}", identity.error().message);
        return;
    }
    tls_ = std::move(*identity);
    spdlog::info("the certificate is that of {} now", tls_->fingerprint);
}

Result<> Server::listen() {
    error_code error;
    const tcp::endpoint endpoint(asio::ip::make_address(configuration_.address, error), configuration_.port);
    if (!error) acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        return failure(ErrorCode::failed, "cannot listen on " + configuration_.address + ":" +
                                              std::to_string(configuration_.port) + ": " + error.message() +
                                              "; is another gateway running? Choose another gateway.port");
    }
    port_ = acceptor_.local_endpoint().port();
    return {};
}

Result<> Server::write_port_file() const {
    if (configuration_.port_file.empty()) return {};
    // Renamed into place: whoever waits for the file never reads half a number.
    const std::string fresh = configuration_.port_file + ".new";
    std::ofstream(fresh) << port_ << "\n";
    if (std::rename(fresh.c_str(), configuration_.port_file.c_str()) == 0) return {};
    return failure(ErrorCode::failed, "cannot write gateway.port_file " + configuration_.port_file);
}

std::string Server::introduction() const {
    const bool six = configuration_.address.find(':') != std::string::npos;
    std::string text = std::string("listening on ") + (tls_ ? "https" : "http") + "://" + (six ? "[" : "") + configuration_.address + (six ? "]:" : ":") +
                       std::to_string(port_) + "/\n";
    if (!tls_) return text;
    if (tls_->authority.empty()) return text + "certificate " + configuration_.certificate + ", SHA-256 " + tls_->fingerprint + "\n";
    return text + "certificate authority " + configuration_.state_dir + "/authority.crt, SHA-256 " + tls_->fingerprint + "\n";
}

void Server::stop() {
    stopped_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    state_changes_.close(ignored);
    keep_sessions();
    sweep_wakeup_.wake();
    desk_.stop();
    for (const auto& [key, opened] : rooms_) opened.room->close_pages();
    rooms_.clear();
}

asio::awaitable<void> Server::accept() {
    while (!stopped_) {
        error_code error;
        tcp::socket socket = co_await acceptor_.async_accept(into(error));
        if (error) {
            if (stopped_) co_return;
            // Out of descriptors, most likely: give those that are open time to end.
            spdlog::warn("cannot accept a connection: {}", error.message());
            Wakeup pause(context_);
            co_await pause.wait_until(Clock::now() + std::chrono::milliseconds(100));
            continue;
        }
        const auto from = socket.remote_endpoint(error);
        if (error) continue;  // gone again
        auto visit = visits_.enter(from.address().to_string());
        if (!visit) {
            ++turned_away_;
            continue;
        }
        asio::co_spawn(context_, serve(std::move(socket), std::move(visit)), asio::detached);
    }
}

asio::awaitable<void> Server::serve(tcp::socket socket, std::shared_ptr<Visit> visit) {
    try {
        co_await serve_connection(*this, std::move(socket), visit);
    } catch (const std::exception& error) {
        // One connection must never take the others along.
        spdlog::error("a connection ended with: {}", error.what());
    }
    visit->end = nullptr;
    visits_.leave(visit);
}

asio::awaitable<void> Server::sweep() {
    while (!stopped_) {
        co_await sweep_wakeup_.wait_until(Clock::now() + std::chrono::seconds(1));
        detach_empty_rooms();
        tell_of_displaced();
        end_lapsed();
        keep_sessions();
        notes_left_ = std::min(notes_left_ + 1, limits::kNotesOfStrangers);
        const bool ours = tls_ && !tls_->authority.empty();
        if (ours && std::time(nullptr) >= tls_->ends_s - kRenewDays * 24 * 3600) renew_certificate();
    }
}

void Server::detach_empty_rooms() {
    const auto now = Clock::now();
    std::erase_if(rooms_, [&](const auto& entry) {
        const auto since = entry.second.room->empty_since();
        if (!since || now - *since < configuration_.detach_after) return false;
        spdlog::info("terminal {}: no page any more, detached", entry.first.first);
        entry.second.room->leave();
        return true;
    });
}

/// Once a second at most: whoever floods the gateway must not flood its log as well.
void Server::tell_of_displaced() {
    const std::size_t displaced = visits_.displaced() - displaced_told_;
    displaced_told_ = visits_.displaced();
    if (displaced > 0) spdlog::warn("{} connections over which nobody had logged in gave way to newer ones", displaced);
    if (turned_away_ > 0) spdlog::warn("{} connections were turned away: {} are open (gateway.connections)", std::exchange(turned_away_, 0), visits_.size());
}

Result<std::shared_ptr<TerminalRoom>> Server::room(const std::string& terminal, const std::string& place, const std::string& account) {
    const std::pair key(terminal, place);
    const auto found = rooms_.find(key);
    if (found != rooms_.end()) return found->second.room;
    if (rooms_.size() >= limits::kTerminals) return failure(ErrorCode::limit, "this gateway serves too many terminals already");
    const auto of_account = std::count_if(rooms_.begin(), rooms_.end(), [&](const auto& entry) { return entry.second.account == account; });
    if (static_cast<std::size_t>(of_account) >= limits::kTerminalsOfAccount) {
        return failure(ErrorCode::limit, account + " has " + std::to_string(of_account) + " terminals open here already: close one");
    }
    auto room = std::make_shared<TerminalRoom>(context_, terminal);
    if (auto opened = room->open(configuration_.manager); !opened) return tl::unexpected(opened.error());
    rooms_[key] = {room, account};
    return room;
}

}  // namespace understudy::gateway
