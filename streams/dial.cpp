// See dial.hpp.
#include "streams/dial.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

namespace understudy::streams {
namespace {

/// Small messages leave at once; a peer that vanished without a word is given up by the kernel after about six seconds.
void tune(int socket) {
    const int on = 1;
    const int idle_s = 2;
    const int interval_s = 1;
    const int probes = 4;
    const unsigned unacknowledged_ms = 6000;
    // Best effort: without these, whoever uses the stream still notices.
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

/// `problem` is 0 when it was answered.
bool is_decided(int socket, int& problem) {
    pollfd ready{socket, POLLOUT, 0};
    if (::poll(&ready, 1, 0) != 1) return false;
    socklen_t length = sizeof problem;
    ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &problem, &length);
    return true;
}

}  // namespace

Result<Dial> Dial::to(const Endpoint& endpoint) {
    Dial dial;
    dial.where_ = endpoint.host + " port " + std::to_string(endpoint.port);
    auto* const v4 = reinterpret_cast<sockaddr_in*>(&dial.address_);
    auto* const v6 = reinterpret_cast<sockaddr_in6*>(&dial.address_);
    if (::inet_pton(AF_INET, endpoint.host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(endpoint.port);
        dial.length_ = sizeof *v4;
    } else if (::inet_pton(AF_INET6, endpoint.host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(endpoint.port);
        dial.length_ = sizeof *v6;
    } else {
        return failure(ErrorCode::invalid, "\"" + endpoint.host + "\" is not a numeric address");
    }
    return dial;
}

int Dial::attempt() {
    ++made_;
    OwnedFd socket(::socket(address_.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.get() >= 0) tune(socket.get());
    if (socket.get() < 0 || (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address_), length_) != 0 && errno != EINPROGRESS)) {
        problem_ = errno;
        return -1;
    }
    return under_way_.emplace_back(std::move(socket)).get();
}

OwnedFd Dial::take_connected() {
    OwnedFd connected;
    std::erase_if(under_way_, [&](OwnedFd& socket) {
        int problem = 0;
        if (connected.get() >= 0 || !is_decided(socket.get(), problem)) return false;
        if (problem == 0) connected = std::move(socket);
        else problem_ = problem;
        return true;
    });
    if (connected.get() >= 0) under_way_.clear();
    return connected;
}

std::string Dial::problem() const {
    return problem_ == 0 ? "nobody answers at " + where_ : "can't connect to " + where_ + ": " + std::strerror(problem_);
}

}  // namespace understudy::streams
