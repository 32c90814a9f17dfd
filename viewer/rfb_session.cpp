// libvncclient behind a narrow door. Runs in the link's thread.
#include "viewer/rfb_session.hpp"

#include <fcntl.h>
#include <rfb/rfbclient.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "viewer/coverage.hpp"
#include "viewer/cut_text.hpp"

namespace understudy::viewer {
namespace {

constexpr std::uint8_t kServerCutText = 3;
constexpr std::uint8_t kSetDesktopSize = 251;
constexpr unsigned kHandshakeTimeoutSeconds = 5;
constexpr std::size_t kMaxPartsOfOneChange = 64;
/// More than text of the permitted size can take up, compressed or not.
constexpr std::uint32_t kMaxCutTextBytes = 4U << 20U;

/// libvncclient tells reasons only to its log; the last line is kept as the reason of a failure.
thread_local std::string last_log_line;

void keep_log_line(const char* format, ...) {
    std::array<char, 256> text{};
    va_list arguments;
    va_start(arguments, format);
    (void)std::vsnprintf(text.data(), text.size(), format, arguments);
    va_end(arguments);
    last_log_line.assign(text.data());
    while (last_log_line.ends_with('\n')) last_log_line.pop_back();
}

int extended_encodings[] = {kExtendedClipboardEncoding, 0};
rfbClientProtocolExtension clipboard_extension = {extended_encodings, nullptr, nullptr, nullptr, nullptr, nullptr};

/// The library's hooks are process-wide; they are set once, before its first use.
void prepare_library() {
    static std::once_flag once;
    std::call_once(once, [] {
        rfbClientLog = keep_log_line;
        rfbClientErr = keep_log_line;
        rfbClientRegisterExtension(&clipboard_extension);
    });
}

void append_u16(std::vector<std::uint8_t>& out, int value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

tl::unexpected<Error> library_failure(const char* what) {
    const std::string reason = last_log_line.empty() ? "no reason given" : last_log_line;
    return failure(ErrorCode::unavailable, std::string(what) + ": " + reason);
}

}  // namespace

/// libvncclient's hooks, each handed on to the session it belongs to.
struct RfbSession::Callbacks {
    static RfbSession& of(rfbClient* client) {
        return *static_cast<RfbSession*>(rfbClientGetClientData(client, &extended_encodings));
    }
    static rfbBool malloc_frame_buffer(rfbClient* client) { return of(client).take_new_picture(*client) ? TRUE : FALSE; }
    static void got_update(rfbClient* client, int x, int y, int w, int h) { of(client).note_part(Rect{x, y, w, h}); }
    static void finished(rfbClient* client) { of(client).finish_update(); }
    static void got_cursor(rfbClient* client, int x, int y, int w, int h, int bytes_per_pixel) {
        of(client).note_cursor(Point{x, y}, Size{w, h}, bytes_per_pixel);
    }
    static void bell(rfbClient* client) { of(client).listener_.happened(Bell{}); }
    static char* no_password(rfbClient*) { return strdup(""); }

