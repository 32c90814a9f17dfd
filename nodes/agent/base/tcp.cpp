// See tcp.hpp.
#include "nodes/agent/base/tcp.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace understudy::node {
namespace {

struct Address {
    sockaddr_storage storage{};
    socklen_t length = 0;
};

Result<Address> numeric(const Endpoint& endpoint) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(endpoint.port);
    if (::getaddrinfo(endpoint.host.c_str(), port.c_str(), &hints, &found) != 0 || found == nullptr) {
        return failure(ErrorCode::invalid, "'" + endpoint.host + "' is not a numeric address");
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> keeper(found, &::freeaddrinfo);
    Address address;
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.length = found->ai_addrlen;
    return address;
}

std::string name_of(const Endpoint& endpoint) { return endpoint.host + ":" + std::to_string(endpoint.port); }

}  // namespace

Endpoint as_seen_here(Endpoint endpoint, const std::string& alias) {
    if (!alias.empty() && (endpoint.host.starts_with("127.") || endpoint.host == "localhost" || endpoint.host == "::1")) endpoint.host = alias;
    return endpoint;
}

Result<Descriptor> listen_on(const std::string& address, std::uint16_t port) {
    const auto where = numeric({address, port});
    if (!where) return tl::unexpected(where.error());
    Descriptor socket(::socket(where->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where->storage), where->length) != 0 ||
        ::listen(socket.get(), 128) != 0) {
        return failure(ErrorCode::failed, "can't listen on " + name_of({address, port}) + ": " + std::strerror(errno));
    }
    return socket;
}

std::uint16_t port_of(int socket) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
    if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
    return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

void tune_stream(int socket) {
    const int yes = 1;
    const int idle_s = 5;
    const int interval_s = 2;
    const int probes = 4;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

}  // namespace understudy::node
