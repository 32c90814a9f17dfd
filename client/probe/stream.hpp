// One connection to a door with the RFB client behind it. Never blocks. Belongs to the thread that
// polls it.
#pragma once

#include <string>

#include "client/rfb/rfb_client.hpp"
#include "protocol/door_line.hpp"
#include "protocol/messages.hpp"
#include "streams/pump.hpp"

namespace understudy::client {

class Stream {
public:
    enum class State {
        greeting,   ///< the door has not answered yet
        admitted,   ///< RFB flows
        ended,      ///< see reason()
    };

    /// Starts to connect, with what `bearer` has in hand. A failure shows as `ended`. `pump` must outlive the stream.
    Stream(streams::Pump& pump, const TerminalRedirect& target, Bearer bearer);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream();

    [[nodiscard]] int file_descriptor() const { return socket_; }
    [[nodiscard]] bool wants_to_write() const { return !output_.empty(); }

    /// Carries on after the descriptor became readable or writable.
    void step();

    /// Sends what the RFB client has to say. Call after input was given to it.
    void flush();

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] bool was_refused() const { return refused_; }
    /// Refused for ever: what the bearer has is of no use any more.
    [[nodiscard]] bool is_void() const { return answer_.is_void(); }
    /// What lets in the next time; empty until admitted.
    [[nodiscard]] const std::string& renewal() const { return answer_.renewal(); }
    [[nodiscard]] const std::string& reason() const { return reason_; }
    [[nodiscard]] Epoch epoch() const { return target_.epoch; }
    [[nodiscard]] const TerminalRedirect& target() const { return target_; }
    [[nodiscard]] RfbClient& rfb() { return rfb_; }

private:
    void end(const std::string& reason);
    void read();
    void take(BytesView bytes);

    TerminalRedirect target_;
    int socket_ = -1;
    State state_ = State::greeting;
    std::shared_ptr<const streams::Ending> ending_;
    bool refused_ = false;
    std::string reason_;
    Bytes output_;
    DoorAnswer answer_;
    RfbClient rfb_;
};

}  // namespace understudy::client
