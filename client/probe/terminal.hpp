// A terminal without a screen: attaches, follows redirects, reconnects, and tells a listener what it
// sees with the instant at which it saw it. Belongs to the thread that polls it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>

#include "client/link/attachment.hpp"
#include "client/link/inbox.hpp"
#include "client/link/link.hpp"
#include "client/probe/moment.hpp"
#include "client/probe/stream.hpp"

namespace understudy::client {

/// Something the terminal saw. `area` is of an "update"; `text` explains.
struct Seen {
    std::string event;  ///< link_up, link_down, redirect, stale, waiting, refused, connected, picture, update, lost, unreachable, clipboard, taken, notice
    Instant when;
    Epoch epoch = 0;
    IncidentId incident;
    Area area;
    std::string text;
};

class ProbeTerminal {
public:
    ProbeTerminal(std::string terminal, std::uint32_t width, std::uint32_t height, std::function<void(const Seen&)> listener);
    ~ProbeTerminal();

    [[nodiscard]] Result<> open(const Configuration& configuration);

    /// Descriptors to poll, and when to call step() at the latest.
    void add_polled(std::vector<pollfd>& items) const;
    [[nodiscard]] TimePoint next_wake() const;

    /// Does whatever can be done now.
    void step();

    /// The connection, if input can be given to it.
    [[nodiscard]] Stream* live();

    /// What it was told that led it to the desktop it is connected to; nothing when it is not.
    [[nodiscard]] const TerminalRedirect* followed() const;

    /// The last picture, kept while there is no connection. Empty before the first one.
    [[nodiscard]] const Picture& picture() const;
    [[nodiscard]] bool has_picture() const { return picture_epoch_ != 0; }
    [[nodiscard]] Epoch picture_epoch() const { return picture_epoch_; }
    [[nodiscard]] Epoch accepted() const { return attachment_.accepted(); }

    /// Asks for the desktop that another place has taken.
    void take_back();

    /// Says goodbye to the manager.
    void detach();

private:
    void take(const LinkEvent& event);
    void take_message(const Message& message);
    void connect();
    void drop();
    void look_at_stream();
    void lost();
    void tell(const std::string& event, Epoch epoch = 0, const std::string& text = {}, const Area& area = {});
    void report(const std::string& what, Epoch epoch);
    [[nodiscard]] static TimePoint now();

    Attachment attachment_;
    std::function<void(const Seen&)> listener_;
    Inbox inbox_;
    std::unique_ptr<Link> link_;
    streams::Pump pump_;
    Bearer bearer_;                  ///< for the desktop of the newest epoch
    std::unique_ptr<Stream> stream_;
    bool told_connected_ = false;
    TimePoint retry_at_ = kNever;
    TimePoint give_up_at_ = kNever;  ///< of an attempt that has not been admitted
    Duration retry_after_;
    Picture last_picture_;  ///< of the connection before, while the present one has none
    Epoch picture_epoch_ = 0;
};

}  // namespace understudy::client
