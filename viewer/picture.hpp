// The pixels of one session, in memory that the desktop's X server can read directly (System V shared
// memory, as MIT-SHM wants it). The link's thread writes the pixels, the window's thread has them drawn; a
// reader may see half of a change, and is told to look again when the change is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "protocol/result.hpp"

namespace understudy::viewer {

class Picture {
public:
    /// Pixels are 32 bits (blue, green, red, unused), rows without gaps, all black at first.
    /// shared_ptr: the link may go on to another picture, or end, while the window still draws from this one.
    /// Errors: `limit` for a size no session has, `unavailable` when there is no shared memory left.
    [[nodiscard]] static Result<std::shared_ptr<Picture>> create(int width, int height);

    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;
    ~Picture();

    [[nodiscard]] int width() const { return width_; }
    [[nodiscard]] int height() const { return height_; }
    [[nodiscard]] std::uint8_t* bytes() const { return bytes_; }
    [[nodiscard]] std::size_t bytes_per_row() const { return static_cast<std::size_t>(width_) * 4; }
    /// Name of the memory for XShmAttach. It is already marked for removal: it vanishes with its last user,
    /// however that ends.
    [[nodiscard]] int shared_memory_id() const { return id_; }

private:
    Picture(int width, int height, int id, std::uint8_t* bytes);

    int width_;
    int height_;
    int id_;
    std::uint8_t* bytes_;
};

}  // namespace understudy::viewer
