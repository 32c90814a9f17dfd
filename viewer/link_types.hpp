// What travels between the window's thread and the link's thread. Plain values; a value belongs to the
// thread that holds it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "viewer/picture.hpp"
#include "viewer/view.hpp"

namespace understudy::viewer {

// Towards the session.

struct KeyInput {
    std::uint32_t keysym = 0;
    bool is_down = false;
};
struct PointerInput {
    Point at;                   ///< picture pixels
    std::uint8_t buttons = 0;  ///< bit n: button n+1 is pressed
};
/// The window's size, wanted as the size of the session's screen.
struct SizeWish {
    Size size;
};
/// The desktop has new clipboard text.
struct ClipboardOffer {
    std::string utf8;
};
using Outgoing = std::variant<KeyInput, PointerInput, SizeWish, ClipboardOffer>;

// From the session.

struct LinkConnected {
    std::string renewal;  ///< what lets in once more, with the same source
};
struct LinkUnreachable {
    std::string reason;
};
struct LinkRefused {
    std::string reason;
    bool is_void = false;  ///< the door will never take this ticket: another is needed
};
struct LinkLost {
    std::string reason;
};
/// The pointer's shape over the session; `argb` has size.width * size.height pixels, premultiplied.
struct PointerShape {
    Size size;
    Point hot_spot;
    std::vector<std::uint32_t> argb;
};
/// The session has new clipboard text.
struct RemoteText {
    std::string utf8;
};
struct Bell {};
using LinkEvent = std::variant<LinkConnected, LinkUnreachable, LinkRefused, LinkLost, PointerShape, RemoteText, Bell>;

/// Changed parts of a complete picture. `picture` differs from the one before when a connection's first
/// picture is complete or when the session's screen got another size.
struct PictureChange {
    std::shared_ptr<Picture> picture;
    std::vector<Rect> parts;
};

}  // namespace understudy::viewer
