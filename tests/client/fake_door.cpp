// See fake_door.hpp.
#include "fake_door.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace understudy::test {
namespace {

std::string number(std::uint64_t value, int octets) {
    std::string bytes;
    for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
    return bytes;
}

unsigned octet(const std::string& bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

}  // namespace

FakeDoor::FakeDoor(Behind behind, std::uint32_t colour) : behind_(behind), colour_(colour) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    const int bound = ::bind(listener_, reinterpret_cast<sockaddr*>(&address), length);
    assert(bound == 0);
    static_cast<void>(bound);
    ::listen(listener_, 16);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
}

FakeDoor::~FakeDoor() { ::close(listener_); }

void FakeDoor::step() {
    for (int guest = 0; (guest = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
        auto secured = pump_.secure_as_server(streams::OwnedFd(guest), identity_);
        if (secured) guests_.emplace_back(TcpClient(secured->socket.release()));
    }
    for (auto guest = guests_.begin(); guest != guests_.end();) {
        const bool open = guest->connection.step();
        serve(*guest);
        if (open && guest->stage >= 0) ++guest;
        else guest = guests_.erase(guest);
    }
}

void FakeDoor::send(const std::string& bytes) {
    for (Guest& guest : guests_) {
        if (guest.admitted) guest.connection.send(bytes);
    }
}

void FakeDoor::serve(Guest& guest) {
    std::string& bytes = guest.connection.received;
    if (!guest.admitted) {
        const auto end = bytes.find('\n');
        if (end == std::string::npos) return;
        if (guest.answered) {
            guest.admitted = bytes.substr(0, end + 1) == kDoorGo;
            bytes.erase(0, end + 1);
            if (!guest.admitted) guest.stage = -1;
            else guest.connection.send(behind_ == Behind::desktop ? "RFB 003.008\n" : "welcome");
            return;
        }
        greetings.push_back(bytes.substr(0, end));
        bytes.erase(0, end + 1);
        if (!refusal_.empty()) {
            guest.connection.send("NO " + refusal_ + "\n");
            guest.stage = -1;
            return;
        }
        if (!knows_renewals_ && greetings.back().find(" =") != std::string::npos) {
            guest.connection.send("VOID this renewal was used\n");
            guest.stage = -1;
            return;
        }
        guest.answered = true;
        std::string renewal = std::to_string(++renewals_);
        renewal.insert(0, kRenewalBytes - renewal.size(), 'r');
        guest.connection.send("OK " + renewal + "\n");
        return;
    }
    if (behind_ == Behind::desktop) return serve_desktop(guest);
    if (!bytes.empty()) guest.connection.send(std::exchange(bytes, {}));
}

void FakeDoor::serve_desktop(Guest& guest) {
    std::string& bytes = guest.connection.received;
    static constexpr std::size_t kNeeded[] = {12, 1, 1};
    while (guest.stage < 3 && bytes.size() >= kNeeded[guest.stage]) {
        bytes.erase(0, kNeeded[guest.stage]);
        if (guest.stage == 0) guest.connection.send(std::string("\1\1", 2));
        if (guest.stage == 1) guest.connection.send(std::string(4, '\0'));
        if (guest.stage == 2) guest.connection.send(number(kWidth, 2) + number(kHeight, 2) + std::string(16, '\0') + number(4, 4) + "test");
        ++guest.stage;
    }
    while (guest.stage == 3 && take_message(guest)) {
    }
}

bool FakeDoor::take_message(Guest& guest) {
    std::string& bytes = guest.connection.received;
    if (bytes.size() < 4) return false;
    std::size_t length = 20;  // SetPixelFormat
    if (octet(bytes, 0) == 2) length = 4 + 4 * (octet(bytes, 2) << 8 | octet(bytes, 3));
    if (octet(bytes, 0) == 3) length = 10;
    if (octet(bytes, 0) == 4) length = 8;
    if (octet(bytes, 0) == 5) length = 6;
    if (bytes.size() < length) return false;
    if (octet(bytes, 0) == 3 && octet(bytes, 1) == 0) {
        std::string update = number(1, 4) + number(0, 4) + number(kWidth, 2) + number(kHeight, 2) + number(0, 4);
        for (int i = 0; i < kWidth * kHeight; ++i) {
            update += static_cast<char>(colour_);
            update += static_cast<char>(colour_ >> 8);
            update += static_cast<char>(colour_ >> 16);
            update += '\0';
        }
        guest.connection.send(update);
    }
    if (octet(bytes, 0) == 4 && octet(bytes, 1) == 1) {
        keys.push_back(octet(bytes, 4) << 24 | octet(bytes, 5) << 16 | octet(bytes, 6) << 8 | octet(bytes, 7));
    }
    bytes.erase(0, length);
    return true;
}

}  // namespace understudy::test
