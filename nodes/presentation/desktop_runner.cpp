// See desktop_runner.hpp.
#include "nodes/presentation/desktop_runner.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace understudy::node {
namespace {

constexpr std::uint32_t kDefaultWidth = 1280;
constexpr std::uint32_t kDefaultHeight = 800;
constexpr std::uint32_t kWindowWidth = 800;   // of the only window, before anybody placed it
constexpr std::uint32_t kWindowHeight = 560;
constexpr std::uint32_t kNarrowest = 480;     // a window beside others
constexpr std::uint32_t kPanelHeight = 30;    // as in tint2rc
constexpr std::uint32_t kTitleHeight = 24;
constexpr std::uint32_t kGap = 8;
constexpr Duration kManagerRestart = std::chrono::milliseconds(200);
constexpr Duration kManagerLongest = std::chrono::seconds(5);
constexpr Duration kManagerPatience = std::chrono::seconds(10);  // a desktop without frames is better than none
constexpr Duration kPicturePatience = std::chrono::seconds(15);  // a session that nobody reaches must not cost the standby

// Killed already; waited for elsewhere.
struct Remains {
    std::unique_ptr<LayoutThread> layout;
    Cgroup group;
    Child screen;
    Child manager;
    std::string folder;

    void clear() {
        group = {};
        for (Child* child : {&screen, &manager}) {
            if (child->pid <= 0 || !child->pidfd) continue;
            siginfo_t info{};
            ::waitid(P_PIDFD, static_cast<id_t>(child->pidfd.get()), &info, WEXITED);
        }
        layout.reset();
        std::error_code wrong;
        std::filesystem::remove_all(folder, wrong);
    }
};

}  // namespace

DesktopRunner::DesktopRunner(Loop& loop, Worker& cleaner, const PresentationSettings& settings, const DesktopServices& services, unsigned display,
                             AssignDesktop assign, std::function<void()> on_over)
    : loop_(loop), cleaner_(cleaner), settings_(settings), services_(services), display_(display), assign_(std::move(assign)), on_over_(std::move(on_over)),
      folder_(settings.run_folder + "/desktops/" + to_string(assign_.terminal) + "-" + std::to_string(display)) {
    report();
    if (const auto started = start_screen(); !started) fail(started.error().message);
}

DesktopRunner::~DesktopRunner() { end_everything(); }

std::string DesktopRunner::tag() const {
    return "terminal=" + to_string(assign_.terminal) + " epoch=" + std::to_string(assign_.epoch) + (assign_.incident ? " incident=" + to_string(assign_.incident) : "");
}

std::map<std::string, std::string> DesktopRunner::environment() const {
    auto variables = plain_environment();
    variables["DISPLAY"] = ":" + std::to_string(display_);
    variables["HOME"] = settings_.account.home;
    variables["USER"] = settings_.account.name;
    return variables;
}

Result<> DesktopRunner::start_screen() {
    auto group = Cgroup::make(settings_.cgroup_root, "desktop-" + to_string(assign_.terminal) + "-" + std::to_string(display_));
    if (!group) return tl::unexpected(group.error());
    group_ = std::move(*group);
    std::error_code wrong;
    std::filesystem::remove_all(folder_, wrong);
    std::filesystem::create_directories(folder_, wrong);
    if (::chown(folder_.c_str(), settings_.account.user, settings_.account.group) != 0) {
        return failure(ErrorCode::failed, "can't make " + folder_ + ": " + std::strerror(errno));
    }
    ::mkdir("/tmp/.X11-unix", 01777);
    ::chmod("/tmp/.X11-unix", 01777);
    // A predecessor that was killed left these behind.
    const std::string number = std::to_string(display_);
    ::unlink(("/tmp/.X" + number + "-lock").c_str());
    ::unlink(("/tmp/.X11-unix/X" + number).c_str());

    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failure(ErrorCode::failed, std::string("pipe: ") + std::strerror(errno));
    screen_word_.reset(ends[0]);
    const Descriptor theirs(ends[1]);
    const auto width = assign_.width == 0 ? kDefaultWidth : assign_.width;
    const auto height = assign_.height == 0 ? kDefaultHeight : assign_.height;
    Spawn what;
    what.command = {"Xvnc", ":" + number, "-geometry", std::to_string(width) + "x" + std::to_string(height), "-depth", "24", "-rfbport", "-1",
                    "-rfbunixpath", folder_ + "/rfb", "-rfbunixmode", "0600", "-SecurityTypes", "None", "-AlwaysShared", "-AcceptSetDesktopSize=1",
                    // Abstract sockets could be reached by the sessions of this node.
                    "-nolisten", "tcp", "-nolisten", "local", "-ac", "-extension", "GLX", "-noreset", "-displayfd", "5"};
    what.environment = environment();
    what.descriptors = {{5, theirs.get()}};
    what.cgroup = group_.descriptor();
    what.account = &settings_.account;
    auto child = spawn(what);
    if (!child) return tl::unexpected(child.error());
    screen_ = std::move(*child);
    screen_watch_ = loop_.watch(screen_.pidfd.get(), EPOLLIN, [this](std::uint32_t) { note_process_end(true); });
    screen_word_watch_ = loop_.watch(screen_word_.get(), EPOLLIN, [this](std::uint32_t) { note_screen_word(); });
    return {};
}

