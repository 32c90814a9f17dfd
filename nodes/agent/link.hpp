// The connection to the manager: one ZeroMQ DEALER under CURVE, and a monitor that says when it breaks.
// Owned by the agent's main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "nodes/agent/config.hpp"
#include "nodes/agent/own_keys.hpp"
#include "protocol/messages.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

class Link {
  public:
    struct Listener {
        std::function<void(const Message&)> on_message;
        std::function<void(bool up)> on_change;
        std::function<void(const std::string&)> on_nonsense;  ///< something that is no message came
    };

    /// Begins to connect, as the bearer of `keys`. Errors: `invalid` (an endpoint or key that ZeroMQ refuses).
    [[nodiscard]] static Result<std::unique_ptr<Link>> open(const Config& config, const CurvePair& keys, std::uint64_t incarnation, Listener listener);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Never blocks: what can't leave now is dropped; the core says it again.
    void send(const Message& message);

    /// The connection stands, as far as was heard in wait().
    [[nodiscard]] bool stands() const { return stands_; }

    /// Waits until something arrives, `also` becomes readable, or the time is over; handles what arrived.
    /// `timeout_ms` -1: no limit. `also` -1: nothing else.
    void wait(int also, int timeout_ms);

  private:
    struct Sockets;
    explicit Link(Listener listener);
    void receive_messages();
    void receive_changes();

    Listener listener_;
    std::unique_ptr<Sockets> sockets_;
    std::uint64_t incarnation_ = 0;
    std::uint64_t sequence_ = 0;
    bool stands_ = false;
};

}  // namespace understudy::node
