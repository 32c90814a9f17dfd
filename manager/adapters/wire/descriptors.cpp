// See descriptors.hpp.
#include "manager/adapters/wire/descriptors.hpp"

#include <cstddef>
#include <cstring>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace understudy::manager {

std::string other_end(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return {};
    return {reinterpret_cast<const char*>(&address), size};
}

std::string machine_of(const std::string& end) {
    sockaddr_storage address{};
    if (end.size() > sizeof address) return {};
    std::memcpy(&address, end.data(), end.size());
    if (address.ss_family == AF_INET) {
        const auto& four = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
        return {reinterpret_cast<const char*>(&four), sizeof four};
    }
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    return {reinterpret_cast<const char*>(&six), sizeof six};
}

bool cut_descriptor(int descriptor, const std::string& expected) {
    return !expected.empty() && other_end(descriptor) == expected && ::shutdown(descriptor, SHUT_RDWR) == 0;
}

std::uint64_t acknowledged_bytes(int descriptor) {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
    if (size < offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) return 0;
    return info.tcpi_bytes_acked;
}

}  // namespace understudy::manager
