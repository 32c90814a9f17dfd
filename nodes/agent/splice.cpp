// See splice.hpp.
#include "nodes/agent/splice.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace understudy::node {
namespace {

constexpr std::size_t kPipeBytes = 256 * 1024;
// One stream may not keep the thread that renews the lease.
constexpr std::size_t kTurnBytes = 1024 * 1024;

}  // namespace

SplicedPair::SplicedPair(Loop& loop, Descriptor left, Descriptor right, std::function<void()> on_end) : loop_(loop), on_end_(std::move(on_end)) {
    left_.socket = std::move(left);
    right_.socket = std::move(right);
    for (Direction* way : {&to_right_, &to_left_}) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) continue;
        way->pipe_out.reset(ends[0]);
        way->pipe_in.reset(ends[1]);
        ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kPipeBytes));
    }
    for (End* end : {&left_, &right_}) {
        end->wanted = EPOLLIN;
        end->watch = loop_.watch(end->socket.get(), EPOLLIN, [this, end](std::uint32_t events) { on_ready(*end, events); });
    }
}

SplicedPair::~SplicedPair() {
    for (End* end : {&left_, &right_}) {
        if (end->watch != 0) loop_.unwatch(end->watch);
    }
    if (again_ != 0) loop_.cancel(again_);
}

void SplicedPair::on_ready(End& end, std::uint32_t events) {
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) end.readable = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) end.writable = true;
    // Whoever is gone in both directions has no use for the rest, and would be reported for ever.
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) finish();
    else pump();
}

void SplicedPair::pump() {
    if (!to_right_.pipe_in || !to_left_.pipe_in || !pump_one(left_, right_, to_right_) || !pump_one(right_, left_, to_left_) ||
        (to_right_.passed_on && to_left_.passed_on)) {
        finish();
        return;
    }
    update(left_, to_left_, to_right_);
    update(right_, to_right_, to_left_);
}

bool SplicedPair::pump_one(End& from, End& to, Direction& way) {
    constexpr unsigned kFlags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;
    std::size_t moved = 0;
    for (bool progress = true; progress && moved < kTurnBytes;) {
        progress = false;
        if (from.readable && !way.source_ended && way.buffered_bytes < kPipeBytes) {
            const auto got = ::splice(from.socket.get(), nullptr, way.pipe_in.get(), nullptr, kPipeBytes - way.buffered_bytes, kFlags);
            if (got > 0) {
                way.buffered_bytes += static_cast<std::size_t>(got);
                progress = true;
            } else if (got == 0) {
                way.source_ended = true;
            } else if (errno != EAGAIN && errno != EINTR) {
                return false;
            } else if (way.buffered_bytes == 0) {
                from.readable = false;  // with bytes in the pipe it may be the pipe that is full
            }
        }
        if (to.writable && way.buffered_bytes > 0) {
            const auto sent = ::splice(way.pipe_out.get(), nullptr, to.socket.get(), nullptr, way.buffered_bytes, kFlags);
            if (sent > 0) {
                way.buffered_bytes -= static_cast<std::size_t>(sent);
                moved += static_cast<std::size_t>(sent);
                progress = true;
            } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
                return false;
            } else {
                to.writable = false;
            }
        }
    }
    if (way.source_ended && way.buffered_bytes == 0 && !way.passed_on) {
        ::shutdown(to.socket.get(), SHUT_WR);
        way.passed_on = true;
    }
    if (moved >= kTurnBytes && again_ == 0) {
        again_ = loop_.after(Duration::zero(), [this] {
            again_ = 0;
            pump();
        });
    }
    return true;
}

// `outgoing`: towards this end; `incoming`: from it.
void SplicedPair::update(End& end, const Direction& outgoing, const Direction& incoming) {
    std::uint32_t wanted = 0;
    if (!incoming.source_ended && incoming.buffered_bytes < kPipeBytes / 2) wanted |= EPOLLIN;
    if (outgoing.buffered_bytes > 0 && !end.writable) wanted |= EPOLLOUT;
    if (wanted != end.wanted) {
        end.wanted = wanted;
        loop_.change(end.watch, wanted);
    }
}

void SplicedPair::finish() {
    for (End* end : {&left_, &right_}) {
        if (end->watch != 0) loop_.unwatch(std::exchange(end->watch, 0));
    }
    if (auto call = std::exchange(on_end_, {})) call();
}

}  // namespace understudy::node
