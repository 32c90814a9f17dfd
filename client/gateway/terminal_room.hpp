// One terminal at one place as the gateway serves it: its own link to the manager (the manager knows one
// terminal per connection, and decides between places), what is known about where its desktop is, and the
// pages and streams that show it.
// Belongs to the gateway's thread.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "client/gateway/event_socket.hpp"
#include "client/gateway/network.hpp"
#include "client/link/attachment.hpp"
#include "client/link/link.hpp"

namespace understudy::gateway {

/// A picture stream of a page, as its room needs it.
class RoomStream {
public:
    virtual ~RoomStream() = default;
    /// A newer epoch is accepted: nothing older may be shown.
    virtual void outdated() = 0;
    [[nodiscard]] virtual Epoch epoch() const = 0;
    /// There is somewhere to go now, or something else changed that a waiting stream should look at.
    virtual void look_again() = 0;
};

class TerminalRoom {
public:
    TerminalRoom(asio::io_context& context, std::string terminal);
    TerminalRoom(const TerminalRoom&) = delete;
    TerminalRoom& operator=(const TerminalRoom&) = delete;
    ~TerminalRoom();

    [[nodiscard]] Result<> open(const client::Configuration& configuration);

    /// A page gets the present state at once and every change from then on.
    void add_page(std::shared_ptr<EventSocket> page);
    void remove_page(const std::shared_ptr<EventSocket>& page);
    void add_stream(RoomStream& stream);
    void remove_stream(RoomStream& stream);

    /// Without pages and streams since this time; nothing if there are any.
    [[nodiscard]] std::optional<Clock::time_point> empty_since() const;

    [[nodiscard]] const std::optional<TerminalRedirect>& redirect() const { return attachment_.redirect(); }
    /// Another place has the desktop: no stream may be opened.
    [[nodiscard]] bool elsewhere() const { return attachment_.elsewhere(); }

    /// The person wants the desktop here, wherever it is now.
    void take_back();

    /// Reports what the terminal sees: "connected", "picture", "lost".
    void seen(const std::string& what, Epoch epoch);

    /// The stream of this epoch broke or was not admitted: ask the manager whether it knows better.
    void stream_lost(Epoch epoch, const std::string& reason);

    /// Says goodbye to the manager and ends the link.
    void leave();
    void close_pages();

private:
    void take(const client::LinkEvent& event);
    void take(const Message& message);
    void send_due();
    void tell_pages(const std::string& text);
    void end_streams();
    [[nodiscard]] std::string state_text() const;
    [[nodiscard]] TimePoint now() const;
    [[nodiscard]] asio::awaitable<void> ask_in_time(std::shared_ptr<bool> alive);

    asio::io_context& context_;
    client::Attachment attachment_;
    std::unique_ptr<client::Link> link_;
    enum class Last { nothing, redirect, waiting, refused, elsewhere } last_ = Last::nothing;
    bool link_up_ = false;
    Wakeup wakeup_;
    // Outlives the room in what was posted to the loop or waits in it, so that those see that it is gone.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    // Pages are shared with their connections, which may end at any time.
    std::set<std::shared_ptr<EventSocket>> pages_;
    std::set<RoomStream*> streams_;
    std::optional<Clock::time_point> empty_since_;
};

}  // namespace understudy::gateway