    static void install(rfbClient* client, RfbSession* session) {
        rfbClientSetClientData(client, &extended_encodings, session);
        client->MallocFrameBuffer = malloc_frame_buffer;
        client->GotFrameBufferUpdate = got_update;
        client->FinishedFrameBufferUpdate = finished;
        client->GotCursorShape = got_cursor;
        client->Bell = bell;
        // The default would ask a terminal for it.
        client->GetPassword = no_password;
    }
};

RfbSession::RfbSession(Listener& listener) : listener_(listener), coverage_(std::make_unique<Coverage>()) {}

RfbSession::~RfbSession() {
    if (client_ == nullptr) return;
    std::free(client_->rcSource);
    std::free(client_->rcMask);
    rfbClientCleanup(client_);
}

Result<std::unique_ptr<RfbSession>> RfbSession::begin(OwnedFd socket, const std::string& encodings,
                                                      Listener& listener) {
    prepare_library();
    last_log_line.clear();
    std::unique_ptr<RfbSession> session(new RfbSession(listener));
    session->encodings_ = encodings;
    rfbClient* const client = rfbGetClient(8, 3, 4);
    if (client == nullptr) return failure(ErrorCode::unavailable, "no memory for an RFB client");
    Callbacks::install(client, session.get());
    // The layout of Picture, which is also that of the desktop's X server.
    client->format.redShift = 16;
    client->format.greenShift = 8;
    client->format.blueShift = 0;
    client->canHandleNewFBSize = TRUE;
    client->appData.useRemoteCursor = TRUE;
    client->appData.shareDesktop = TRUE;
    client->appData.enableJPEG = FALSE;  // pixel for pixel
    client->appData.compressLevel = 1;
    client->appData.encodingsString = session->encodings_.c_str();
    // "Listening" is how the library is told that the connection is there already.
    client->listenSpecified = TRUE;
    const uint32_t schemes[] = {rfbNoAuth, 0};
    SetClientAuthSchemes(client, schemes, 1);
    const int socket_fd = socket.release();
    client->sock = socket_fd;
    // The library counts its time-out in waits of a non-blocking socket. That suits the small messages of
    // the handshake; a big picture on a slow link would use it up while data flows.
    client->readTimeout = kHandshakeTimeoutSeconds;
    if (rfbInitClient(client, nullptr, nullptr) == FALSE) return library_failure("RFB handshake");  // has freed it
    session->client_ = client;
    client->readTimeout = 0;
    const int flags = fcntl(socket_fd, F_GETFL);
    fcntl(socket_fd, F_SETFL, flags & ~O_NONBLOCK);
    return session;
}

bool RfbSession::has_buffered_data() const { return client_->buffered > 0; }

Result<> RfbSession::handle_message() {
    last_log_line.clear();
    // The type is looked at without being taken: only clipboard messages are kept from the library, which
    // would take a negative length for a hostile one and hang up.
    std::uint8_t type = 0;
    if (client_->buffered > 0) {
        type = static_cast<std::uint8_t>(*client_->bufoutptr);
    } else {
        const ssize_t got = recv(client_->sock, &type, 1, MSG_PEEK);
        if (got == 0) return failure(ErrorCode::unavailable, "the other side closed the connection");
        if (got < 0) return failure(ErrorCode::unavailable, std::string("reading: ") + std::strerror(errno));
    }
    if (type == kServerCutText) return handle_cut_text();
    if (HandleRFBServerMessage(client_) == FALSE) return library_failure("RFB connection");
    if (wished_size_.width > 0 && client_->screen.width != 0) return send_size();
    return {};
}

Result<> RfbSession::write_bytes(const void* data, std::size_t size) {
    last_log_line.clear();
    if (WriteToRFBServer(client_, static_cast<const char*>(data), static_cast<unsigned>(size)) == FALSE) {
        return library_failure("RFB connection");
    }
    return {};
}

// Pictures.

bool RfbSession::take_new_picture(_rfbClient& client) {
    auto picture = Picture::create(client.width, client.height);
    if (!picture) {
        last_log_line = picture.error().message;
        return false;
    }
    picture_ = std::move(*picture);
    client.frameBuffer = picture_->bytes();
    coverage_->reset(Size{picture_->width(), picture_->height()});
    parts_.clear();
    return true;
}

void RfbSession::note_part(const Rect& part) {
    if (picture_ == nullptr) return;
    coverage_->add(part);
    const Rect whole{0, 0, picture_->width(), picture_->height()};
    if (parts_.size() == kMaxPartsOfOneChange) {
        parts_.assign(1, whole);  // so scattered that all of it is cheaper
    }
    if (parts_.size() == 1 && parts_.front() == whole) return;
    const Rect inside = intersection(part, whole);
    if (!inside.empty()) parts_.push_back(inside);
}

void RfbSession::finish_update() {
    if (!coverage_->is_complete() || parts_.empty()) return;
    listener_.picture_changed(PictureChange{picture_, std::move(parts_)});
    parts_.clear();
}

void RfbSession::note_cursor(Point hot_spot, Size size, int bytes_per_pixel) {
    PointerShape shape{size, hot_spot, {}};
    const std::size_t pixels = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
    if (bytes_per_pixel == 4 && client_->rcSource != nullptr && client_->rcMask != nullptr) {
        shape.argb.resize(pixels);
        for (std::size_t i = 0; i < pixels; ++i) {
            std::uint32_t colour = 0;
            std::memcpy(&colour, client_->rcSource + i * 4, 4);
            shape.argb[i] = client_->rcMask[i] != 0 ? 0xFF000000U | colour : 0U;
        }
        listener_.happened(std::move(shape));
    }
    // The library forgets the old mask when it makes a new one.
    std::free(client_->rcMask);
    client_->rcMask = nullptr;
}

// Clipboard.

Result<> RfbSession::handle_cut_text() {
    std::array<unsigned char, 8> header{};
    if (ReadFromRFBServer(client_, reinterpret_cast<char*>(header.data()), header.size()) == FALSE) {
        return library_failure("RFB connection");
    }
    const std::uint32_t raw_length = static_cast<std::uint32_t>(header[4]) << 24U |
                                     static_cast<std::uint32_t>(header[5]) << 16U |
                                     static_cast<std::uint32_t>(header[6]) << 8U | header[7];
    const bool is_extended = (raw_length & 0x80000000U) != 0;
    const std::uint32_t length = is_extended ? 0U - raw_length : raw_length;
    if (length > kMaxCutTextBytes) {
        return failure(ErrorCode::unavailable, "the session sent clipboard text of " + std::to_string(length) + " bytes");
    }
    std::string body(length, '\0');
    if (length > 0 && ReadFromRFBServer(client_, body.data(), length) == FALSE) {
        return library_failure("RFB connection");
    }
    if (is_extended) return handle_clipboard_message(body);
    if (body.size() <= kMaxClipboardBytes) listener_.happened(RemoteText{utf8_from_latin1(body)});
    return {};
}

Result<> RfbSession::handle_clipboard_message(const std::string& body) {
    using namespace clipboard_flag;
    const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(body.data()), body.size());
    auto message = parse_clipboard_message(bytes);
    if (!message) return {};  // a clipboard that can't be read is no reason to lose the picture
    const std::uint32_t flags = message->flags;
    if ((flags & kCaps) != 0) {
        peer_clipboard_ = flags;
        const auto caps = clipboard_caps_message();
        return write_bytes(caps.data(), caps.size());
    }
    if ((flags & kText) == 0 && (flags & kPeek) == 0) return {};
    if ((flags & kNotify) != 0) {
        const auto request = clipboard_request_message();
        return write_bytes(request.data(), request.size());
    }
    if ((flags & kRequest) != 0) {
        const auto provide = clipboard_provide_message(offered_text_);
        return write_bytes(provide.data(), provide.size());
    }
    if ((flags & kPeek) != 0 && !offered_text_.empty()) {
        const auto notify = clipboard_notify_message();
        return write_bytes(notify.data(), notify.size());
    }
    if ((flags & kProvide) != 0) listener_.happened(RemoteText{std::move(message->text)});
    return {};
}

Result<> RfbSession::offer_clipboard(const std::string& utf8) {
    if (utf8.empty() || utf8.size() > kMaxClipboardBytes) return {};
    offered_text_ = utf8;
    const bool by_request = (peer_clipboard_ & clipboard_flag::kNotify) != 0;
    const auto message = by_request ? clipboard_notify_message() : plain_cut_text_message(utf8);
    return write_bytes(message.data(), message.size());
}

// Towards the session.

Result<> RfbSession::send_size() {
    // Written here because the library's own request carries uninitialised fields of the screen.
    const Size wish = wished_size_;
    wished_size_ = Size{};
    if (wish == Size{client_->width, client_->height}) return {};
    std::vector<std::uint8_t> message{kSetDesktopSize, 0};
    append_u16(message, wish.width);
    append_u16(message, wish.height);
    message.push_back(1);  // screens
    message.push_back(0);
    const auto* screen = reinterpret_cast<const std::uint8_t*>(&client_->screen);  // kept in the order of the wire
    message.insert(message.end(), screen, screen + 4);                             // id
    append_u16(message, 0);
    append_u16(message, 0);
    append_u16(message, wish.width);
    append_u16(message, wish.height);
    message.insert(message.end(), screen + 12, screen + 16);  // flags
    return write_bytes(message.data(), message.size());
}

Result<> RfbSession::send(const Outgoing& outgoing) {
    last_log_line.clear();
    if (const auto* key = std::get_if<KeyInput>(&outgoing)) {
        if (SendKeyEvent(client_, key->keysym, key->is_down ? TRUE : FALSE) == FALSE) return library_failure("sending a key");
        return {};
    }
    if (const auto* pointer = std::get_if<PointerInput>(&outgoing)) {
        if (SendPointerEvent(client_, pointer->at.x, pointer->at.y, pointer->buttons) == FALSE) {
            return library_failure("sending the pointer");
        }
        return {};
    }
    if (const auto* wish = std::get_if<SizeWish>(&outgoing)) {
        wished_size_ = wish->size;
        // Before the server has told its screens it would not take the wish.
        return client_->screen.width != 0 ? send_size() : Result<>{};
    }
    return offer_clipboard(std::get<ClipboardOffer>(outgoing).utf8);
}

Result<> RfbSession::probe() {
    last_log_line.clear();
    if (SendFramebufferUpdateRequest(client_, 0, 0, 1, 1, FALSE) == FALSE) return library_failure("RFB connection");
    return {};
}

}  // namespace understudy::viewer
