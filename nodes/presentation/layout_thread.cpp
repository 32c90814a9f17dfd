// See layout_thread.hpp.
#include "nodes/presentation/layout_thread.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include "nodes/presentation/layout/layout.hpp"

namespace understudy::node {
namespace {

layout::DesktopLayout to_layout(const std::vector<WindowPlace>& places) {
    layout::DesktopLayout layout;
    for (const auto& place : places) {
        layout.windows.push_back({place.session, place.x, place.y, static_cast<int>(place.width), static_cast<int>(place.height),
                                  static_cast<int>(place.stacking), place.focused, place.maximized, place.minimized});
    }
    return layout;
}

std::vector<WindowPlace> to_places(const layout::DesktopLayout& layout) {
    std::vector<WindowPlace> places;
    for (const auto& window : layout.windows) {
        places.push_back({window.session, window.x, window.y, static_cast<std::uint32_t>(window.width), static_cast<std::uint32_t>(window.height),
                          static_cast<std::uint32_t>(window.stacking), window.focused, window.maximized, window.minimized});
    }
    return places;
}

}  // namespace

LayoutThread::LayoutThread(std::string display, Listener listener)
    : display_(std::move(display)), listener_(std::move(listener)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { work(); }) {}

LayoutThread::~LayoutThread() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    ::eventfd_write(wake_.get(), 1);
    thread_.join();
}

void LayoutThread::apply(std::vector<WindowPlace> places) {
    {
        const std::lock_guard lock(mutex_);
        order_ = std::move(places);
    }
    ::eventfd_write(wake_.get(), 1);
}

std::optional<std::vector<WindowPlace>> LayoutThread::take_order(bool& ending) {
    const std::lock_guard lock(mutex_);
    ending = ending_;
    return std::exchange(order_, std::nullopt);
}

void LayoutThread::work() {
    auto watcher = layout::LayoutWatcher::open(display_);
    if (!watcher) return;
    constexpr int kPauseMs = 100;  // the watcher reports a change at most this much later
    bool managed = false;
    for (bool ending = false;;) {
        if (const auto order = take_order(ending)) (*watcher)->apply(to_layout(*order));
        if (ending) return;
        const auto changed = (*watcher)->poll_events();
        if (!changed) return;
        if (*changed) listener_.on_layout(to_places(**changed));
        if (!managed && (managed = (*watcher)->is_managed())) listener_.on_managed();
        pollfd ready[2] = {{(*watcher)->fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
        ::poll(ready, 2, kPauseMs);
        eventfd_t count = 0;
        ::eventfd_read(wake_.get(), &count);
    }
}

}  // namespace understudy::node
