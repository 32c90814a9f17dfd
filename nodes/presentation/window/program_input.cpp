// The desktop's events: input for the session, size, focus, clipboard. The main thread.
#include <X11/Xutil.h>

#include "nodes/presentation/window/program.hpp"

namespace understudy::window {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGeometryPause{100};
/// While a person drags a frame's edge, the session is asked once the size has rested this long.
constexpr milliseconds kSizePause{60};
constexpr milliseconds kSizeAnswer{1000};

}  // namespace

void Program::handle_x_events() {
    Display* const display = window_->display();
    while (XPending(display) > 0) {
        XEvent event{};
        XNextEvent(display, &event);
        // Of several movements the last one counts.
        while (event.type == MotionNotify && XEventsQueued(display, QueuedAlready) > 0) {
            XEvent next{};
            XPeekEvent(display, &next);
            if (next.type != MotionNotify) break;
            XNextEvent(display, &event);
        }
        handle_x_event(event);
    }
}

void Program::handle_x_event(XEvent& event) {
    if (auto text = selections_->handle(event)) {
        if (mode_ == Mode::active && link_ != nullptr) link_->send(ClipboardOffer{std::move(*text)});
    }
    fetch_clipboard_if_due();
    switch (event.type) {
        case KeyPress:
        case KeyRelease:
        case ButtonPress:
        case ButtonRelease:
        case MotionNotify:
            handle_input(event);
            break;
        case FocusIn:
        case FocusOut:
            handle_focus(event.xfocus);
            break;
        case Expose:
            needs_redraw_ = true;
            break;
        case ConfigureNotify: {
            const Size size{event.xconfigure.width, event.xconfigure.height};
            geometry_due_ = Clock::now() + kGeometryPause;
            if (size == window_size_) break;
            window_size_ = size;
            size_wish_due_ = Clock::now() + kSizePause;
            needs_redraw_ = true;
            break;
        }
        case MapNotify:
            map_again_due_.reset();
            break;
        case ReparentNotify:
        case PropertyNotify:  // the frame's extents, among others
            if (!geometry_due_) geometry_due_ = Clock::now() + kGeometryPause;
            break;
        case ClientMessage:
            if (window_->is_close_wish(event.xclient)) emit(EventLine("closed_by_user"));
            break;
        case MappingNotify:
            XRefreshKeyboardMapping(&event.xmapping);
            break;
        default:
            break;
    }
}

void Program::report_geometry() {
    const Place place = window_->current_place();
    if (place == reported_place_ || place.width == 0) return;
    reported_place_ = place;
    emit(EventLine("geometry").add("x", place.x).add("y", place.y).add("width", place.width).add("height", place.height));
}

// Input.

bool Program::sends_input() const {
    // What looks live takes input; a link keeps it for a moment when it is just reconnecting.
    return mode_ == Mode::active && link_ != nullptr && notice_ == Notice::none;
}

void Program::send(Outgoing outgoing) {
    if (!sends_input()) return;
    if (is_connected_ && !asked_at_) asked_at_ = Clock::now();
    link_->send(std::move(outgoing));
}

void Program::release_everything() {
    for (const KeyInput& key : keyboard_.release_all()) send(key);
    if (const auto released = pointer_.release_all()) send(*released);
}

void Program::handle_input(XEvent& event) {
    if (!sends_input()) return;
    const auto point_of = [this](int x, int y) { return to_picture(view_, painter_->picture_size(), Point{x, y}); };
    std::optional<KeyInput> key;
    std::optional<PointerInput> pointer;
    if (event.type == KeyPress) {
        char text[32];
        KeySym keysym = NoSymbol;
        XLookupString(&event.xkey, text, sizeof text, &keysym, nullptr);
        key = keyboard_.press(event.xkey.keycode, static_cast<std::uint32_t>(keysym));
    } else if (event.type == KeyRelease) {
        key = keyboard_.release(event.xkey.keycode);
    } else if (event.type == ButtonPress) {
        pointer = pointer_.press(event.xbutton.button, point_of(event.xbutton.x, event.xbutton.y));
    } else if (event.type == ButtonRelease) {
        pointer = pointer_.release(event.xbutton.button, point_of(event.xbutton.x, event.xbutton.y));
    } else {
        pointer = pointer_.move(point_of(event.xmotion.x, event.xmotion.y));
    }
    if (key) send(*key);
    if (pointer) send(*pointer);
}

void Program::handle_focus(const XFocusChangeEvent& event) {
    // The focus of a child or of the pointer's window is not ours.
    if (event.detail == NotifyPointer || event.detail == NotifyInferior) return;
    if (event.type == FocusOut) {
        is_focused_ = false;
        release_everything();
        return;
    }
    is_focused_ = true;
    fetch_clipboard_if_due();
}

void Program::fetch_clipboard_if_due() {
    // Only the window in use asks, so that ten windows don't copy a big text ten times.
    if (is_focused_ && mode_ == Mode::active && is_connected_ && selections_->has_foreign_offer()) selections_->fetch();
}

// Size.

void Program::wish_size() {
    if (mode_ != Mode::active || link_ == nullptr || !is_connected_) {
        if (painter_->picture_size() != window_size_) fit_ = Fit::shrink;
        needs_redraw_ = true;
        return;
    }
    link_->send(SizeWish{window_size_});
    if (has_picture_ && painter_->picture_size() == window_size_) {
        fit_ = Fit::follow;
        return;
    }
    fit_ = Fit::follow;
    size_answer_due_ = Clock::now() + kSizeAnswer;
    needs_redraw_ = true;
}

}  // namespace understudy::window
