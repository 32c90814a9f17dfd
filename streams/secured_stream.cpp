// See secured_stream.hpp.
#include "streams/secured_stream.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace understudy::streams {
namespace {

constexpr int kRecordsPerTurn = 64;  ///< one stream may not keep the others

std::string socket_problem(int socket) {
    int problem = 0;
    socklen_t length = sizeof problem;
    ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &problem, &length);
    return problem == 0 ? "the other side is gone" : std::strerror(problem);
}

}  // namespace

SecuredStream::SecuredStream(OwnedFd tcp, OwnedFd local, const DoorIdentity& identity, std::shared_ptr<Ending> ending)
    : tcp_(std::move(tcp)), local_(std::move(local)), identity_(&identity), ending_(std::move(ending)), tcp_wanted_(EPOLLIN) {}

SecuredStream::SecuredStream(OwnedFd local, TlsSession client, std::string pinned_key, std::shared_ptr<Ending> ending)
    : local_(std::move(local)), tls_(std::move(client)), pinned_key_(std::move(pinned_key)), ending_(std::move(ending)), tcp_wanted_(EPOLLOUT) {
    SSL_set_connect_state(tls_.get());
}

void SecuredStream::connected(OwnedFd tcp) {
    tcp_ = std::move(tcp);
    SSL_set_fd(tls_.get(), tcp_.get());
}

SecuredStream::Next SecuredStream::end(std::string why) {
    ending_->set(std::move(why));
    return Next::over;
}

void SecuredStream::time_out() {
    ending_->set(secured_ ? "the other side does not take the rest" : "the TLS handshake was not done in time");
}

SecuredStream::Next SecuredStream::advance(std::uint32_t tcp_events, std::uint32_t local_events, const std::function<bool()>& may_carry) {
    constexpr std::uint32_t kGone = EPOLLHUP | EPOLLERR;
    if ((local_events & kGone) != 0) local_gone_ = true;
    if (!secured_) {
        if (local_gone_) return end("given up before the TLS handshake was done");
        if (!shake_hands()) return Next::over;
        if ((tcp_events & kGone) != 0) return end(socket_problem(tcp_.get()) + " during the TLS handshake");
        if (!secured_) return Next::handshake;
    }
    if (!pump(may_carry)) return end("the other side is gone");  // unless there was something better to say
    if ((tcp_events & kGone) != 0) return end(socket_problem(tcp_.get()));
    // Behind its goodbye a pump keeps its connection for the other way; who ends that as well is gone.
    const bool left = (tcp_events & EPOLLRDHUP) != 0;
    if (in_.passed_on && (out_.passed_on || cut_off_ || left)) return end("the other side ended the stream");
    if (out_.passed_on && local_gone_) return end("ended on this side");
    return local_gone_ || cut_off_ ? Next::closing : Next::open;
}

bool SecuredStream::shake_hands() {
    if (!tls_) {
        // Made with the first bytes: who connects and says nothing costs a descriptor and no more.
        tls_ = identity_->new_session();
        if (!tls_ || SSL_set_fd(tls_.get(), tcp_.get()) != 1) {
            ending_->set("no memory for a TLS session");
            return false;
        }
    }
    ERR_clear_error();
    const int result = SSL_do_handshake(tls_.get());
    tcp_wanted_ = 0;
    if (result != 1) return judge_tls(result, "the TLS handshake failed") != Moved::broken;
    if (identity_ == nullptr) {
        const std::string key = key_of_peer(tls_.get());
        if (key != pinned_key_) {
            ending_->set("the door has another key (" + key + ") than the manager says (" + pinned_key_ + "); not let in on our side");
            return false;
        }
    }
    secured_ = true;
    return true;
}