void DesktopRunner::note_screen_word() {
    char text[32];
    const auto length = ::read(screen_word_.get(), text, sizeof text);
    if (length < 0) return;
    // The number and the newline come apart, and the server insists on both being taken.
    const bool complete = length > 0 && text[length - 1] == '\n';
    if (length > 0 && !complete) return;
    loop_.unwatch(std::exchange(screen_word_watch_, 0));
    screen_word_.reset();
    if (complete) note_screen_up();
}

void DesktopRunner::note_screen_up() {
    auto changed = lifeline_.bind([this](std::vector<WindowPlace> places) {
        if (assign_.duty == Duty::primary) services_.layout_changed(assign_.terminal, std::move(places));
    });
    std::function<void(std::vector<WindowPlace>)> on_layout = changed;
    std::function<void()> on_managed = lifeline_.bind([this] { note_managed(); });
    LayoutThread::Listener listener{[&loop = loop_, on_managed] { loop.post(on_managed); },
                                    [&loop = loop_, on_layout](std::vector<WindowPlace> places) {
                                        loop.post([on_layout, places = std::move(places)] { on_layout(places); });
                                    }};
    layout_ = std::make_unique<LayoutThread>(":" + std::to_string(display_), std::move(listener));
    start_manager();
    patience_timer_ = loop_.after(kManagerPatience, [this] {
        patience_timer_ = 0;
        services_.log("warning", tag() + " the window manager does not come up; windows have no frames");
        note_managed();
    });
}

// Not before: windows that were mapped without a window manager get their frames and places late, and a standby that is
// promoted meanwhile shows them wrong.
void DesktopRunner::note_managed() {
    if (up_ || over_ != Phase::preparing) return;
    if (patience_timer_ != 0) loop_.cancel(std::exchange(patience_timer_, 0));
    up_ = true;
    patience_timer_ = loop_.after(kPicturePatience, [this] {
        patience_timer_ = 0;
        shown_ = true;
        report();
    });
    update_windows();
    if (!assign_.layout.empty()) layout_->apply(assign_.layout);
    services_.log("info", tag() + " desktop runs on display :" + std::to_string(display_));
    report();
}

void DesktopRunner::start_manager() {
    manager_timer_ = 0;
    ++manager_starts_;
    Spawn what;
    what.command = {settings_.programs_folder + "/share/desktop/desktop-session"};
    what.environment = environment();
    what.descriptors = {{2, 2}};
    what.cgroup = group_.descriptor();
    what.account = &settings_.account;
    auto child = spawn(what);
    if (!child) {
        detail_ = "the desktop has no window manager: " + child.error().message;
        services_.log("warning", tag() + " " + detail_);
        return;
    }
    manager_ = std::move(*child);
    manager_watch_ = loop_.watch(manager_.pidfd.get(), EPOLLIN, [this](std::uint32_t) { note_process_end(false); });
}

void DesktopRunner::note_process_end(bool screen) {
    if (!screen) {
        loop_.unwatch(std::exchange(manager_watch_, 0));
        const auto end = take_end(manager_);
        manager_ = {};
        services_.log("warning", tag() + " the window manager " + describe(end) + "; starting it again");
        manager_timer_ = loop_.after(std::min(kManagerRestart * std::min(manager_starts_, 25U), kManagerLongest), [this] { start_manager(); });
        return;
    }
    loop_.unwatch(std::exchange(screen_watch_, 0));
    const auto end = take_end(screen_);
    screen_ = {};
    const std::string words = "the X server of the desktop " + describe(end);
    if (!up_) {
        fail(words);
        return;
    }
    over_ = Phase::ended;
    detail_ = words;
    report();  // said first: everything else can wait
    services_.log("warning", tag() + " " + words);
    end_everything();
    on_over_();
}

void DesktopRunner::fail(const std::string& why) {
    over_ = Phase::failed;
    detail_ = why;
    services_.log("warning", tag() + " desktop could not be started: " + why);
    end_everything();
    report();
    on_over_();
}

void DesktopRunner::perform(const AssignDesktop& assign) {
    const auto before = assign_.duty;
    const bool other_layout = !(assign_.layout == assign.layout);
    assign_ = assign;
    if (assign.duty == Duty::released) {
        end_everything();
        over_ = Phase::released;
        // Behind what end_everything() gave the cleaner: the word promises that nothing runs.
        std::function<void()> gone = lifeline_.bind([this] {
            report();
            on_over_();
        });
        cleaner_.run([&loop = loop_, gone] { loop.post(gone); });
        return;
    }
    if (over_ != Phase::preparing || !up_) {
        report();
        return;
    }
    update_windows();
    const bool promoted = assign.duty == Duty::primary && before != Duty::primary;
    // Never against the person: a primary's windows are where they were put.
    if (!assign.layout.empty() && (promoted || (assign.duty == Duty::backup && other_layout))) layout_->apply(assign.layout);
    report();
}

