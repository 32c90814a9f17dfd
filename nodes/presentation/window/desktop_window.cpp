// Xlib calls for the window. The window's thread.
#include "nodes/presentation/window/desktop_window.hpp"

#include <X11/Xatom.h>
#include <X11/XKBlib.h>
#include <X11/Xcursor/Xcursor.h>
#include <X11/Xutil.h>
#include <X11/cursorfont.h>
#include <png.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace understudy::window {
namespace {

constexpr int kMinWidth = 64;
constexpr int kMinHeight = 48;
constexpr unsigned kMaxIconSide = 256;
constexpr long kEvents = KeyPressMask | KeyReleaseMask | ButtonPressMask | ButtonReleaseMask | PointerMotionMask |
                         ExposureMask | StructureNotifyMask | FocusChangeMask | PropertyChangeMask;

void set_cardinals(Display* display, Window window, Atom property, const std::vector<unsigned long>& values) {
    XChangeProperty(display, window, property, XA_CARDINAL, 32, PropModeReplace,
                    reinterpret_cast<const unsigned char*>(values.data()), static_cast<int>(values.size()));
}

void set_text(Display* display, Window window, Atom property, Atom type, const std::string& text) {
    XChangeProperty(display, window, property, type, 8, PropModeReplace,
                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
}

/// left, right, top, bottom of the frame; zeros without a window manager.
std::array<long, 4> frame_extents(Display* display, Window window, Atom property) {
    std::array<long, 4> extents{};
    Atom type = None;
    int format = 0;
    unsigned long count = 0;
    unsigned long left = 0;
    unsigned char* data = nullptr;
    const int status = XGetWindowProperty(display, window, property, 0, 4, False, XA_CARDINAL, &type, &format, &count,
                                          &left, &data);
    if (status == Success && type == XA_CARDINAL && format == 32 && count == 4) {
        std::memcpy(extents.data(), data, sizeof extents);  // Xlib hands out 32-bit values as longs
    }
    if (data != nullptr) XFree(data);
    return extents;
}

struct Icon {
    unsigned width = 0;
    unsigned height = 0;
    std::vector<std::uint8_t> bgra;
};

Result<Icon> decode_png(const std::vector<std::uint8_t>& png) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&image, png.data(), png.size()) == 0) {
        return failure(ErrorCode::invalid, std::string("the icon is not a PNG: ") + image.message);
    }
    if (image.width > kMaxIconSide || image.height > kMaxIconSide) {
        png_image_free(&image);
        return failure(ErrorCode::invalid, "the icon is bigger than 256 x 256");
    }
    image.format = PNG_FORMAT_BGRA;
    Icon icon{image.width, image.height, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(image))};
    if (png_image_finish_read(&image, nullptr, icon.bgra.data(), 0, nullptr) == 0) {
        return failure(ErrorCode::invalid, std::string("the icon does not decode: ") + image.message);
    }
    return icon;
}

}  // namespace

Result<std::unique_ptr<DesktopWindow>> DesktopWindow::open(const WindowOptions& options) {
    std::unique_ptr<DesktopWindow> self(new DesktopWindow());
    self->display_ = XOpenDisplay(nullptr);
    if (self->display_ == nullptr) {
        const char* const name = std::getenv("DISPLAY");
        return failure(ErrorCode::unavailable, std::string("no X server at DISPLAY '") + (name != nullptr ? name : "") +
                                                   "'; start the desktop first");
    }
    Display* const display = self->display_;
    // A repeating key then comes as presses only, which is what the session expects.
    XkbSetDetectableAutoRepeat(display, True, nullptr);
    const Point corner = options.corner.value_or(Point{0, 0});
    XSetWindowAttributes attributes{};
    attributes.event_mask = kEvents;
    attributes.bit_gravity = NorthWestGravity;   // keeps the picture while the size changes
    attributes.background_pixmap = None;         // nothing flashes before we draw
    self->window_ = XCreateWindow(display, DefaultRootWindow(display), corner.x, corner.y,
                                  static_cast<unsigned>(options.size.width), static_cast<unsigned>(options.size.height),
                                  0, CopyFromParent, InputOutput, nullptr,
                                  CWEventMask | CWBitGravity | CWBackPixmap, &attributes);
    self->set_properties(options);
    return self;
}

DesktopWindow::~DesktopWindow() {
    if (display_ == nullptr) return;
    if (shape_ != None) XFreeCursor(display_, shape_);
    if (window_ != None) XDestroyWindow(display_, window_);
    XCloseDisplay(display_);
}

Atom DesktopWindow::atom(const char* name) const { return XInternAtom(display_, name, False); }

