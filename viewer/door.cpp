// Connecting to a door. No state; runs in the link's thread.
#include "viewer/door.hpp"

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

/// Why comes from the other side of TLS; what the local socket says about its end depends on what was under way.
tl::unexpected<Error> closed(const streams::Ending& ending) {
    return failure(ErrorCode::unavailable, "the way to the door ended without an answer: " + ending.words());
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

}  // namespace

tl::expected<Passed, NotPassed> pass_door(const Source& source, Bearer& bearer, streams::Pump& pump, int stop_fd) {
    const auto deadline = Clock::now() + kDoorTimeout;
    const auto failed = [](const Error& error) { return tl::unexpected(NotPassed{error, false}); };
    for (;;) {
        auto secured = pump.dial({source.host, source.port, source.key});
        // Without the key it is not this door that refused.
        if (!secured) return failed({ErrorCode::unavailable, secured.error().message});
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
