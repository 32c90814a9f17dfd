// See checkpoint_frames.hpp.
#include "nodes/execution/checkpoint_frames.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace understudy::node {
namespace {

constexpr int kSendPatienceMs = 20'000;

Result<> wait_for(int socket, short events, int patience_ms) {
    pollfd ready{socket, events, 0};
    const int count = ::poll(&ready, 1, patience_ms);
    if (count > 0 || (count < 0 && errno == EINTR)) return {};
    return failure(ErrorCode::unavailable, count == 0 ? "the other side stands still" : std::strerror(errno));
}

Result<> read_all(int socket, void* to, std::size_t bytes, int patience_ms) {
    auto* at = static_cast<std::uint8_t*>(to);
    while (bytes > 0) {
        if (auto waited = wait_for(socket, POLLIN, patience_ms); !waited) return waited;
        const auto got = ::recv(socket, at, bytes, MSG_DONTWAIT);
        if (got == 0) return failure(ErrorCode::unavailable, "the connection was closed");
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (got < 0) return failure(ErrorCode::unavailable, std::strerror(errno));
        at += got;
        bytes -= static_cast<std::size_t>(got);
    }
    return {};
}

}  // namespace

Result<> FrameStream::send(FrameKind kind, BytesView content) {
    const auto length = static_cast<std::uint32_t>(content.size());
    std::array<std::uint8_t, 5> header{static_cast<std::uint8_t>(kind), static_cast<std::uint8_t>(length >> 24U),
                                       static_cast<std::uint8_t>(length >> 16U), static_cast<std::uint8_t>(length >> 8U),
                                       static_cast<std::uint8_t>(length)};
    std::array<iovec, 2> parts{{{header.data(), header.size()}, {const_cast<std::uint8_t*>(content.data()), content.size()}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        if (auto waited = wait_for(socket_, POLLOUT, kSendPatienceMs); !waited) return waited;
        const auto sent = ::sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (sent < 0) return failure(ErrorCode::unavailable, std::strerror(errno));
        auto left = static_cast<std::size_t>(sent);
        for (auto& part : parts) {
            const auto taken = std::min(left, part.iov_len);
            part.iov_base = static_cast<std::uint8_t*>(part.iov_base) + taken;
            part.iov_len -= taken;
            left -= taken;
        }
    }
    return {};
}

Result<Frame> FrameStream::receive(int patience_ms) {
    std::array<std::uint8_t, 5> header{};
    if (auto got = read_all(socket_, header.data(), header.size(), patience_ms); !got) return tl::unexpected(got.error());
    const auto length = static_cast<std::uint32_t>(header[1]) << 24U | static_cast<std::uint32_t>(header[2]) << 16U |
                        static_cast<std::uint32_t>(header[3]) << 8U | static_cast<std::uint32_t>(header[4]);
    if (length > kFrameBytes) return failure(ErrorCode::limit, "a frame of " + std::to_string(length) + " bytes is too long");
    Frame frame;
    switch (static_cast<FrameKind>(header[0])) {
        case FrameKind::have: case FrameKind::credit: case FrameKind::begin: case FrameKind::data: case FrameKind::verdict:
            frame.kind = static_cast<FrameKind>(header[0]);
            break;
        default: return failure(ErrorCode::invalid, "a frame of unknown kind " + std::to_string(header[0]));
    }
    frame.content.resize(length);
    if (auto got = read_all(socket_, frame.content.data(), length, kSendPatienceMs); !got) return tl::unexpected(got.error());
    return frame;
}

Bytes encode_credit(std::uint32_t bytes) {
    return {static_cast<std::uint8_t>(bytes >> 24U), static_cast<std::uint8_t>(bytes >> 16U), static_cast<std::uint8_t>(bytes >> 8U),
            static_cast<std::uint8_t>(bytes)};
}

std::uint32_t decode_credit(BytesView content) {
    if (content.size() != 4) return 0;
    return static_cast<std::uint32_t>(content[0]) << 24U | static_cast<std::uint32_t>(content[1]) << 16U |
           static_cast<std::uint32_t>(content[2]) << 8U | static_cast<std::uint32_t>(content[3]);
}

}  // namespace understudy::node
