// A browser without eyes: HTTP requests and one WebSocket over a plain socket that never blocks, so that
// a test can serve the other parties while it waits. Used by the test's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace understudy::test {

/// A non-blocking connection to a port of 127.0.0.1.
class TcpClient {
public:
    explicit TcpClient(std::uint16_t port);
    explicit TcpClient(int descriptor);
    TcpClient(TcpClient&& other) noexcept;
    TcpClient& operator=(TcpClient&&) = delete;
    ~TcpClient();

    /// Sends now what the socket takes, the rest with the next step().
    void send(const std::string& bytes);
    /// Takes in what there is; false once the other side has ended the connection.
    bool step();
    std::string received;

private:
    void flush();
    int descriptor_;
    std::string unsent_;
};

struct WebAnswer {
    int status = 0;
    std::string head;  ///< all header lines
    std::string body;
    /// Value of a header, empty if there is none.
    [[nodiscard]] std::string header(const std::string& name) const;
};

class WebClient {
public:
    explicit WebClient(std::uint16_t port) : port_(port), connection_(port) {}

    /// Sends a request; `head` holds further header lines, each ending in CRLF.
    void request(const std::string& method, const std::string& target, const std::string& head = {}, const std::string& body = {});

    /// The answer, once it is whole. Takes in what there is, without waiting.
    [[nodiscard]] std::optional<WebAnswer> answer();

    /// Asks for a WebSocket; answer() gives 101 if it is granted.
    void upgrade(const std::string& target, const std::string& head = {});
    void send_text(const std::string& text) { send_frame(1, text); }
    void send_binary(const std::string& bytes) { send_frame(2, bytes); }

    /// The next message, once it is whole. A close frame shows in `closed_with`.
    [[nodiscard]] std::optional<std::string> message();
    int closed_with = 0;

    [[nodiscard]] TcpClient& connection() { return connection_; }

private:
    void send_frame(int kind, const std::string& payload);
    std::uint16_t port_;
    TcpClient connection_;
};

}  // namespace understudy::test
