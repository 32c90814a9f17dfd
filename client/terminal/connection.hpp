// One terminal's way to its desktop: asks the manager where it is, goes there, follows redirects, and knows why there is
// no picture. Knows nothing of the screen. Belongs to the window's thread; never waits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/link/attachment.hpp"
#include "client/link/inbox.hpp"
#include "client/link/link.hpp"
#include "client/terminal/words.hpp"
#include "viewer/link.hpp"

namespace understudy::terminal {

class Connection {
public:
    /// What the screen has to know, called from step().
    class Listener {
    public:
        virtual ~Listener() = default;
        virtual void picture_changed(const viewer::PictureChange& change) = 0;
        virtual void pointer_shape(const viewer::PointerShape& shape) = 0;
        virtual void clipboard(const std::string& utf8) = 0;
        virtual void bell() = 0;
        virtual void notice(const std::string& text) = 0;
        /// A desktop has let us in: it does not know our size and clipboard yet.
        virtual void connected() = 0;
        /// The desktop that knew what is pressed is gone.
        virtual void parted() = 0;
        /// live(), line() or what stands behind them may have changed.
        virtual void changed() = 0;
    };

    /// `width`, `height`: wished size of a desktop that is made for this terminal; 0: the profile's.
    /// The listener must outlive the connection.
    Connection(std::string terminal, viewer::Size wish, Listener& listener);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] Result<> open(const client::Configuration& configuration);

    /// Readable when step() has something to do.
    [[nodiscard]] std::vector<int> file_descriptors() const;
    [[nodiscard]] TimePoint next_wake() const;
    void step();

    /// The desktop is there and answers.
    [[nodiscard]] bool live() const { return pictured_ && !known_.silent; }
    [[nodiscard]] const Known& known() const { return known_; }
    [[nodiscard]] Epoch epoch() const { return attachment_.accepted(); }

    /// Input, size and clipboard for the desktop. While it is being moved they are kept for a moment (viewer::kInputKept).
    void send(viewer::Outgoing outgoing);

    /// The first picture of a connection is on the screen.
    void picture_shown();

    /// The person wants the desktop here, wherever it is.
    void take_back();

    /// Says goodbye to the manager.
    void detach();

private:
    void take(const client::LinkEvent& event);
    void take_message(const Message& message);
    void take_redirect(const TerminalRedirect& redirect);
    void take_news();
    void note(const viewer::LinkConnected&);
    void note(const viewer::LinkUnreachable& event);
    void note(const viewer::LinkRefused& event);
    void note(const viewer::LinkLost& event);
    void note(const viewer::PointerShape& event) { listener_.pointer_shape(event); }
    void note(const viewer::RemoteText& event) { listener_.clipboard(event.utf8); }
    void note(const viewer::Bell&) { listener_.bell(); }
    void go();
    void leave_desktop();
    void stream_failed(const std::string& what, const std::string& reason);
    void look_for_silence();
    void report(const char* what);
    [[nodiscard]] static TimePoint now();

    client::Attachment attachment_;
    Listener& listener_;
    client::Inbox inbox_;
    viewer::OwnedFd news_fd_;
    std::unique_ptr<client::Link> link_;             ///< to the manager
    std::unique_ptr<viewer::Link> desktop_;          ///< to the door of the newest redirect
    std::vector<std::unique_ptr<viewer::Link>> retired_;  ///< ending; waiting for them would stop the picture
    bool connected_ = false;   ///< the door has let us in
    bool pictured_ = false;    ///< and a complete picture has come
    bool failed_ = false;      ///< the last attempt at the door failed: a fresh ticket is of use
    std::string last_failure_;
    TimePoint silence_check_ = kNever;
    Known known_;
};

}  // namespace understudy::terminal