/// Moves both ways until nothing moves, and notes what to wait for.
bool SecuredStream::pump(const std::function<bool()>& may_carry) {
    tcp_wanted_ = local_wanted_ = 0;
    for (int turn = 0; turn < kRecordsPerTurn; ++turn) {
        if (!may_carry()) {
            ending_->set(std::string(kLapsed));
            return false;
        }
        const Moved in = move_in();
        const Moved out = move_out();
        if (in == Moved::broken || out == Moved::broken) return false;
        if (in == Moved::waits && out == Moved::waits) return true;
        tcp_wanted_ = local_wanted_ = 0;
    }
    // Enough for this turn; level-triggered descriptors bring the rest.
    if (!in_.empty()) local_wanted_ |= EPOLLOUT;
    else if (!in_.ended) tcp_wanted_ |= EPOLLIN;
    if (!out_.empty()) tcp_wanted_ |= EPOLLOUT;
    else if (!out_.ended) local_wanted_ |= EPOLLIN;
    return true;
}

SecuredStream::Moved SecuredStream::move_in() {
    if (local_gone_) return Moved::waits;  // nobody is there to read it
    if (in_.empty()) {
        if (!in_.ended) return read_tls();
        if (!in_.passed_on) {
            ::shutdown(local_.get(), SHUT_WR);
            in_.passed_on = true;
            return Moved::on;
        }
        if (!cut_off_) tcp_wanted_ |= EPOLLRDHUP;  // it may still go altogether
        return Moved::waits;
    }
    const ssize_t sent = ::send(local_.get(), in_.bytes.data() + in_.from, in_.until - in_.from, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        in_.from += static_cast<std::size_t>(sent);
        return Moved::on;
    }
    if (errno == EAGAIN || errno == EINTR) {
        local_wanted_ |= EPOLLOUT;
        return Moved::waits;
    }
    local_gone_ = true;
    return Moved::on;
}

SecuredStream::Moved SecuredStream::move_out() {
    if (cut_off_) return Moved::waits;
    if (!out_.empty()) return write_tls();
    if (out_.ended) {
        if (out_.passed_on) return Moved::waits;
        ERR_clear_error();
        const int told = SSL_shutdown(tls_.get());
        if (told < 0) return judge_tls(told, "the end of the stream could not be told");
        out_.passed_on = true;
        return Moved::on;
    }
    const ssize_t got = ::recv(local_.get(), out_.bytes.data(), out_.bytes.size(), MSG_DONTWAIT);
    if (got > 0) {
        out_.from = 0;
        out_.until = static_cast<std::size_t>(got);
        return Moved::on;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        local_wanted_ |= EPOLLIN;
        return Moved::waits;
    }
    out_.ended = true;
    return Moved::on;
}

SecuredStream::Moved SecuredStream::read_tls() {
    ERR_clear_error();
    const int got = SSL_read(tls_.get(), in_.bytes.data(), static_cast<int>(in_.bytes.size()));
    if (got > 0) {
        in_.from = 0;
        in_.until = static_cast<std::size_t>(got);
        return Moved::on;
    }
    const int problem = SSL_get_error(tls_.get(), got);
    if (problem == SSL_ERROR_ZERO_RETURN) {
        in_.ended = true;
        return Moved::on;
    }
    if (problem == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        in_.ended = cut_off_ = true;
        return Moved::on;
    }
    return judge_tls(got, "the stream broke");
}

SecuredStream::Moved SecuredStream::write_tls() {
    ERR_clear_error();
    const int sent = SSL_write(tls_.get(), out_.bytes.data() + out_.from, static_cast<int>(out_.until - out_.from));
    if (sent <= 0) return judge_tls(sent, "the stream broke");
    out_.from += static_cast<std::size_t>(sent);
    return Moved::on;
}

SecuredStream::Moved SecuredStream::judge_tls(int result, const char* doing) {
    const int system_error = errno;
    switch (SSL_get_error(tls_.get(), result)) {
        case SSL_ERROR_WANT_READ: tcp_wanted_ |= EPOLLIN; return Moved::waits;
        case SSL_ERROR_WANT_WRITE: tcp_wanted_ |= EPOLLOUT; return Moved::waits;
        case SSL_ERROR_SYSCALL:
            ending_->set(std::string(doing) + ": " + (system_error != 0 ? std::strerror(system_error) : "the connection was closed"));
            break;
        default: ending_->set(std::string(doing) + ": " + tls_problem());
    }
    ERR_clear_error();
    return Moved::broken;
}

}  // namespace understudy::streams
