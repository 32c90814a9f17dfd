// Watches where the windows of one desktop are, and puts them back, on a thread of its own: an X server
// that answers slowly must not keep the agent from renewing its lease.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"
#include "protocol/messages.hpp"

namespace understudy::node {

class LayoutThread {
  public:
    struct Listener {
        std::function<void()> on_managed;  ///< once: a window manager is there
        std::function<void(std::vector<WindowPlace>)> on_layout;  ///< with every change of the layout
    };
    /// The listener is called on this thread.
    LayoutThread(std::string display, Listener listener);
    /// Waits for the thread, which ends when it is told to or its X server is gone.
    ~LayoutThread();
    LayoutThread(const LayoutThread&) = delete;
    LayoutThread& operator=(const LayoutThread&) = delete;

    /// Lays the windows out so; those that appear later follow.
    void apply(std::vector<WindowPlace> places);

  private:
    void work();
    [[nodiscard]] std::optional<std::vector<WindowPlace>> take_order(bool& ending);

    const std::string display_;
    const Listener listener_;
    Descriptor wake_;
    std::mutex mutex_;  ///< guards what follows
    std::optional<std::vector<WindowPlace>> order_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace understudy::node
