// Keeps one source's picture coming: connects, passes the door, speaks RFB, and does it again when it
// breaks. A link has a thread of its own, because libvncclient blocks while a message is incomplete and the
// window must go on redrawing; values travel between the two through a bounded queue each way.
// Public functions belong to the window's thread and never wait for the network.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "viewer/source.hpp"
#include "viewer/door.hpp"
#include "viewer/rfb_session.hpp"

namespace understudy::viewer {

/// Pauses between attempts to connect.
inline constexpr std::chrono::milliseconds kFirstRetryPause{50};
inline constexpr std::chrono::milliseconds kLongestRetryPause{1000};
/// Input from a moment without connection is delivered when the connection is back within this time
/// (a checkpoint interrupts it for about that long); older input is dropped.
inline constexpr std::chrono::milliseconds kInputKept{2000};
inline constexpr std::size_t kMaxQueuedInputs = 1024;
/// With nothing heard for this long the other side is asked whether it is there.
inline constexpr std::chrono::milliseconds kProbeInterval{2000};

/// What has happened since it was asked last, in order; the picture comes after the events.
struct LinkNews {
    std::vector<LinkEvent> events;
    std::optional<PictureChange> picture;
};

class Link final : private RfbSession::Listener {
public:
    /// Starts connecting. `news_fd`: an eventfd that is written whenever take_news() has something; it must
    /// outlive the link.
    Link(Source source, std::string encodings, int news_fd);
    /// Stops and waits for the thread; short, as stop() interrupts every wait.
    ~Link() override;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    [[nodiscard]] const Source& source() const { return source_; }
    /// Queues something for the session. When the queue is full the oldest input is dropped.
    void send(Outgoing outgoing);
    [[nodiscard]] LinkNews take_news();
    /// Ends the connection and the attempts; returns at once. No news come any more.
    void stop();
    /// True when the thread has ended, so that destruction takes no time.
    [[nodiscard]] bool has_ended() const { return has_ended_.load(); }
    /// How long nothing has been heard from the session; zero when not connected.
    [[nodiscard]] std::chrono::milliseconds silence() const;
    /// The longest silence that has ended, over all connections of this link: what to expect of that session's machine.
    [[nodiscard]] std::chrono::milliseconds longest_silence() const;

private:
    using Clock = std::chrono::steady_clock;
    struct Queued {
        Outgoing what;
        Clock::time_point since;
    };

    // The link's thread.
    void run();
    [[nodiscard]] NotPassed serve_once();
    [[nodiscard]] Error serve(RfbSession& session, int socket_fd);
    [[nodiscard]] Result<> send_queued(RfbSession& session);
    void drop_stale_queue();
    void pause_before_retry();
    void picture_changed(PictureChange change) override;
    void happened(LinkEvent event) override;
    void tell_news() const;
    void note_heard();

    const Source source_;
    const std::string encodings_;
    const int news_fd_;
    OwnedFd stop_fd_;   ///< readable for ever once stopped
    OwnedFd queue_fd_;  ///< readable while something is queued
    std::atomic<bool> stopping_{false};
    std::atomic<bool> has_ended_{false};
    std::atomic<Clock::rep> heard_at_{0};  ///< 0: not connected
    std::atomic<Clock::rep> longest_silence_{0};

    // The link's thread alone.
    std::chrono::milliseconds pause_ = kFirstRetryPause;
    bool was_connected_ = false;
    bool had_picture_ = false;
    Bearer bearer_;
    streams::Pump pump_;

    std::mutex mutex_;  ///< guards what follows; held for moves of values only, never over I/O
    std::deque<Queued> queue_;
    LinkNews news_;
    OwnedFd live_socket_;  ///< a duplicate of the connection's, for stop() to shut down

    std::thread thread_;  ///< last: starts when everything else is there
};

}  // namespace understudy::viewer
