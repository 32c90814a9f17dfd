// The native terminal: brings the connection to the desktop, the window and the person's hands together. One thread,
// beside those of the connections and of the wake-up.
#pragma once

#include <memory>

#include "client/terminal/clipboard.hpp"
#include "client/terminal/connection.hpp"
#include "client/terminal/keyboard.hpp"
#include "client/terminal/pointer.hpp"
#include "client/terminal/screen.hpp"
#include "client/terminal/wakeup.hpp"
#include "viewer/input.hpp"

namespace understudy::terminal {

class Program final : private Connection::Listener {
public:
    /// Opens the window and starts to connect. Preconditions: SDL's video is initialised, signals are blocked.
    /// Errors: those of Screen and of the link to the manager.
    [[nodiscard]] static Result<std::unique_ptr<Program>> open(const Options& options);
    ~Program() override;

    /// Runs until the person leaves or a signal asks for the end. The result is the exit code.
    [[nodiscard]] int run();

private:
    explicit Program(const Options& options) : options_(options) {}

    // What the connection tells.
    void picture_changed(const viewer::PictureChange& change) override;
    void pointer_shape(const viewer::PointerShape& shape) override;
    void clipboard(const std::string& utf8) override;
    void bell() override {}
    void notice(const std::string& text) override;
    void connected() override;
    void parted() override;
    void changed() override { overlay_stale_ = true; }

    // What SDL tells.
    void handle(const SDL_Event& event);
    void handle_key(const SDL_KeyboardEvent& event);
    void handle_window(const SDL_WindowEvent& event);
    void handle_wheel(const SDL_MouseWheelEvent& event);
    [[nodiscard]] bool is_for_us(const SDL_KeyboardEvent& event);
    void somebody_is_there();
    void send(const std::vector<viewer::KeyInput>& keys);
    void send(const std::optional<viewer::PointerInput>& pointer);
    void offer_clipboard();
    void wish_size();

    void run_due_timers();
    void update_overlay();
    void leave(int exit_code);
    [[nodiscard]] int give_up_code() const;
    [[nodiscard]] int milliseconds_to_next() const;

    const Options options_;
    std::unique_ptr<Screen> screen_;
    std::unique_ptr<Connection> connection_;
    std::unique_ptr<Wakeup> wakeup_;
    ClipboardBridge clipboard_;
    Keyboard keyboard_;
    viewer::PointerState pointer_;
    Wheel wheel_;
    std::uint32_t native_keysym_ = 0;  ///< of the press that SDL tells next
    std::shared_ptr<viewer::Picture> picture_;  ///< the newest complete one; the link shares it while it draws into it
    bool picture_is_new_ = false;  ///< the first of its connection, not drawn yet
    bool fresh_connection_ = false;
    bool overlay_stale_ = true;
    bool dimmed_ = false;  ///< the break is shown
    bool focused_ = false;
    std::string notice_;
    TimePoint notice_until_ = kNever;     ///< from then on a sign of the person ends it
    TimePoint dim_at_ = kNever;           ///< the break is shown from then on; never: there is none
    TimePoint size_wish_at_ = kNever;
    TimePoint give_up_at_ = kNever;
    bool running_ = true;
    int exit_code_ = 0;
};

}  // namespace understudy::terminal
