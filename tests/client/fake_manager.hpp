// A manager as clients see it: a ROUTER with CURVE that says what a test tells it to. It has no thread;
// the test that owns it pumps it while waiting.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "client/link/configuration.hpp"
#include "protocol/messages.hpp"

namespace understudy::test {

struct Heard {
    std::string from;  ///< names the connection
    Message message;
};

class FakeManager {
public:
    /// Listens on a free loopback port.
    FakeManager();
    FakeManager(const FakeManager&) = delete;
    FakeManager& operator=(const FakeManager&) = delete;
    ~FakeManager();

    /// From now on only these public keys are let in. Without this call everybody is.
    void admit_only(std::set<std::string> public_keys);

    /// Configuration of a client with a fresh key of its own.
    [[nodiscard]] client::Configuration configuration() const;

    /// The same as TOML text, for programs.
    [[nodiscard]] std::string configuration_text() const;

    /// Messages that nobody waits for are offered to this first; true: dealt with.
    std::function<bool(const Heard&)> on_message;

    /// The next message for which `wanted` holds, dropping others, or nothing when the time is over.
    [[nodiscard]] std::optional<Heard> wait_for(const std::function<bool(const Message&)>& wanted,
                                                std::chrono::milliseconds timeout = std::chrono::seconds(10));

    template <class Kind>
    [[nodiscard]] std::optional<std::pair<std::string, Kind>> wait_for(std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
        auto heard = wait_for([](const Message& message) { return std::holds_alternative<Kind>(message); }, timeout);
        if (!heard) return std::nullopt;
        return std::pair{heard->from, std::get<Kind>(heard->message)};
    }

    /// Serves until `done` holds or the time is over; returns whether it held.
    bool pump_until(const std::function<bool()>& done, std::chrono::milliseconds timeout = std::chrono::seconds(10));

    void send(const std::string& to, const Message& message);

    /// As if the manager died: all connections end. Listens again at the same address after resume().
    void vanish();
    void resume();

private:
    struct Sockets;
    [[nodiscard]] std::optional<Heard> step(std::chrono::milliseconds timeout);
    std::unique_ptr<Sockets> sockets_;
};

}  // namespace understudy::test
