// See stream.hpp.
#include "client/probe/stream.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace understudy::client {

Stream::Stream(streams::Pump& pump, const TerminalRedirect& target, Bearer bearer) : target_(target) {
    auto secured = pump.dial(target.endpoint);
    if (!secured) {
        end(secured.error().message);
        return;
    }
    socket_ = secured->socket.release();
    ending_ = std::move(secured->ending);
    const std::string greeting = bearer.first_line(Purpose::desktop);
    output_.insert(output_.end(), greeting.begin(), greeting.end());
    flush();
}

Stream::~Stream() {
    if (socket_ >= 0) ::close(socket_);
}

void Stream::end(const std::string& reason) {
    if (state_ == State::ended) return;
    state_ = State::ended;
    reason_ = reason;
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
}

void Stream::step() {
    if (state_ == State::ended) return;
    read();
    flush();
}

void Stream::read() {
    std::array<std::uint8_t, 65536> buffer{};
    // Bounded, so that a flood of pictures does not starve the commands.
    for (int turn = 0; turn < 16; ++turn) {
        const ssize_t length = ::recv(socket_, buffer.data(), buffer.size(), 0);
        if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (length < 0) return end(std::string("the connection broke: ") + std::strerror(errno));
        if (length == 0) return end("the door ended the connection: " + ending_->words());
        take(BytesView(buffer).first(static_cast<std::size_t>(length)));
        if (state_ == State::ended) return;
    }
}

void Stream::take(BytesView bytes) {
    if (state_ == State::greeting) {
        const std::size_t used = answer_.take({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        bytes = bytes.subspan(used);
        if (answer_.state() == DoorAnswer::State::refused) {
            refused_ = true;
            return end("the door refused: " + answer_.reason());
        }
        if (answer_.state() == DoorAnswer::State::incomplete) return;
        state_ = State::admitted;
        output_.insert(output_.end(), kDoorGo.begin(), kDoorGo.end());
    }
    const auto fed = rfb_.feed(bytes);
    if (!fed) end(fed.error().message);
}

void Stream::flush() {
    if (state_ == State::ended) return;
    const Bytes fresh = rfb_.take_output();
    output_.insert(output_.end(), fresh.begin(), fresh.end());
    while (!output_.empty()) {
        const ssize_t sent = ::send(socket_, output_.data(), output_.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (sent < 0) return end(std::string("the connection broke: ") + std::strerror(errno));
        output_.erase(output_.begin(), output_.begin() + sent);
    }
}

}  // namespace understudy::client
