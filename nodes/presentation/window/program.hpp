// One window's life: carries out commands, passes the session's picture to the screen and the person's
// input to the session, and says honestly what it is waiting for. Everything here runs in the main thread,
// in one poll loop over the X connection, standard input and the link's news; only the link has a thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nodes/presentation/window/desktop_window.hpp"
#include "viewer/input.hpp"
#include "viewer/link.hpp"
#include "nodes/presentation/window/painter.hpp"
#include "nodes/presentation/window/pipes.hpp"
#include "nodes/presentation/window/selections.hpp"

namespace understudy::window {

struct ProgramOptions {
    WindowOptions window;
    Mode mode = Mode::active;
    std::string encodings;  ///< libvncclient's names, separated by blanks
};

class Program {
public:
    /// Errors: as DesktopWindow::open and Painter::create.
    [[nodiscard]] static Result<std::unique_ptr<Program>> create(const ProgramOptions& options);
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    /// Runs until `close` or the end of standard input.
    void run();

private:
    using Clock = std::chrono::steady_clock;
    using Due = std::optional<Clock::time_point>;

    /// Why the picture is dimmed.
    enum class Notice {
        none,
        starting,   ///< there has not been a picture yet
        commanded,  ///< by `waiting`
        lost,       ///< the connection broke, or a new one takes long
        silent,     ///< connected, but no answer to what a person did
    };

    explicit Program(ProgramOptions options) : options_(std::move(options)) {}

    void wait_for_something();
    void run_due_timers();
    [[nodiscard]] int milliseconds_to_next_timer() const;

    void handle_line(const Result<std::string>& line);
    void carry_out(ConnectCommand command);
    void carry_out(WaitingCommand command);
    void carry_out(ModeCommand command);
    void carry_out(PlaceCommand command);
    void carry_out(TitleCommand command);
    void carry_out(IconCommand command);
    void carry_out(CloseCommand command);
    void report_error(const std::string& message);
    void emit(const EventLine& line) { events_.write(line.str()); }

    void take_news();
    void retire_link();
    void note(const LinkConnected& event);
    void note(const LinkUnreachable& event);
    void note(const LinkRefused& event);
    void note(const LinkLost& event);
    void note(const PointerShape& event);
    void note(const RemoteText& event);
    void note(const Bell& event);
    void report_attempt(const char* event, const std::string& reason);
    void tell_first_picture();
    void show_change(const PictureChange& change);
    void check_silence();
    [[nodiscard]] std::int64_t took_ms() const;

    void handle_x_events();
    void handle_x_event(XEvent& event);
    void handle_input(XEvent& event);
    void handle_focus(const XFocusChangeEvent& event);
    void report_geometry();
    [[nodiscard]] bool sends_input() const;
    void send(Outgoing outgoing);
    void release_everything();
    void fetch_clipboard_if_due();
    void wish_size();

    void show_notice(Notice reason, const std::string& text);
    void drop_notice();
    void update_view();

    const ProgramOptions options_;
    std::unique_ptr<DesktopWindow> window_;
    std::unique_ptr<Painter> painter_;
    std::unique_ptr<Selections> selections_;
    LineReader commands_{0};
    LineWriter events_{1};
    OwnedFd news_fd_;

    std::unique_ptr<Link> link_;
    std::vector<std::unique_ptr<Link>> retired_;  ///< stopped, their threads about to end
    Mode mode_ = Mode::active;
    Epoch highest_epoch_ = 0;
    bool is_closing_ = false;
    bool is_connected_ = false;
    bool has_picture_ = false;  ///< of the present connection
    bool untold_picture_ = false;  ///< the first one is drawn, and has not been reported yet
    std::string last_attempt_;  ///< what was reported of attempts, not to say it again
    Clock::time_point waiting_since_{};

    Size window_size_;
    View view_;
    Fit fit_ = Fit::follow;
    Notice notice_ = Notice::starting;
    bool needs_redraw_ = false;
    bool is_focused_ = false;
    KeyboardState keyboard_;
    PointerState pointer_;
    Place reported_place_;

    Due asked_at_;           ///< when a person did something that nothing was heard after

    Due map_again_due_;      ///< the window manager has not shown us yet
    Due geometry_due_;       ///< report the place
    Due size_wish_due_;      ///< ask the session for the window's size
    Due size_answer_due_;    ///< until then the session may still take it
    Due lost_notice_due_;    ///< dim the picture
    Due silence_check_due_;
};

}  // namespace understudy::window
