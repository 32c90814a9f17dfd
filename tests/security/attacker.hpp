// Tools of somebody who can reach the manager's port and has no business there. Loopback only, bounded in number.
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace understudy::security {

/// A plain TCP connection to the port, without waiting for anything.
class RawPeer {
  public:
    explicit RawPeer(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(port);
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = descriptor_ >= 0 && ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0;
        if (connected_) ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
    }
    ~RawPeer() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    RawPeer(RawPeer&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}
    RawPeer& operator=(RawPeer&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        std::swap(connected_, other.connected_);
        return *this;
    }

    void send(std::string_view bytes) const { static_cast<void>(::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT)); }

    /// Takes and forgets what came; false once the other side has closed.
    [[nodiscard]] bool stands() const {
        std::array<char, 4096> bytes{};
        for (;;) {
            const ssize_t got = ::recv(descriptor_, bytes.data(), bytes.size(), MSG_DONTWAIT);
            if (got > 0) continue;
            return connected_ && got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        }
    }

  private:
    int descriptor_ = -1;
    bool connected_ = false;
};

/// The first 64 bytes of ZMTP 3.1.
inline std::string greeting(std::string mechanism = "CURVE", char major = 3, char minor = 1) {
    mechanism.resize(20, '\0');
    return std::string("\xff\0\0\0\0\0\0\0\0\x7f", 10) + major + minor + mechanism + std::string(32, '\0');
}

/// A frame: flags, and a length that need not be true.
inline std::string frame(unsigned char flags, std::uint64_t length, const std::string& body) {
    std::string text(1, static_cast<char>(flags));
    if ((flags & 2U) == 0) return text + static_cast<char>(length & 0xffU) + body;
    for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>((length >> shift) & 0xffU);
    return text + body;
}

/// The first command of a CURVE client, of the right form and without sense.
inline std::string hello_command() {
    return frame(4, 200, std::string("\x05HELLO\x01\0", 8) + std::string(72, '\0') + std::string(120, 'x'));
}

}  // namespace understudy::security
