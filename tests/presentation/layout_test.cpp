// The layout watcher on real desktops: what it reports, and that a desktop built from a report is the same.
#include <catch2/catch.hpp>  // before Xlib, whose macros would break it

#include <X11/Xutil.h>
#include <poll.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "nodes/presentation/layout/layout.hpp"
#include "tests/presentation/rig.hpp"

using namespace rig;
using namespace understudy;
using namespace understudy::layout;

namespace {

std::string text_of(const DesktopLayout& layout) {
    std::ostringstream text;
    for (const WindowPlace& w : layout.windows) {
        text << w.session.value << ": " << w.width << "x" << w.height << "+" << w.x << "+" << w.y << " #" << w.stacking
             << (w.focused ? " focused" : "") << (w.maximized ? " maximized" : "") << (w.minimized ? " minimized" : "")
             << "\n";
    }
    return text.str();
}

/// A desktop as an agent has it: X server, window manager, panel, watcher.
struct Desk {
    XServer server{1000, 750};
    std::unique_ptr<Process> window_manager = start_window_manager(server);
    std::unique_ptr<LayoutWatcher> watcher = std::move(*LayoutWatcher::open(server.name()));
    std::vector<std::unique_ptr<WindowProcess>> windows;
    DesktopLayout last;

    /// Opens an empty window of a session and waits until it is on the desktop.
    void open(int session, const std::string& geometry = "300x200") {
        windows.push_back(std::make_unique<WindowProcess>(
            server, std::vector<std::string>{"--session", std::to_string(session), "--geometry", geometry}));
        const Window id = windows.back()->id();
        REQUIRE(eventually([&] {
            XWindowAttributes attributes{};
            XGetWindowAttributes(server.display(), id, &attributes);
            return attributes.map_state == IsViewable;
        }));
    }
    void xdotool(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "xdotool");
        run(std::move(arguments), server.name());
    }
    [[nodiscard]] std::string id(std::size_t index) const { return std::to_string(windows[index]->id()); }

    /// Waits on the watcher's descriptor, as a loop does, until a report satisfies `is_wanted`.
    bool wait_report(const std::function<bool(const DesktopLayout&)>& is_wanted, milliseconds timeout = milliseconds{5000}) {
        const auto deadline = std::chrono::steady_clock::now() + timeout;
        while (true) {
            const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
            pollfd fd{watcher->fd(), POLLIN, 0};
            if (left.count() <= 0 || poll(&fd, 1, static_cast<int>(left.count())) <= 0) return false;
            auto report = watcher->poll_events();
            REQUIRE(report);
            if (!*report) continue;
            last = **report;
            if (is_wanted(last)) return true;
        }
    }
    bool wait_count(std::size_t count) {
        return wait_report([count](const DesktopLayout& layout) { return layout.windows.size() == count; });
    }
    /// The layout once nothing changes any more.
    const DesktopLayout& settled() {
        while (wait_report([](const DesktopLayout&) { return true; }, milliseconds{500})) {
        }
        return last;
    }
};

const WindowPlace& place_of(const DesktopLayout& layout, std::uint64_t session) {
    const auto found = std::find_if(layout.windows.begin(), layout.windows.end(),
                                    [session](const WindowPlace& place) { return place.session.value == session; });
    REQUIRE(found != layout.windows.end());
    return *found;
}

