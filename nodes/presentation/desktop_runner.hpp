// The desktop of one terminal: its X server, its window manager and one window per session. As a backup
// everything runs and is connected as well, only that nobody's input goes anywhere: promotion is a word.
// Owned by the agent's main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "nodes/agent/base/cgroup.hpp"
#include "nodes/agent/base/lifeline.hpp"
#include "nodes/agent/base/loop.hpp"
#include "nodes/agent/base/worker.hpp"
#include "nodes/presentation/desktop_settings.hpp"
#include "nodes/presentation/layout_thread.hpp"
#include "nodes/presentation/window_process.hpp"

namespace understudy::node {

class DesktopRunner {
  public:
    /// `display`: number of the X server, taken by nobody else. `on_over`: nothing of it runs any more;
    /// must not destroy this object.
    DesktopRunner(Loop& loop, Worker& cleaner, const PresentationSettings& settings, const DesktopServices& services, unsigned display,
                  AssignDesktop assign, std::function<void()> on_over);
    ~DesktopRunner();
    DesktopRunner(const DesktopRunner&) = delete;
    DesktopRunner& operator=(const DesktopRunner&) = delete;

    void perform(const AssignDesktop& assign);
    /// Errors: `unavailable` (not up yet).
    [[nodiscard]] Result<std::string> socket() const;
    [[nodiscard]] unsigned display() const { return display_; }
    /// It ended, failed or was given up; a new assignment needs a new one.
    [[nodiscard]] bool is_over() const { return over_ != Phase::preparing; }

  private:
    [[nodiscard]] Result<> start_screen();
    void note_screen_word();
    void note_screen_up();
    void note_managed();
    [[nodiscard]] bool shows_all() const;
    void start_manager();
    void note_process_end(bool screen);
    void update_windows();
    void end_everything();
    void fail(const std::string& why);
    void report();
    [[nodiscard]] std::string geometry_of(const WindowSource& source) const;
    [[nodiscard]] std::string first_place(const WindowSource& source) const;
    [[nodiscard]] std::map<std::string, std::string> environment() const;
    [[nodiscard]] std::string tag() const;

    Loop& loop_;
    Worker& cleaner_;
    const PresentationSettings& settings_;
    const DesktopServices& services_;
    const unsigned display_;
    AssignDesktop assign_;
    std::function<void()> on_over_;
    std::string folder_;
    Phase over_ = Phase::preparing;  ///< ended, failed or released once it is
    std::string detail_;
    bool up_ = false;                ///< X server and window manager run: windows may come, terminals may look
    Cgroup group_;
    Child screen_;
    Child manager_;
    Descriptor screen_word_;         ///< where the X server writes its number when it is ready
    Loop::Id screen_word_watch_ = 0;
    Loop::Id screen_watch_ = 0;
    Loop::Id manager_watch_ = 0;
    Loop::Id manager_timer_ = 0;
    Loop::Id patience_timer_ = 0;    ///< runs while the window manager, then the first pictures are waited for
    bool shown_ = false;             ///< what somebody would see is complete, or was once: until then the last picture is better
    unsigned manager_starts_ = 0;
    std::map<SessionId, std::unique_ptr<WindowProcess>> windows_;
    std::unique_ptr<LayoutThread> layout_;
    Lifeline lifeline_;
};

}  // namespace understudy::node
