// The layout watcher: an X connection, a timer and the wish that is being carried out.
// Everything runs in the owner's thread.
#include "nodes/presentation/layout/layout.hpp"

#include <X11/Xlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csetjmp>
#include <map>
#include <set>

#include "nodes/presentation/layout/ewmh.hpp"

namespace understudy::layout {
namespace {

using Clock = std::chrono::steady_clock;

/// A window manager may need a second request (it rounds, or was busy mapping); then its answer stands.
constexpr int kMaxAttempts = 4;

int ignore_error(Display*, XErrorEvent*) { return 0; }  // a window that has gone is found out by its absence

thread_local std::jmp_buf* opening = nullptr;

/// While a display is being opened there is none yet that could be told to outlive its server: the call is left.
int note_loss(Display*) {
    if (opening != nullptr) std::longjmp(*opening, 1);
    return 0;
}

/// Null also when the server goes away meanwhile. What Xlib had begun is lost then, some kilobytes.
Display* open_display(const std::string& name) {
    std::jmp_buf back;
    if (setjmp(back) != 0) {
        opening = nullptr;
        return nullptr;
    }
    opening = &back;
    Display* const display = XOpenDisplay(name.c_str());
    opening = nullptr;
    return display;
}

std::optional<SessionId> session_of(Display* display, Window window, const Atoms& atoms) {
    const auto text = read_text(display, window, atoms.session);
    if (!text) return std::nullopt;
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(text->data(), text->data() + text->size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size() || number == 0) return std::nullopt;
    return SessionId(number);
}

const WindowPlace* find(const DesktopLayout& layout, SessionId session) {
    const auto found = std::find_if(layout.windows.begin(), layout.windows.end(),
                                    [session](const WindowPlace& place) { return place.session == session; });
    return found == layout.windows.end() ? nullptr : &*found;
}

/// From here on the loss of the server is noted. Xlib would end the program, with whatever else it looks after.
Display* outlive(Display* display, bool& is_lost) {
    XSetIOErrorExitHandler(display, [](Display*, void* noted) { *static_cast<bool*>(noted) = true; }, &is_lost);
    return display;
}

}  // namespace

class LayoutWatcher::Desktop {
public:
    explicit Desktop(Display* display) : display_(outlive(display, is_lost_)), atoms_(display_) {
        timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
        for (const int fd : {ConnectionNumber(display_), timer_fd_}) {
            epoll_event event{};
            event.events = EPOLLIN;
            epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
        }
        XSelectInput(display_, DefaultRootWindow(display_), PropertyChangeMask);
        XFlush(display_);
        wake_in(kReportPause);
    }
    Desktop(const Desktop&) = delete;
    Desktop& operator=(const Desktop&) = delete;
    ~Desktop() {
        XCloseDisplay(display_);
        close(epoll_fd_);
        close(timer_fd_);
    }

    [[nodiscard]] int fd() const { return epoll_fd_; }
    [[nodiscard]] bool is_lost() const { return is_lost_; }
    [[nodiscard]] bool is_applying() const { return wish_.has_value(); }

    std::optional<DesktopLayout> poll_events() {
        if (!is_lost_ && XPending(display_) > 0) take_queued_events();
        std::uint64_t expirations = 0;
        const bool is_due = read(timer_fd_, &expirations, sizeof expirations) == sizeof expirations;
        if (is_lost_ || !is_due) return std::nullopt;
        is_timer_set_ = false;
        DesktopLayout seen = look();
        if (wish_) go_on_applying(seen);
        if (is_lost_ || wish_ || seen == reported_) return std::nullopt;
        reported_ = seen;
        return seen;
    }

    /// As EWMH has it: a window that names itself.
    [[nodiscard]] bool is_managed() const {
        const auto check = read_longs(display_, DefaultRootWindow(display_), atoms_.manager_check);
        if (check.empty()) return false;
        const auto itself = read_longs(display_, check.front(), atoms_.manager_check);
        return !itself.empty() && itself.front() == check.front();
    }

    DesktopLayout look();
    void apply(const DesktopLayout& layout);

private:
    void wake_in(std::chrono::milliseconds pause);
    void take_queued_events();
    [[nodiscard]] bool concerns_layout(const XEvent& event) const;
    void watch(Window window);
    void remember_normal_place(Window window, WindowPlace& place);
    void go_on_applying(DesktopLayout& seen);
    [[nodiscard]] bool is_as_wished(const DesktopLayout& seen) const;
    void place_window(const WindowPlace& now, const WindowPlace& wanted);
    void arrange(const DesktopLayout& seen);