/// Four windows as a person may leave them: overlapping, one half outside the screen, one maximized, one
/// minimised, and the focus not on the highest.
DesktopLayout leave_in_disorder(Desk& desk) {
    desk.open(11, "300x200+50+60");
    desk.open(12, "420x310+120+90");
    desk.open(13, "350x250+500+400");
    desk.open(14, "280x180+10+500");
    REQUIRE(desk.wait_count(4));
    desk.xdotool({"windowmove", desk.id(2), "800", "600"});
    desk.windows[0]->command({{"do", "place"}, {"x", 77}, {"y", 33}, {"width", 333}, {"height", 222}});
    desk.settled();
    // _NET_WM_STATE through the window manager, as a double click on the title would.
    run({"xdotool", "windowactivate", "--sync", desk.id(3)}, desk.server.name());
    XEvent maximize{};
    maximize.xclient.type = ClientMessage;
    maximize.xclient.window = desk.windows[3]->id();
    Display* const display = desk.server.display();
    maximize.xclient.message_type = XInternAtom(display, "_NET_WM_STATE", False);
    maximize.xclient.format = 32;
    maximize.xclient.data.l[0] = 1;
    maximize.xclient.data.l[1] = static_cast<long>(XInternAtom(display, "_NET_WM_STATE_MAXIMIZED_VERT", False));
    maximize.xclient.data.l[2] = static_cast<long>(XInternAtom(display, "_NET_WM_STATE_MAXIMIZED_HORZ", False));
    maximize.xclient.data.l[3] = 2;
    XSendEvent(display, DefaultRootWindow(display), False, SubstructureNotifyMask | SubstructureRedirectMask, &maximize);
    XSync(display, False);
    desk.settled();
    desk.xdotool({"windowminimize", "--sync", desk.id(1)});
    desk.xdotool({"windowactivate", "--sync", desk.id(2)});
    desk.xdotool({"windowraise", desk.id(0)});
    return desk.settled();
}

}  // namespace

TEST_CASE("layout: windows of sessions are reported, with place, order and focus; others are not") {
    Desk desk;
    Process other({"xterm", "-geometry", "40x10+600+50"}, desk.server.name());
    desk.xdotool({"search", "--sync", "--onlyvisible", "--class", "xterm"});  // it takes the focus when it comes
    desk.open(7, "300x200+50+60");
    desk.open(8, "310x210+100+120");
    REQUIRE(desk.wait_count(2));
    desk.xdotool({"windowactivate", "--sync", desk.id(0)});
    const DesktopLayout layout = desk.settled();
    INFO(text_of(layout));
    REQUIRE(layout.windows.size() == 2);
    CHECK(place_of(layout, 7) == WindowPlace{SessionId(7), 50, 60, 300, 200, 1, true, false, false});
    CHECK(place_of(layout, 8) == WindowPlace{SessionId(8), 100, 120, 310, 210, 0, false, false, false});
}

TEST_CASE("layout: every change is reported, and nothing when nothing changes") {
    Desk desk;
    desk.open(7, "300x200+50+60");
    REQUIRE(desk.wait_count(1));
    desk.settled();
    CHECK_FALSE(desk.wait_report([](const DesktopLayout&) { return true; }, milliseconds{300}));
    desk.windows[0]->command({{"do", "place"}, {"x", 123}, {"y", 45}, {"width", 301}, {"height", 202}});
    CHECK(desk.wait_report([](const DesktopLayout& layout) {
        return place_of(layout, 7) == WindowPlace{SessionId(7), 123, 45, 301, 202, 0, true, false, false};
    }));
    desk.xdotool({"windowminimize", desk.id(0)});
    CHECK(desk.wait_report([](const DesktopLayout& layout) { return place_of(layout, 7).minimized; }));
    desk.windows.clear();
    CHECK(desk.wait_count(0));
}

TEST_CASE("layout: a desktop laid out from a report is exactly the reported one") {
    Desk first;
    const DesktopLayout saved = leave_in_disorder(first);
    INFO("saved:\n" << text_of(saved));
    REQUIRE(saved.windows.size() == 4);
    CHECK(place_of(saved, 12).minimized);
    CHECK(place_of(saved, 14).maximized);
    CHECK(place_of(saved, 14).width == 280);
    CHECK(place_of(saved, 13).focused);
    CHECK(place_of(saved, 13).stacking < place_of(saved, 11).stacking);

    Desk second;
    // Opened in another order, by a window manager that places them as it likes.
    for (const int session : {14, 12, 13, 11}) second.open(session);
    REQUIRE(second.wait_count(4));
    second.watcher->apply(saved);
    CHECK(second.watcher->is_applying());
    const bool is_same = second.wait_report([&](const DesktopLayout& layout) { return layout == saved; });
    INFO("applied:\n" << text_of(second.last));
    CHECK(is_same);
    CHECK_FALSE(second.watcher->is_applying());
    // It stays so, and applying it again changes nothing.
    CHECK(second.settled() == saved);
    second.watcher->apply(saved);
    CHECK_FALSE(second.wait_report([](const DesktopLayout&) { return true; }, milliseconds{500}));
}

