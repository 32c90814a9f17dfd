// Shared memory for pixels. Created by the link's thread, destroyed by whoever lets go last.
#include "viewer/picture.hpp"

#include <sys/ipc.h>
#include <sys/shm.h>

#include <cerrno>
#include <cstring>

#include "viewer/source.hpp"

namespace understudy::viewer {

Result<std::shared_ptr<Picture>> Picture::create(int width, int height) {
    if (width < 1 || height < 1 || width > kMaxSidePixels || height > kMaxSidePixels) {
        return failure(ErrorCode::limit, "the session says its screen has " + std::to_string(width) + "x" +
                                             std::to_string(height) + " pixels");
    }
    const std::size_t size = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 4;
    const int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    if (id < 0) {
        return failure(ErrorCode::unavailable, std::string("no shared memory for the picture: ") + std::strerror(errno));
    }
    void* const address = shmat(id, nullptr, 0);
    const int attach_error = errno;
    shmctl(id, IPC_RMID, nullptr);
    if (address == reinterpret_cast<void*>(-1)) {
        return failure(ErrorCode::unavailable,
                       std::string("shared memory can't be attached: ") + std::strerror(attach_error));
    }
    return std::shared_ptr<Picture>(new Picture(width, height, id, static_cast<std::uint8_t*>(address)));
}

Picture::Picture(int width, int height, int id, std::uint8_t* bytes)
    : width_(width), height_(height), id_(id), bytes_(bytes) {}

Picture::~Picture() { shmdt(bytes_); }

}  // namespace understudy::viewer