std::string DesktopRunner::geometry_of(const WindowSource& source) const {
    for (const auto& place : assign_.layout) {
        if (place.session != source.session || place.width == 0 || place.height == 0) continue;
        const auto offset = [](std::int32_t value) { return (value < 0 ? "" : "+") + std::to_string(value); };
        return std::to_string(place.width) + "x" + std::to_string(place.height) + offset(place.x) + offset(place.y);
    }
    return first_place(source);
}

// Beside each other, as long as each stays useful: nobody should have to search for the second window.
std::string DesktopRunner::first_place(const WindowSource& source) const {
    const auto width = assign_.width == 0 ? kDefaultWidth : assign_.width;
    const auto height = (assign_.height == 0 ? kDefaultHeight : assign_.height) - kPanelHeight;
    const auto found = std::find_if(assign_.windows.begin(), assign_.windows.end(), [&](const auto& other) { return other.session == source.session; });
    const auto position = static_cast<std::uint32_t>(found - assign_.windows.begin());
    const auto count = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(assign_.windows.size()));
    std::uint32_t columns = 1;
    while (columns * columns < count && width / (columns + 1) >= kNarrowest) ++columns;
    if (columns == 1 && count == 1) {
        return std::to_string(std::min(kWindowWidth, width * 3 / 4)) + "x" + std::to_string(std::min(kWindowHeight, height * 3 / 4));
    }
    const auto rows = (count + columns - 1) / columns;
    const auto cell_width = width / columns;
    const auto cell_height = height / rows;
    return std::to_string(cell_width - 2 * kGap) + "x" + std::to_string(cell_height - kTitleHeight - 2 * kGap) + "+" +
           std::to_string(position % columns * cell_width + kGap / 2) + "+" + std::to_string(position / columns * cell_height + kGap / 2);
}

void DesktopRunner::update_windows() {
    const bool active = assign_.duty == Duty::primary;
    std::erase_if(windows_, [this](const auto& entry) {
        return std::none_of(assign_.windows.begin(), assign_.windows.end(), [&](const auto& source) { return source.session == entry.first; });
    });
    for (const auto& source : assign_.windows) {
        auto& window = windows_[source.session];
        if (window) {
            window->set_active(active);
            window->set_source(source);
            continue;
        }
        WindowProcess::Setting setting{":" + std::to_string(display_), group_.descriptor(), geometry_of(source), active};
        window = std::make_unique<WindowProcess>(loop_, settings_, services_, std::move(setting), source, [this] { report(); });
    }
}

void DesktopRunner::end_everything() {
    for (auto* watch : {&screen_watch_, &manager_watch_, &screen_word_watch_}) {
        if (*watch != 0) loop_.unwatch(std::exchange(*watch, 0));
    }
    for (auto* timer : {&manager_timer_, &patience_timer_}) {
        if (*timer != 0) loop_.cancel(std::exchange(*timer, 0));
    }
    up_ = false;
    windows_.clear();
    if (!group_) return;
    group_.kill();
    // Shared only because a job has to be copyable.
    auto remains = std::make_shared<Remains>();
    remains->layout = std::move(layout_);
    remains->group = std::move(group_);
    remains->screen = std::move(screen_);
    remains->manager = std::move(manager_);
    remains->folder = folder_;
    screen_ = {};
    manager_ = {};
    cleaner_.run([remains] { remains->clear(); });
}

Result<std::string> DesktopRunner::socket() const {
    if (!up_) return failure(ErrorCode::unavailable, "the desktop is not running");
    return folder_ + "/rfb";
}

// A window that has nowhere to connect to yet shows why, and is complete with that.
bool DesktopRunner::shows_all() const {
    return std::all_of(assign_.windows.begin(), assign_.windows.end(), [this](const WindowSource& source) {
        const auto window = windows_.find(source.session);
        return source.endpoint.port == 0 || (window != windows_.end() && window->second->status().picture);
    });
}

void DesktopRunner::report() {
    // Kept: a window that loses its session later is dimmed here as it is on the primary.
    shown_ = shown_ || (up_ && shows_all());
    DesktopStatus status;
    status.terminal = assign_.terminal;
    status.epoch = assign_.epoch;
    status.revision = assign_.revision;
    status.duty = assign_.duty;
    status.phase = over_ != Phase::preparing ? over_ : !shown_ ? Phase::preparing : assign_.duty == Duty::primary ? Phase::running : Phase::standby;
    for (const auto& [session, window] : windows_) status.windows.push_back(window->status());
    status.detail = detail_;
    services_.report(std::move(status));
}

}  // namespace understudy::node
