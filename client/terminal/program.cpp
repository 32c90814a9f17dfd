// See program.hpp.
#include "client/terminal/program.hpp"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "client/command/exit_codes.hpp"
#include "client/terminal/native_keys.hpp"

namespace understudy::terminal {
namespace {

using namespace std::chrono_literals;

/// A break that is over sooner is not shown.
constexpr Duration kGrace = 300ms;
/// While a window is being resized the desktop is not asked for every size on the way.
constexpr Duration kSizePause = 300ms;
/// A notice stays so long, and then until somebody touches keys or mouse.
constexpr Duration kNoticeAtLeast = 8s;

TimePoint now() {
    return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

}  // namespace

Result<std::unique_ptr<Program>> Program::open(const Options& options) {
    std::unique_ptr<Program> program(new Program(options));
    auto screen = Screen::open(options);
    if (!screen) return tl::unexpected(screen.error());
    program->screen_ = std::move(*screen);
    program->screen_->use_waiting_shape();
    const viewer::Size wish = options.resize == Resize::desktop ? program->screen_->wished_size() : viewer::Size{};
    Connection::Listener& listener = *program;
    program->connection_ = std::make_unique<Connection>(options.terminal, wish, listener);
    program->wakeup_ = std::make_unique<Wakeup>(program->connection_->file_descriptors());
    if (auto opened = program->connection_->open(options.configuration); !opened) return tl::unexpected(opened.error());
    if (options.give_up.count() > 0) program->give_up_at_ = now() + options.give_up;
    SDL_EventState(SDL_SYSWMEVENT, SDL_ENABLE);
    SDL_StartTextInput();
    return program;
}

Program::~Program() = default;

int Program::run() {
    while (running_) {
        update_overlay();
        screen_->draw();
        if (std::exchange(picture_is_new_, false)) connection_->picture_shown();
        SDL_Event event;
        if (SDL_WaitEventTimeout(&event, milliseconds_to_next()) != 0) {
            do handle(event);
            while (SDL_PollEvent(&event) != 0);
        }
        connection_->step();
        run_due_timers();
    }
    send(keyboard_.release_all());
    send(pointer_.release_all());
    connection_->detach();
    return exit_code_;
}

void Program::leave(int exit_code) {
    running_ = false;
    exit_code_ = exit_code;
}

int Program::milliseconds_to_next() const {
    const TimePoint next = std::min({connection_->next_wake(), dimmed_ ? kNever : dim_at_, size_wish_at_, give_up_at_});
    if (next == kNever) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3600'000));
}

void Program::run_due_timers() {
    const auto fires = [](TimePoint& due) { return now() >= due && (due = kNever, true); };
    if (!dimmed_ && now() >= dim_at_) overlay_stale_ = true;
    if (fires(size_wish_at_)) wish_size();
    if (fires(give_up_at_) && !connection_->known().pictured) {
        spdlog::error("no picture within {} s: {}", options_.give_up.count(), line_for(connection_->known()).text);
        leave(give_up_code());
    }
}

int Program::give_up_code() const {
    const Known& known = connection_->known();
    if (!known.linked) return client::kExitUnreachable;
    if (known.elsewhere) return client::exit_code_of(ErrorCode::refused);
    if (!known.refused.empty()) return client::exit_code_of(known.refused_code);
    return client::exit_code_of(ErrorCode::unavailable);
}

void Program::update_overlay() {
    if (!std::exchange(overlay_stale_, false)) return;
    Overlay overlay;
    overlay.notice = notice_;
    if (connection_->live()) {
        dim_at_ = kNever;
    } else if (dim_at_ == kNever) {
        dim_at_ = screen_->has_picture() ? now() + kGrace : now();
    }
    if (now() >= dim_at_) {
        const Line line = line_for(connection_->known());
        overlay.dimmed = screen_->has_picture();
        overlay.line = line.text;
        overlay.urgent = line.needs_somebody;
    }
    dimmed_ = !overlay.line.empty();
    screen_->set_overlay(std::move(overlay));
}

// ------------------------------------------------------------------ what the connection tells

void Program::picture_changed(const viewer::PictureChange& change) {
    screen_->keep(change);
    picture_ = change.picture;
    if (std::exchange(fresh_connection_, false)) picture_is_new_ = true;
    overlay_stale_ = true;
}

void Program::pointer_shape(const viewer::PointerShape& shape) { screen_->use_shape(shape); }

void Program::clipboard(const std::string& utf8) {
    if (options_.clipboard == Clipboard::both) clipboard_.take_over(utf8);
}

void Program::notice(const std::string& text) {
    spdlog::info("notice: {}", text);
    notice_ = text;
    notice_until_ = now() + kNoticeAtLeast;
    overlay_stale_ = true;
}

void Program::connected() {
    fresh_connection_ = true;
    clipboard_.forget();
    offer_clipboard();
    wish_size();
}

void Program::parted() {
    // What was pressed there is released by the desktop itself; what is pressed from now on is for the next one.
    keyboard_.forget();
    pointer_.forget();
}

// ------------------------------------------------------------------ what SDL tells

void Program::handle(const SDL_Event& event) {
    if (event.type == wakeup_->event()) {
        if (event.user.code == Wakeup::kSignal) leave(client::kExitDone);
        return;
    }
    switch (event.type) {
        case SDL_QUIT:
            if (options_.appearance != Appearance::kiosk) leave(client::kExitDone);
            break;
        case SDL_SYSWMEVENT:
            if (const std::uint32_t keysym = native_keysym(event)) native_keysym_ = keysym;
            break;
        case SDL_KEYDOWN:
        case SDL_KEYUP: handle_key(event.key); break;
        case SDL_TEXTINPUT: send(keyboard_.text(event.text.text)); break;
        case SDL_MOUSEMOTION:
            send(pointer_.move(screen_->to_desktop(event.motion.x, event.motion.y)));
            break;
        case SDL_MOUSEBUTTONDOWN:
            somebody_is_there();
            if (connection_->known().elsewhere) connection_->take_back();
            else send(pointer_.press(desktop_button(event.button.button), screen_->to_desktop(event.button.x, event.button.y)));
            break;
        case SDL_MOUSEBUTTONUP:
            send(pointer_.release(desktop_button(event.button.button), screen_->to_desktop(event.button.x, event.button.y)));
            break;
        case SDL_MOUSEWHEEL: handle_wheel(event.wheel); break;
        case SDL_WINDOWEVENT: handle_window(event.window); break;
        case SDL_CLIPBOARDUPDATE: offer_clipboard(); break;
        case SDL_RENDER_TARGETS_RESET:
        case SDL_RENDER_DEVICE_RESET: screen_->restore(picture_); break;
        default: break;
    }
}

bool Program::is_for_us(const SDL_KeyboardEvent& event) {
    const auto pressed = [&event](const Shortcut& shortcut) {
        return matches(shortcut, event.keysym.scancode, event.keysym.mod) && event.repeat == 0;
    };
    if (pressed(options_.leave_keys)) {
        leave(client::kExitDone);
    } else if (pressed(options_.full_screen_keys)) {
        screen_->toggle_full_screen();
    } else if (connection_->known().elsewhere) {
        if (event.keysym.scancode == SDL_SCANCODE_RETURN || event.keysym.scancode == SDL_SCANCODE_KP_ENTER) connection_->take_back();
    } else {
        return false;
    }
    return true;
}

void Program::handle_key(const SDL_KeyboardEvent& event) {
    if (event.type == SDL_KEYUP) return send(keyboard_.release(event.keysym.scancode));
    somebody_is_there();
    const std::uint32_t native = std::exchange(native_keysym_, 0);
    if (!is_for_us(event)) send(keyboard_.press({event.keysym.scancode, event.keysym.sym, event.keysym.mod, native}));
}

void Program::handle_wheel(const SDL_MouseWheelEvent& event) {
    somebody_is_there();
    const float sign = event.direction == SDL_MOUSEWHEEL_FLIPPED ? -1.0F : 1.0F;
    const viewer::Point at = screen_->to_desktop(event.mouseX, event.mouseY);
    for (const unsigned button : wheel_.turn(sign * event.preciseX, sign * event.preciseY)) {
        send(pointer_.press(button, at));
        send(pointer_.release(button, at));
    }
}

void Program::handle_window(const SDL_WindowEvent& event) {
    switch (event.event) {
        case SDL_WINDOWEVENT_EXPOSED: screen_->expose(); break;
        case SDL_WINDOWEVENT_SIZE_CHANGED:
            screen_->expose();
            size_wish_at_ = now() + kSizePause;
            break;
        case SDL_WINDOWEVENT_FOCUS_GAINED:
            focused_ = true;
            offer_clipboard();
            break;
        case SDL_WINDOWEVENT_FOCUS_LOST:
            focused_ = false;
            send(keyboard_.release_all());
            send(pointer_.release_all());
            break;
        default: break;
    }
}

void Program::somebody_is_there() {
    if (notice_.empty() || now() < notice_until_) return;
    notice_.clear();
    overlay_stale_ = true;
}

void Program::send(const std::vector<viewer::KeyInput>& keys) {
    for (const viewer::KeyInput& key : keys) connection_->send(key);
}

void Program::send(const std::optional<viewer::PointerInput>& pointer) {
    if (pointer) connection_->send(*pointer);
}

void Program::offer_clipboard() {
    // Only the window in use looks: other people's passwords on the clipboard are none of the desktop's business.
    if (!focused_ || options_.clipboard == Clipboard::none) return;
    if (auto text = clipboard_.news()) connection_->send(viewer::ClipboardOffer{std::move(*text)});
}

void Program::wish_size() {
    if (options_.resize == Resize::desktop) connection_->send(viewer::SizeWish{screen_->wished_size()});
}

}  // namespace understudy::terminal
