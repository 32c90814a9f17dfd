// One `understudy-window`: a session's window on a desktop. Started again when it ends by itself.
// Commands and events are JSON lines over its pipes (see window/README.md). The agent's main thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "nodes/agent/base/lifeline.hpp"
#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/base/process.hpp"
#include "nodes/presentation/desktop_settings.hpp"

namespace understudy::node {

class WindowProcess {
  public:
    struct Setting {
        std::string display;
        int cgroup = -1;
        std::string geometry;          ///< "WxH" or "WxH+X+Y"
        bool active = false;           ///< input goes to the session
    };

    WindowProcess(Loop& loop, const PresentationSettings& settings, const DesktopServices& services, Setting setting,
                  WindowSource source, std::function<void()> on_changed);
    ~WindowProcess();
    WindowProcess(const WindowProcess&) = delete;
    WindowProcess& operator=(const WindowProcess&) = delete;

    /// Goes over to another source, when it differs in more than the date of its ticket.
    void set_source(const WindowSource& source);
    void set_active(bool active);
    [[nodiscard]] const WindowStatus& status() const { return status_; }

  private:
    void start();
    void note_end();
    void read_events();
    void handle(const std::string& line);
    void send(const std::string& line);
    void write_pending();
    void connect();
    [[nodiscard]] std::string tag() const;

    Loop& loop_;
    const PresentationSettings& settings_;
    const DesktopServices& services_;
    Setting setting_;
    WindowSource source_;
    std::string sent_ticket_;
    std::string renewal_;      ///< what the door of this source gave for the next time
    std::function<void()> on_changed_;
    WindowStatus status_;
    Child child_;
    Descriptor to_;
    Descriptor from_;
    Loop::Id process_watch_ = 0;
    Loop::Id from_watch_ = 0;
    Loop::Id to_watch_ = 0;
    Loop::Id restart_timer_ = 0;
    unsigned starts_ = 0;
    std::string incoming_;
    std::string outgoing_;
    Lifeline lifeline_;
};

}  // namespace understudy::node
