// One TCP connection to a door with the RFB client behind it. Never blocks. Belongs to the thread that
// polls it.
#pragma once

#include <string>

#include "client/link/door.hpp"
#include "client/rfb/rfb_client.hpp"
#include "protocol/messages.hpp"

namespace understudy::client {

class Stream {
public:
    enum class State {
        connecting,
        greeting,   ///< connected, the door has not answered yet
        admitted,   ///< RFB flows
        ended,      ///< see reason()
    };

    /// Starts to connect. A failure shows as `ended`.
    explicit Stream(const TerminalRedirect& target);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream();

    [[nodiscard]] int file_descriptor() const { return socket_; }
    [[nodiscard]] bool wants_to_write() const { return state_ == State::connecting || !output_.empty(); }

    /// Carries on after the descriptor became readable or writable.
    void step();

    /// Sends what the RFB client has to say. Call after input was given to it.
    void flush();

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] bool was_refused() const { return refused_; }
    [[nodiscard]] const std::string& reason() const { return reason_; }
    [[nodiscard]] Epoch epoch() const { return target_.epoch; }
    [[nodiscard]] RfbClient& rfb() { return rfb_; }

private:
    void end(const std::string& reason);
    void finish_connecting();
    void read();
    void take(BytesView bytes);

    TerminalRedirect target_;
    int socket_ = -1;
    State state_ = State::connecting;
    bool refused_ = false;
    std::string reason_;
    Bytes output_;
    DoorAnswer answer_;
    RfbClient rfb_;
};

}  // namespace understudy::client
