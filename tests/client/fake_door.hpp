// A node's door as terminals see it: speaks TLS, takes the first line, answers as told, and then echoes what comes
// or shows a one-coloured desktop. It has no thread; step() does what can be done.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "protocol/door_line.hpp"
#include "protocol/messages.hpp"
#include "streams/pump.hpp"
#include "web_client.hpp"

namespace understudy::test {

class FakeDoor {
public:
    enum class Behind { echo, desktop };

    explicit FakeDoor(Behind behind, std::uint32_t colour = 0);
    FakeDoor(const FakeDoor&) = delete;
    FakeDoor& operator=(const FakeDoor&) = delete;
    ~FakeDoor();

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] Endpoint endpoint() const { return {"127.0.0.1", port_, identity_.key()}; }
    void step();

    /// From now on the door answers "NO" and this; empty: it lets in.
    void refuse(const std::string& reason) { refusal_ = reason; }
    /// Renewals are void from now on, as behind a restart of the node.
    void forget_renewals() { knows_renewals_ = false; }
    /// Ends all streams; the door stays open.
    void cut() { guests_.clear(); }
    /// Sends bytes on all admitted streams.
    void send(const std::string& bytes);

    std::vector<std::string> greetings;  ///< first lines, without their ends
    std::vector<std::uint32_t> keys;     ///< keysyms pressed
    [[nodiscard]] std::size_t open_streams() const { return guests_.size(); }

    static constexpr int kWidth = 40;
    static constexpr int kHeight = 30;

private:
    struct Guest {
        explicit Guest(TcpClient client) : connection(std::move(client)) {}
        TcpClient connection;
        bool admitted = false;
        bool answered = false;
        int stage = 0;
    };
    void serve(Guest& guest);
    void serve_desktop(Guest& guest);
    [[nodiscard]] bool take_message(Guest& guest);

    Behind behind_;
    bool knows_renewals_ = true;
    unsigned renewals_ = 0;
    streams::DoorIdentity identity_ = std::move(streams::DoorIdentity::make().value());
    std::uint32_t colour_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::string refusal_;
    std::list<Guest> guests_;
    streams::Pump pump_;
};

}  // namespace understudy::test