void DesktopWindow::set_properties(const WindowOptions& options) {
    wm_protocols_ = atom("WM_PROTOCOLS");
    wm_delete_ = atom("WM_DELETE_WINDOW");
    net_ping_ = atom("_NET_WM_PING");
    std::array<Atom, 2> protocols{wm_delete_, net_ping_};
    XSetWMProtocols(display_, window_, protocols.data(), static_cast<int>(protocols.size()));

    XSizeHints sizes{};
    sizes.flags = PMinSize | PWinGravity | USSize;
    sizes.min_width = kMinWidth;
    sizes.min_height = kMinHeight;
    sizes.win_gravity = NorthWestGravity;  // a position means the frame's outer corner
    if (options.corner) {
        sizes.flags |= USPosition;
        sizes.x = options.corner->x;
        sizes.y = options.corner->y;
    }
    XWMHints hints{};
    hints.flags = InputHint | StateHint;
    hints.input = True;
    hints.initial_state = NormalState;
    std::string name = options.app_name;
    XClassHint names{name.data(), name.data()};
    XSetWMProperties(display_, window_, nullptr, nullptr, nullptr, 0, &sizes, &hints, &names);

    std::array<char, 256> host{};
    (void)gethostname(host.data(), host.size() - 1);
    set_text(display_, window_, XA_WM_CLIENT_MACHINE, XA_STRING, host.data());
    set_cardinals(display_, window_, atom("_NET_WM_PID"), {static_cast<unsigned long>(getpid())});
    set_text(display_, window_, atom("_UNDERSTUDY_SESSION"), XA_STRING, to_string(options.session));
    set_title(options.title);
}

void DesktopWindow::map() { XMapWindow(display_, window_); }

void DesktopWindow::set_title(const std::string& title) {
    const Atom utf8 = atom("UTF8_STRING");
    set_text(display_, window_, atom("_NET_WM_NAME"), utf8, title);
    set_text(display_, window_, atom("_NET_WM_ICON_NAME"), utf8, title);
    set_text(display_, window_, XA_WM_NAME, utf8, title);
}

Result<> DesktopWindow::set_icon(const std::vector<std::uint8_t>& png) {
    auto icon = decode_png(png);
    if (!icon) return tl::unexpected(icon.error());
    std::vector<unsigned long> cardinals{icon->width, icon->height};
    for (std::size_t i = 0; i + 3 < icon->bgra.size(); i += 4) {
        std::uint32_t pixel = 0;
        std::memcpy(&pixel, icon->bgra.data() + i, 4);
        cardinals.push_back(pixel);
    }
    set_cardinals(display_, window_, atom("_NET_WM_ICON"), cardinals);
    return {};
}

void DesktopWindow::place(const Place& place) {
    XMoveResizeWindow(display_, window_, place.x, place.y, static_cast<unsigned>(std::max(place.width, kMinWidth)),
                      static_cast<unsigned>(std::max(place.height, kMinHeight)));
}

Place DesktopWindow::current_place() const {
    XWindowAttributes attributes{};
    int x = 0;
    int y = 0;
    Window child = None;
    if (XGetWindowAttributes(display_, window_, &attributes) == 0) return Place{};
    XTranslateCoordinates(display_, window_, DefaultRootWindow(display_), 0, 0, &x, &y, &child);
    const auto frame = frame_extents(display_, window_, atom("_NET_FRAME_EXTENTS"));
    return Place{x - static_cast<int>(frame[0]), y - static_cast<int>(frame[2]), attributes.width, attributes.height};
}

// Pointer shapes.

void DesktopWindow::use_cursor(Cursor cursor) {
    XDefineCursor(display_, window_, cursor);
    if (shape_ != None) XFreeCursor(display_, shape_);
    shape_ = cursor;
}

void DesktopWindow::use_shape(const PointerShape& shape) {
    XcursorImage* const image = XcursorImageCreate(shape.size.width, shape.size.height);
    if (image == nullptr) return;
    image->xhot = static_cast<XcursorDim>(std::clamp(shape.hot_spot.x, 0, shape.size.width - 1));
    image->yhot = static_cast<XcursorDim>(std::clamp(shape.hot_spot.y, 0, shape.size.height - 1));
    std::memcpy(image->pixels, shape.argb.data(), shape.argb.size() * sizeof(std::uint32_t));
    use_cursor(XcursorImageLoadCursor(display_, image));
    XcursorImageDestroy(image);
}

void DesktopWindow::use_default_shape() { use_cursor(XCreateFontCursor(display_, XC_left_ptr)); }

void DesktopWindow::use_waiting_shape() { use_cursor(XCreateFontCursor(display_, XC_watch)); }

bool DesktopWindow::is_close_wish(const XClientMessageEvent& message) {
    if (message.message_type != wm_protocols_ || message.format != 32) return false;
    const Atom protocol = static_cast<Atom>(message.data.l[0]);
    if (protocol == net_ping_) {
        XEvent answer{};
        answer.xclient = message;
        answer.xclient.window = DefaultRootWindow(display_);
        XSendEvent(display_, DefaultRootWindow(display_), False, SubstructureNotifyMask | SubstructureRedirectMask,
                   &answer);
    }
    return protocol == wm_delete_;
}

}  // namespace understudy::window
