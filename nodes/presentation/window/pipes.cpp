// Lines in, lines out. The window's thread.
#include "nodes/presentation/window/pipes.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "nodes/presentation/window/commands.hpp"

namespace understudy::window {
namespace {

constexpr std::size_t kMaxWaitingLines = 256;

}  // namespace

std::vector<Result<std::string>> LineReader::read_lines() {
    std::vector<Result<std::string>> lines;
    std::array<char, 65536> chunk{};
    const ssize_t got = read(fd_, chunk.data(), chunk.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return lines;
    if (got <= 0) {
        is_at_end_ = true;
        return lines;
    }
    for (ssize_t i = 0; i < got; ++i) {
        const char c = chunk[static_cast<std::size_t>(i)];
        if (c == '\n') {
            if (!is_skipping_) lines.emplace_back(std::move(partial_));
            partial_.clear();
            is_skipping_ = false;
        } else if (!is_skipping_) {
            partial_.push_back(c);
            if (partial_.size() > kMaxCommandBytes) {
                lines.push_back(failure(ErrorCode::limit, "a command has at most " + std::to_string(kMaxCommandBytes) +
                                                              " bytes; the line was dropped"));
                partial_.clear();
                is_skipping_ = true;
            }
        }
    }
    return lines;
}

void LineWriter::write(std::string line) {
    if (waiting_.size() >= kMaxWaitingLines) waiting_.pop_front();
    waiting_.push_back(std::move(line));
    flush();
}

void LineWriter::flush() {
    while (!waiting_.empty()) {
        pollfd room{fd_, POLLOUT, 0};
        // A pipe that is writable takes a line of PIPE_BUF bytes whole.
        if (poll(&room, 1, 0) != 1) return;
        if ((room.revents & POLLOUT) == 0) {
            waiting_.clear();  // nobody reads any more; the end of standard input follows
            return;
        }
        const std::string& line = waiting_.front();
        if (::write(fd_, line.data(), line.size()) < 0 && errno == EINTR) continue;
        waiting_.pop_front();
    }
}

}  // namespace understudy::window
