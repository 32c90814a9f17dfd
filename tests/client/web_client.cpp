// See web_client.hpp.
#include "web_client.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <utility>

namespace understudy::test {

TcpClient::TcpClient(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int connected = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    assert(connected == 0);
    static_cast<void>(connected);
    ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
}

TcpClient::TcpClient(int descriptor) : descriptor_(descriptor) { ::fcntl(descriptor_, F_SETFL, O_NONBLOCK); }

TcpClient::TcpClient(TcpClient&& other) noexcept
    : received(std::move(other.received)), descriptor_(std::exchange(other.descriptor_, -1)),
      unsent_(std::move(other.unsent_)) {}

TcpClient::~TcpClient() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void TcpClient::send(const std::string& bytes) {
    unsent_ += bytes;
    flush();
}

void TcpClient::flush() {
    if (unsent_.empty()) return;
    const ssize_t sent = ::send(descriptor_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent > 0) unsent_.erase(0, static_cast<std::size_t>(sent));
}

bool TcpClient::step() {
    flush();
    char buffer[65536];
    ssize_t length = 0;
    while ((length = ::recv(descriptor_, buffer, sizeof buffer, 0)) > 0) received.append(buffer, static_cast<std::size_t>(length));
    return length < 0 && errno == EAGAIN;
}

std::string WebAnswer::header(const std::string& name) const {
    const std::string mark = "\r\n" + name + ": ";
    const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b)); };
    const auto found = std::search(head.begin(), head.end(), mark.begin(), mark.end(), same);
    if (found == head.end()) return {};
    const auto from = static_cast<std::size_t>(found - head.begin()) + mark.size();
    return head.substr(from, head.find("\r\n", from) - from);
}

void WebClient::request(const std::string& method, const std::string& target, const std::string& head, const std::string& body) {
    connection_.send(method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) + "\r\n" + head +
                     (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body);
}

std::optional<WebAnswer> WebClient::answer() {
    connection_.step();
    const auto end = connection_.received.find("\r\n\r\n");
    if (end == std::string::npos) return std::nullopt;
    WebAnswer answer;
    answer.head = connection_.received.substr(0, end + 2);
    answer.status = std::stoi(answer.head.substr(9, 3));
    const std::string length_text = answer.header("Content-Length");
    const std::size_t length = length_text.empty() ? 0 : std::stoul(length_text);
    if (connection_.received.size() < end + 4 + length) return std::nullopt;
    answer.body = connection_.received.substr(end + 4, length);
    connection_.received.erase(0, end + 4 + length);
    return answer;
}

void WebClient::upgrade(const std::string& target, const std::string& head) {
    request("GET", target, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + head);
}

void WebClient::send_frame(int kind, const std::string& payload) {
    assert(payload.size() < 126);
    // The mask 0 is a mask, too, and keeps the payload readable.
    connection_.send(std::string{static_cast<char>(0x80 | kind), static_cast<char>(0x80 | payload.size())} + std::string(4, '\0') + payload);
}

std::optional<std::string> WebClient::message() {
    connection_.step();
    std::string& bytes = connection_.received;
    const auto octet = [&](std::size_t at) { return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at])); };
    while (bytes.size() >= 2) {
        const auto kind = octet(0) & 15;
        std::uint64_t length = octet(1) & 127;
        std::size_t head = 2;
        const std::size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (bytes.size() < head + extra) return std::nullopt;
        if (extra > 0) length = 0;
        for (std::size_t i = 0; i < extra; ++i) length = length << 8 | octet(head + i);
        head += extra;
        if (bytes.size() < head + length) return std::nullopt;
        std::string payload = bytes.substr(head, length);
        bytes.erase(0, head + length);
        if (kind == 8 && payload.size() >= 2) {
            closed_with = static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
        } else if (kind == 1 || kind == 2) {
            return payload;
        }
    }
    return std::nullopt;
}

}  // namespace understudy::test
