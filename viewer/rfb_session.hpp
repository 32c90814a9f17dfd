// One RFB connection behind an open door: libvncclient, and what libvncclient 0.9.14 doesn't do or does
// wrong (requests for a screen size, UTF-8 clipboard). Owned and called by the link's thread alone; its
// calls block on the socket, which another thread may shut down to end them.
#pragma once

#include <memory>
#include <string>

#include "viewer/door.hpp"
#include "viewer/link_types.hpp"

struct _rfbClient;

namespace understudy::viewer {

class RfbSession {
public:
    /// Called in the thread that calls handle_message().
    class Listener {
    public:
        virtual ~Listener() = default;
        virtual void picture_changed(PictureChange change) = 0;
        virtual void happened(LinkEvent event) = 0;
    };

    /// Agrees on RFB over a socket that has just passed a door, and asks for the first picture.
    /// `encodings`: libvncclient's names, in order of preference, separated by blanks.
    /// The listener must outlive the session. Each wait for the peer ends after 5 s.
    /// Errors: `unavailable` with libvncclient's words.
    [[nodiscard]] static Result<std::unique_ptr<RfbSession>> begin(OwnedFd socket, const std::string& encodings,
                                                                   Listener& listener);
    RfbSession(const RfbSession&) = delete;
    RfbSession& operator=(const RfbSession&) = delete;
    ~RfbSession();

    /// True when a message can be handled without waiting for the socket to become readable.
    [[nodiscard]] bool has_buffered_data() const;
    /// Reads and handles one message. Errors: `unavailable`; the session is of no use any more.
    [[nodiscard]] Result<> handle_message();
    /// Sends one thing to the session. Errors as above.
    [[nodiscard]] Result<> send(const Outgoing& outgoing);
    /// Asks for something that every server answers, to hear whether it is still there. Errors as above.
    [[nodiscard]] Result<> probe();

private:
    struct Callbacks;
    explicit RfbSession(Listener& listener);
    bool take_new_picture(_rfbClient& client);
    void note_part(const Rect& part);
    void finish_update();
    void note_cursor(Point hot_spot, Size size, int bytes_per_pixel);
    [[nodiscard]] Result<> handle_cut_text();
    [[nodiscard]] Result<> handle_clipboard_message(const std::string& body);
    [[nodiscard]] Result<> send_size();
    [[nodiscard]] Result<> offer_clipboard(const std::string& utf8);
    [[nodiscard]] Result<> write_bytes(const void* data, std::size_t size);

    Listener& listener_;
    _rfbClient* client_ = nullptr;  ///< null until agreed; freed by rfbClientCleanup, which closes the socket
    std::string encodings_;
    std::shared_ptr<Picture> picture_;  ///< what libvncclient decodes into
    std::vector<Rect> parts_;
    std::unique_ptr<class Coverage> coverage_;
    Size wished_size_;             ///< not yet asked for, because the server has not told its screens
    std::uint32_t peer_clipboard_ = 0;  ///< what the server can do with extended messages; 0: nothing
    std::string offered_text_;
};

}  // namespace understudy::viewer