    bool is_lost_ = false;
    Display* const display_;
    const Atoms atoms_;
    int timer_fd_ = -1;
    int epoll_fd_ = -1;
    bool is_timer_set_ = false;
    DesktopLayout reported_;
    std::map<SessionId, Window> windows_;          ///< as of the last look
    std::set<Window> watched_;
    std::map<Window, OuterPlace> normal_places_;   ///< where windows were when last seen not maximized

    std::optional<DesktopLayout> wish_;
    std::set<SessionId> arrived_;  ///< windows of the wish seen so far
    std::size_t settled_with_ = 0;  ///< so many had arrived when all of them were left as they should be
    Clock::time_point give_up_at_{};
    int attempts_ = 0;
};

void LayoutWatcher::Desktop::wake_in(std::chrono::milliseconds pause) {
    // Not moved by further events: a window that is dragged for long is still reported every now and then.
    if (is_timer_set_) return;
    is_timer_set_ = true;
    itimerspec when{};
    when.it_value.tv_sec = pause.count() / 1000;
    when.it_value.tv_nsec = pause.count() % 1000 * 1000000;
    timerfd_settime(timer_fd_, 0, &when, nullptr);
}

void LayoutWatcher::Desktop::take_queued_events() {
    while (!is_lost_ && XEventsQueued(display_, QueuedAfterReading) > 0) {
        XEvent event{};
        XNextEvent(display_, &event);
        if (concerns_layout(event)) wake_in(kReportPause);
    }
}

bool LayoutWatcher::Desktop::concerns_layout(const XEvent& event) const {
    if (event.type == PropertyNotify) {
        const Atom atom = event.xproperty.atom;
        return atom == atoms_.client_list_stacking || atom == atoms_.active_window || atom == atoms_.wm_state_list ||
               atom == atoms_.frame_extents || atom == atoms_.session;
    }
    return event.type == ConfigureNotify || event.type == UnmapNotify || event.type == MapNotify ||
           event.type == DestroyNotify || event.type == ReparentNotify;
}

void LayoutWatcher::Desktop::watch(Window window) {
    if (watched_.insert(window).second) XSelectInput(display_, window, PropertyChangeMask | StructureNotifyMask);
}

void LayoutWatcher::Desktop::remember_normal_place(Window window, WindowPlace& place) {
    const auto known = normal_places_.find(window);
    if (place.maximized && known != normal_places_.end()) {
        place.x = known->second.x;
        place.y = known->second.y;
        place.width = known->second.width;
        place.height = known->second.height;
    } else if (!place.maximized) {
        normal_places_[window] = OuterPlace{place.x, place.y, place.width, place.height};
    }
}

DesktopLayout LayoutWatcher::Desktop::look() {
    const Window root = DefaultRootWindow(display_);
    const auto clients = read_longs(display_, root, atoms_.client_list_stacking);
    const auto active = read_longs(display_, root, atoms_.active_window);
    std::map<SessionId, Window> windows;
    DesktopLayout layout;
    for (const Window window : clients) {
        // Before it is known whose it is: the property may still come.
        watch(window);
        const auto session = session_of(display_, window, atoms_);
        const auto outer = session ? read_place(display_, window, atoms_) : std::nullopt;
        if (!session || !outer || windows.contains(*session)) continue;
        const auto states = read_longs(display_, window, atoms_.wm_state_list);
        const auto has = [&states](Atom state) { return std::find(states.begin(), states.end(), state) != states.end(); };
        WindowPlace place{*session, outer->x, outer->y, outer->width, outer->height};
        place.stacking = static_cast<int>(layout.windows.size());
        place.focused = !active.empty() && active.front() == window;
        place.maximized = has(atoms_.maximized_horizontally) && has(atoms_.maximized_vertically);
        place.minimized = has(atoms_.hidden);
        remember_normal_place(window, place);
        windows[*session] = window;
        layout.windows.push_back(place);
    }
    windows_ = std::move(windows);
    const auto is_gone = [&clients](Window window) {
        return std::find(clients.begin(), clients.end(), window) == clients.end();
    };
    std::erase_if(watched_, is_gone);
    std::erase_if(normal_places_, [&is_gone](const auto& entry) { return is_gone(entry.first); });
    // What came in between the answers is with Xlib now and does not make the descriptor readable any more.
    take_queued_events();
    return layout;
}

void LayoutWatcher::Desktop::apply(const DesktopLayout& layout) {
    wish_ = layout;
    std::stable_sort(wish_->windows.begin(), wish_->windows.end(),
                     [](const WindowPlace& a, const WindowPlace& b) { return a.stacking < b.stacking; });
    arrived_.clear();
    settled_with_ = 0;
    attempts_ = 0;
    give_up_at_ = Clock::now() + kApplyLimit;
    DesktopLayout seen = look();
    go_on_applying(seen);
}

/// Every wished window that is there is as wished, and those there are in the wished order.
bool LayoutWatcher::Desktop::is_as_wished(const DesktopLayout& seen) const {
    int last_stacking = -1;
    for (const WindowPlace& wanted : wish_->windows) {
        const WindowPlace* now = find(seen, wanted.session);
        if (now == nullptr) continue;
        WindowPlace compared = *now;
        compared.stacking = wanted.stacking;
        // Which window has the focus can be asked for; that none has it can't.
        const bool asks_focus = wanted.focused && !wanted.minimized;
        if (!asks_focus) compared.focused = wanted.focused;
        if (compared != wanted || now->stacking < last_stacking) return false;
        last_stacking = now->stacking;
    }
    return true;
}

void LayoutWatcher::Desktop::go_on_applying(DesktopLayout& seen) {
    const std::size_t arrived_before = arrived_.size();
    for (const WindowPlace& wanted : wish_->windows) {
        if (windows_.contains(wanted.session)) arrived_.insert(wanted.session);
    }
    if (arrived_.size() > arrived_before) attempts_ = 0;
    // What is changed from then on, while others are still to come, is the person's wish.
    const bool was_settled = settled_with_ == arrived_.size();
    const bool is_settled = was_settled || is_as_wished(seen) || attempts_ >= kMaxAttempts;
    if (is_settled) settled_with_ = arrived_.size();
    const bool are_all_there = arrived_.size() == wish_->windows.size();
    if (Clock::now() >= give_up_at_ || (is_settled && are_all_there)) {
        wish_.reset();
        return;
    }
    wake_in(kReportPause);
    if (is_settled) return;
    ++attempts_;
    for (const WindowPlace& wanted : wish_->windows) {
        const WindowPlace* now = find(seen, wanted.session);
        if (now != nullptr) place_window(*now, wanted);
    }
    arrange(seen);
    XFlush(display_);
}

void LayoutWatcher::Desktop::place_window(const WindowPlace& now, const WindowPlace& wanted) {
    const Window window = windows_.at(wanted.session);
    const OuterPlace place{wanted.x, wanted.y, wanted.width, wanted.height};
    const bool moves = now.x != wanted.x || now.y != wanted.y || now.width != wanted.width || now.height != wanted.height;
    if (now.minimized && !wanted.minimized) ask_unminimize(display_, window, atoms_);
    if (now.maximized && (moves || !wanted.maximized)) ask_unmaximize(display_, window, atoms_);
    if (moves) {
        ask_place(display_, window, atoms_, place);
        normal_places_[window] = place;
    }
    if (wanted.maximized && (moves || !now.maximized)) ask_maximize(display_, window, atoms_);
    if (wanted.minimized && !now.minimized) ask_minimize(display_, window, atoms_);
}

/// Focus first, because window managers raise what gets it; then the order, from the lowest to the highest.
void LayoutWatcher::Desktop::arrange(const DesktopLayout& seen) {
    for (const WindowPlace& wanted : wish_->windows) {
        if (wanted.focused && !wanted.minimized && find(seen, wanted.session) != nullptr) {
            ask_focus(display_, windows_.at(wanted.session), atoms_);
        }
    }
    for (const WindowPlace& wanted : wish_->windows) {
        if (find(seen, wanted.session) != nullptr) ask_raise(display_, windows_.at(wanted.session), atoms_);
    }
}

LayoutWatcher::LayoutWatcher(std::unique_ptr<Desktop> desktop) : desktop_(std::move(desktop)) {}
LayoutWatcher::~LayoutWatcher() = default;

Result<std::unique_ptr<LayoutWatcher>> LayoutWatcher::open(const std::string& display_name) {
    XSetErrorHandler(ignore_error);
    XSetIOErrorHandler(note_loss);
    Display* const display = open_display(display_name);
    if (display == nullptr) {
        return failure(ErrorCode::unavailable, "no X server at '" + display_name + "'; is the desktop running?");
    }
    return std::unique_ptr<LayoutWatcher>(new LayoutWatcher(std::make_unique<Desktop>(display)));
}

int LayoutWatcher::fd() const { return desktop_->fd(); }

Result<std::optional<DesktopLayout>> LayoutWatcher::poll_events() {
    auto layout = desktop_->poll_events();
    if (desktop_->is_lost()) return failure(ErrorCode::unavailable, "the desktop's X server went away");
    return layout;
}

bool LayoutWatcher::is_managed() const { return desktop_->is_managed(); }

Result<DesktopLayout> LayoutWatcher::current() {
    auto layout = desktop_->look();
    if (desktop_->is_lost()) return failure(ErrorCode::unavailable, "the desktop's X server went away");
    return layout;
}

void LayoutWatcher::apply(const DesktopLayout& layout) { desktop_->apply(layout); }

bool LayoutWatcher::is_applying() const { return desktop_->is_applying(); }

}  // namespace understudy::layout
