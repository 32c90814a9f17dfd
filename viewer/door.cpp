// Connecting to a door. No state; runs in the link's thread.
#include "viewer/door.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace understudy::viewer {
namespace {

using Clock = std::chrono::steady_clock;

tl::unexpected<Error> unavailable(const std::string& what, int error_number) {
    return failure(ErrorCode::unavailable, what + ": " + std::strerror(error_number));
}

/// Waits until the socket is ready for `events`; errors: deadline or stop.
Result<> wait_for(int socket_fd, short events, int stop_fd, Clock::time_point deadline, const char* what) {
    while (true) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        if (left.count() <= 0) {
            return failure(ErrorCode::unavailable, std::string("no answer within 5 s while ") + what);
        }
        std::array<pollfd, 2> fds{pollfd{socket_fd, events, 0}, pollfd{stop_fd, POLLIN, 0}};
        const int ready = poll(fds.data(), fds.size(), static_cast<int>(left.count()) + 1);
        if (ready < 0 && errno != EINTR) return unavailable("poll", errno);
        if (fds[1].revents != 0) return failure(ErrorCode::unavailable, "stopped");
        if (ready > 0 && fds[0].revents != 0) return {};
    }
}

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

Result<Address> address_of(const Source& source) {
    Address address;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    if (inet_pton(AF_INET, source.host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(source.port);
        address.size = sizeof(sockaddr_in);
        return address;
    }
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    if (inet_pton(AF_INET6, source.host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(source.port);
        address.size = sizeof(sockaddr_in6);
        return address;
    }
    return failure(ErrorCode::invalid, "'" + source.host + "' is not a numeric address");
}

/// A peer that vanished without a word is given up by the kernel after about six seconds.
void watch_for_silent_death(int fd) {
    const int on = 1;
    const int idle_s = 2;
    const int interval_s = 1;
    const int probes = 4;
    const unsigned unacknowledged_ms = 6000;
    // Best effort: without these, the silence watch of the link still reports it.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

Result<OwnedFd> connect_tcp(const Source& source, int stop_fd, Clock::time_point deadline) {
    auto address = address_of(source);
    if (!address) return tl::unexpected(address.error());
    OwnedFd fd(socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.get() < 0) return unavailable("socket", errno);
    watch_for_silent_death(fd.get());
    const std::string where = source.host + " port " + std::to_string(source.port);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address->storage), address->size) != 0) {
        if (errno != EINPROGRESS) return unavailable("connect to " + where, errno);
        auto ready = wait_for(fd.get(), POLLOUT, stop_fd, deadline, "connecting");
        if (!ready) return tl::unexpected(ready.error());
        int error_number = 0;
        socklen_t size = sizeof error_number;
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error_number, &size);
        if (error_number != 0) return unavailable("connect to " + where, error_number);
    }
    return fd;
}

/// Why comes from the other side of TLS; what the local socket says about its end depends on what was under way.
tl::unexpected<Error> closed(const streams::Ending& ending) {
    return failure(ErrorCode::unavailable, "the door closed without an answer: " + ending.words());
}

Result<> write_line(const streams::Secured& door, std::string_view line, int stop_fd, Clock::time_point deadline) {
    const int fd = door.socket.get();
    while (!line.empty()) {
        const ssize_t written = send(fd, line.data(), line.size(), MSG_NOSIGNAL);
        if (written > 0) {
            line.remove_prefix(static_cast<std::size_t>(written));
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) return closed(*door.ending);
        auto ready = wait_for(fd, POLLOUT, stop_fd, deadline, "writing to the door");
        if (!ready) return ready;
    }
    return {};
}

/// Byte by byte, so that nothing behind the newline is taken away from RFB.
Result<DoorAnswer> read_answer(const streams::Secured& door, int stop_fd, Clock::time_point deadline) {
    const int fd = door.socket.get();
    DoorAnswer answer;
    while (answer.state() == DoorAnswer::State::incomplete) {
        char c = 0;
        const ssize_t got = recv(fd, &c, 1, 0);
        if (got == 1) {
            answer.take({&c, 1});
            continue;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) return closed(*door.ending);
        auto ready = wait_for(fd, POLLIN, stop_fd, deadline, "waiting for the door's answer");
        if (!ready) return tl::unexpected(ready.error());
    }
    return answer;
}

Result<streams::Secured> connect_secured(const Source& source, streams::Pump& pump, int stop_fd, Clock::time_point deadline) {
    auto tcp = connect_tcp(source, stop_fd, deadline);
    if (!tcp) return tl::unexpected(tcp.error());
    auto secured = pump.secure_as_client(std::move(*tcp), source.key);
    // Without the key it is not this door that refused.
    if (!secured) return failure(ErrorCode::unavailable, secured.error().message);
    return secured;
}

}  // namespace

tl::expected<Passed, NotPassed> pass_door(const Source& source, Bearer& bearer, streams::Pump& pump, int stop_fd) {
    const auto deadline = Clock::now() + kDoorTimeout;
    const auto failed = [](const Error& error) { return tl::unexpected(NotPassed{error, false}); };
    for (;;) {
        auto secured = connect_secured(source, pump, stop_fd, deadline);
        if (!secured) return failed(secured.error());
        if (auto written = write_line(*secured, bearer.first_line(source.purpose), stop_fd, deadline); !written) return failed(written.error());
        const auto answer = read_answer(*secured, stop_fd, deadline);
        if (!answer) return failed(answer.error());
        if (answer->state() == DoorAnswer::State::admitted) {
            bearer.admitted(answer->renewal());
            if (auto written = write_line(*secured, kDoorGo, stop_fd, deadline); !written) return failed(written.error());
            return Passed{std::move(secured->socket), std::move(secured->ending)};
        }
        if (answer->is_void() && bearer.voided()) continue;
        return tl::unexpected(NotPassed{{ErrorCode::refused, answer->reason()}, answer->is_void()});
    }
}

}  // namespace understudy::viewer
