// The link's thread and its two queues.
#include "viewer/link.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <csignal>
#include <cstring>

namespace understudy::viewer {
namespace {

void signal_eventfd(int fd) {
    const std::uint64_t one = 1;
    // Only a full counter can refuse, and then the reader is awake anyway.
    (void)!write(fd, &one, sizeof one);
}

void clear_eventfd(int fd) {
    std::uint64_t count = 0;
    (void)!read(fd, &count, sizeof count);
}

OwnedFd make_eventfd() {
    OwnedFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    assert(fd.get() >= 0 && "out of file descriptors");
    return fd;
}

bool is_input(const Outgoing& outgoing) {
    return std::holds_alternative<KeyInput>(outgoing) || std::holds_alternative<PointerInput>(outgoing);
}

/// True when `next` makes `last` superfluous: only the newest point, size and text count.
bool replaces(const Outgoing& next, const Outgoing& last) {
    if (next.index() != last.index() || std::holds_alternative<KeyInput>(next)) return false;
    if (const auto* pointer = std::get_if<PointerInput>(&next)) {
        return pointer->buttons == std::get<PointerInput>(last).buttons;
    }
    return true;
}

}  // namespace

Link::Link(Source source, std::string encodings, int news_fd)
    : source_(std::move(source)),
      encodings_(std::move(encodings)),
      news_fd_(news_fd),
      stop_fd_(make_eventfd()),
      queue_fd_(make_eventfd()),
      bearer_(source_.ticket, source_.renewal),
      thread_([this] { run(); }) {}

Link::~Link() {
    stop();
    thread_.join();
}

void Link::stop() {
    if (stopping_.exchange(true)) return;
    signal_eventfd(stop_fd_.get());
    const std::lock_guard lock(mutex_);
    if (live_socket_.get() >= 0) shutdown(live_socket_.get(), SHUT_RDWR);
}

void Link::send(Outgoing outgoing) {
    {
        const std::lock_guard lock(mutex_);
        if (!queue_.empty() && replaces(outgoing, queue_.back().what)) {
            queue_.back() = Queued{std::move(outgoing), Clock::now()};
        } else {
            if (queue_.size() >= kMaxQueuedInputs) queue_.pop_front();
            queue_.push_back(Queued{std::move(outgoing), Clock::now()});
        }
    }
    signal_eventfd(queue_fd_.get());
}

LinkNews Link::take_news() {
    const std::lock_guard lock(mutex_);
    return std::exchange(news_, LinkNews{});
}

std::chrono::milliseconds Link::silence() const {
    const Clock::rep at = heard_at_.load();
    if (at == 0) return std::chrono::milliseconds{0};
    const auto heard = Clock::time_point(Clock::duration(at));
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - heard);
}

void Link::tell_news() const { signal_eventfd(news_fd_); }

std::chrono::milliseconds Link::longest_silence() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::duration(longest_silence_.load()));
}

void Link::note_heard() {
    const Clock::rep now = Clock::now().time_since_epoch().count();
    const Clock::rep before = heard_at_.exchange(now);
    if (before != 0) longest_silence_.store(std::max(longest_silence_.load(), now - before));
}

void Link::happened(LinkEvent event) {
    if (stopping_.load()) return;
    {
        const std::lock_guard lock(mutex_);
        // A window that doesn't look for long keeps the newest; text, shapes and bells may be many.
        if (news_.events.size() >= kMaxQueuedInputs) news_.events.erase(news_.events.begin());
        news_.events.push_back(std::move(event));
    }
    tell_news();
}

void Link::picture_changed(PictureChange change) {
    had_picture_ = true;
    {
        const std::lock_guard lock(mutex_);
        const bool adds = news_.picture && news_.picture->picture == change.picture;
        if (adds) {
            auto& parts = news_.picture->parts;
            parts.insert(parts.end(), change.parts.begin(), change.parts.end());
            if (parts.size() > kMaxQueuedInputs) {
                parts.assign(1, Rect{0, 0, change.picture->width(), change.picture->height()});
            }
        } else {
            news_.picture = std::move(change);
        }
    }
    tell_news();
}

void Link::run() {
    // Signals are for the main thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (!stopping_.load()) {
        was_connected_ = false;
        const auto [error, is_void] = serve_once();
        heard_at_.store(0);
        if (stopping_.load()) break;
        if (was_connected_) {
            happened(LinkLost{error.message});
        } else if (error.code == ErrorCode::refused) {
            happened(LinkRefused{error.message, is_void});
        } else {
            happened(LinkUnreachable{error.message});
        }
        pause_before_retry();
    }
    has_ended_.store(true);
    tell_news();
}

NotPassed Link::serve_once() {
    auto passed = pass_door(source_, bearer_, pump_, stop_fd_.get());
    if (!passed) return passed.error();
    const int socket_fd = passed->socket.get();
    {
        const std::lock_guard lock(mutex_);
        live_socket_ = OwnedFd(dup(socket_fd));
        if (stopping_.load()) return {Error{ErrorCode::unavailable, "stopped"}, false};
    }
    had_picture_ = false;
    auto session = RfbSession::begin(std::move(passed->socket), encodings_, *this);
    Error error{ErrorCode::unavailable, "stopped"};
    if (session) {
        was_connected_ = true;
        drop_stale_queue();
        note_heard();
        happened(LinkConnected{bearer_.renewal()});
        error = serve(**session, socket_fd);
    } else {
        error = session.error();
    }
    const std::lock_guard lock(mutex_);
    live_socket_ = OwnedFd();
    return {error, false};
}

Error Link::serve(RfbSession& session, int socket_fd) {
    const Error stopped{ErrorCode::unavailable, "stopped"};
    while (true) {
        std::array<pollfd, 3> fds{pollfd{socket_fd, POLLIN, 0}, pollfd{queue_fd_.get(), POLLIN, 0},
                                  pollfd{stop_fd_.get(), POLLIN, 0}};
        const int wait_ms = session.has_buffered_data() ? 0 : static_cast<int>(kProbeInterval.count());
        const int ready = poll(fds.data(), fds.size(), wait_ms);
        if (ready < 0 && errno != EINTR) return Error{ErrorCode::unavailable, std::string("poll: ") + std::strerror(errno)};
        if (stopping_.load()) return stopped;
        Result<> done;
        if (fds[1].revents != 0) done = send_queued(session);
        if (!done) return done.error();
        if (session.has_buffered_data() || fds[0].revents != 0) {
            done = session.handle_message();
            if (!done) return done.error();
            note_heard();
            if (had_picture_) pause_ = kFirstRetryPause;
        } else if (ready == 0) {
            done = session.probe();
            if (!done) return done.error();
        }
    }
}

Result<> Link::send_queued(RfbSession& session) {
    clear_eventfd(queue_fd_.get());
    std::deque<Queued> taken;
    {
        const std::lock_guard lock(mutex_);
        taken.swap(queue_);
    }
    for (const Queued& queued : taken) {
        auto sent = session.send(queued.what);
        if (!sent) return sent;
    }
    return {};
}

void Link::drop_stale_queue() {
    const auto oldest = Clock::now() - kInputKept;
    const std::lock_guard lock(mutex_);
    // Sizes and texts of an earlier connection are sent anew by the window.
    std::erase_if(queue_, [oldest](const Queued& queued) { return !is_input(queued.what) || queued.since < oldest; });
}

void Link::pause_before_retry() {
    pollfd stop{stop_fd_.get(), POLLIN, 0};
    (void)poll(&stop, 1, static_cast<int>(pause_.count()));
    pause_ = std::min(pause_ * 2, kLongestRetryPause);
}

}  // namespace understudy::viewer