TEST_CASE("layout: what is maximized fills the screen, and goes back to the size it had before") {
    Desk first;
    const DesktopLayout saved = leave_in_disorder(first);
    Desk second;
    for (const int session : {11, 12, 13, 14}) second.open(session);
    second.watcher->apply(saved);
    REQUIRE(second.wait_report([&](const DesktopLayout& layout) { return layout == saved; }));
    CHECK(second.windows[3]->size().first > 900);
    CHECK(second.windows[3]->size() == first.windows[3]->size());
}

TEST_CASE("layout: windows that come late get their place too, and nothing is reported before") {
    Desk first;
    const DesktopLayout saved = leave_in_disorder(first);
    Desk second;
    second.open(13);
    REQUIRE(second.wait_count(1));
    second.watcher->apply(saved);
    CHECK_FALSE(second.wait_report([](const DesktopLayout&) { return true; }, milliseconds{600}));
    for (const int session : {11, 12, 14}) second.open(session);
    const bool is_same = second.wait_report([&](const DesktopLayout& layout) { return layout == saved; });
    INFO("saved:\n" << text_of(saved) << "applied:\n" << text_of(second.last));
    CHECK(is_same);
}

TEST_CASE("layout: a window that a person chooses keeps the focus while another is still to come") {
    Desk desk;
    desk.open(11, "300x200+50+60");
    desk.open(12, "300x200+500+60");
    REQUIRE(desk.wait_count(2));
    DesktopLayout wish = desk.settled();
    for (WindowPlace& place : wish.windows) place.focused = place.session == SessionId(12);
    wish.windows.push_back({SessionId(13), 50, 400, 300, 200, 2});
    desk.watcher->apply(wish);
    const auto handle_for = [&desk](milliseconds time) { desk.wait_report([](const DesktopLayout&) { return false; }, time); };
    handle_for(milliseconds{1000});
    REQUIRE(place_of(*desk.watcher->current(), 12).focused);
    REQUIRE(desk.watcher->is_applying());
    desk.xdotool({"windowactivate", "--sync", desk.id(0)});
    handle_for(milliseconds{1500});
    CHECK(place_of(*desk.watcher->current(), 11).focused);
}

TEST_CASE("layout: a layout that was applied differently is noticed") {
    // The comparison above is of use only if it can fail.
    Desk desk;
    desk.open(7, "300x200+50+60");
    REQUIRE(desk.wait_count(1));
    DesktopLayout wanted = desk.settled();
    wanted.windows[0].width = 10;  // smaller than the window allows
    desk.watcher->apply(wanted);
    CHECK(desk.wait_report([&](const DesktopLayout& layout) { return layout.windows[0].width == 64; }));
    CHECK(desk.last != wanted);
    CHECK_FALSE(desk.watcher->is_applying());
}

TEST_CASE("layout: the loss of the desktop's X server is an error, not the end of the program") {
    Desk desk;
    desk.open(7);
    REQUIRE(desk.wait_count(1));
    desk.server.kill();
    pollfd fd{desk.watcher->fd(), POLLIN, 0};
    CHECK(poll(&fd, 1, 5000) == 1);
    bool is_lost = false;
    CHECK(eventually([&] {
        is_lost = !desk.watcher->poll_events();
        return is_lost;
    }));
    CHECK_FALSE(desk.watcher->current());
    desk.watcher->apply({});
    desk.watcher.reset();
}

TEST_CASE("layout: a display that is not there is an error") {
    const auto watcher = LayoutWatcher::open(":64999");
    REQUIRE_FALSE(watcher);
    CHECK_THAT(watcher.error().message, Catch::Contains(":64999"));
}
