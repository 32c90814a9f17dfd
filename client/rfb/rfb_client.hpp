// The client's side of RFB 3.8 (RFC 6143) as a machine without a socket: bytes of the server go in; the
// picture, what changed and bytes for the server come out. Stands anything a server may send.
// Belongs to the thread of its connection.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/rfb/picture.hpp"
#include "client/rfb/zrle.hpp"
#include "protocol/codec.hpp"
#include "protocol/result.hpp"

namespace understudy::client {

class RfbClient {
public:
    /// A framebuffer update that was drawn completely.
    struct Update {
        Area bounds;          ///< of all rectangles; empty if only the size or the pointer changed
        bool first_complete;  ///< with it every pixel has been drawn once
    };

    static constexpr std::size_t kMostPixels = 64u << 20;

    /// A picture with more pixels than that is refused, before memory is taken for it.
    explicit RfbClient(std::size_t most_pixels = kMostPixels);

    /// Takes bytes of the server. Errors: `damaged`, `version`, `refused`, `limit`; the connection is of no
    /// use afterwards.
    [[nodiscard]] Result<> feed(BytesView bytes);

    /// Bytes to send to the server now.
    [[nodiscard]] Bytes take_output();

    /// Updates since the last call.
    [[nodiscard]] std::vector<Update> take_updates();

    /// What the server put on its clipboard since the last call; empty: nothing.
    [[nodiscard]] std::string take_clipboard();

    [[nodiscard]] const Picture& picture() const { return picture_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    /// The handshake is done; input may be sent.
    [[nodiscard]] bool ready() const { return stage_ >= Stage::message; }
    [[nodiscard]] bool complete() const { return complete_; }

    /// Preconditions of all three: ready().
    void key(std::uint32_t keysym, bool down);
    void pointer(int x, int y, std::uint8_t buttons);
    void clipboard(const std::string& latin1);

private:
    enum class Stage { version, security, security_result, security_reason, init, init_name, message, rectangle };

    [[nodiscard]] bool has(std::size_t count) const { return input_.size() - at_ >= count; }
    [[nodiscard]] BytesView look(std::size_t count) const { return BytesView(input_).subspan(at_, count); }
    [[nodiscard]] std::uint64_t number(std::size_t offset, std::size_t octets) const;
    void put(std::uint64_t value, std::size_t octets);

    /// One step each; true: something was taken, go on.
    [[nodiscard]] Result<bool> step();
    [[nodiscard]] Result<bool> take_version();
    [[nodiscard]] Result<bool> take_security();
    [[nodiscard]] Result<bool> take_security_result();
    [[nodiscard]] Result<bool> take_reason();
    [[nodiscard]] Result<bool> take_init();
    [[nodiscard]] Result<bool> take_message();
    [[nodiscard]] Result<bool> take_cut_text();
    [[nodiscard]] Result<bool> take_rectangle();
    [[nodiscard]] Result<bool> draw_raw(const Area& area);
    [[nodiscard]] Result<bool> draw_copy(const Area& area);
    [[nodiscard]] Result<bool> draw_zrle(const Area& area);
    [[nodiscard]] Result<bool> take_layout(const Area& area);
    [[nodiscard]] Result<bool> skip_pointer(const Area& area);
    [[nodiscard]] Result<> resize(int width, int height);
    void rectangle_done(const Area& drawn);
    void update_done();
    void request(bool incremental);

    std::size_t most_pixels_;
    Stage stage_ = Stage::version;
    Bytes input_;
    std::size_t at_ = 0;
    Bytes output_;
    Picture picture_;
    std::string name_;
    std::string clipboard_;
    std::vector<bool> drawn_;      ///< per pixel, until the picture is complete
    std::size_t undrawn_ = 0;
    bool complete_ = false;
    unsigned rectangles_ = 0;
    Area bounds_;
    bool resized_ = false;
    std::vector<Update> updates_;
    ZrleDecoder zrle_;
};

}  // namespace understudy::client
