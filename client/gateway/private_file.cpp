// See private_file.hpp.
#include "client/gateway/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "streams/owned_fd.hpp"

namespace understudy::gateway {
namespace {

constexpr std::size_t kLargest = 16 * 1024 * 1024;

tl::unexpected<Error> cannot(const std::string& what, const std::string& path) {
    return failure(ErrorCode::failed, "cannot " + what + " " + path + ": " + std::strerror(errno));
}

Result<> sync_folder_of(const std::string& path) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    const streams::OwnedFd opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.get() < 0 || ::fsync(opened.get()) != 0) return cannot("sync the folder of", path);
    return {};
}

}  // namespace

Result<> make_private_folder(const std::string& path) {
    std::error_code error;
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return cannot("make", path);
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0) return cannot("look at", path);
    if (!S_ISDIR(found.st_mode)) return failure(ErrorCode::failed, path + " is not a folder");
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return failure(ErrorCode::refused, "others may write in " + path + ", where keys and accounts are kept: chmod 0700 " + path);
    }
    return {};
}

Result<std::optional<std::string>> read_private_file(const std::string& path, Readers readers) {
    const streams::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0 && errno == ENOENT) return std::optional<std::string>{};
    if (file.get() < 0) return cannot("read", path);
    struct stat found{};
    if (::fstat(file.get(), &found) != 0) return cannot("look at", path);
    const mode_t others = readers == Readers::owner ? S_IRWXG | S_IRWXO : S_IWGRP | S_IRWXO;
    if ((found.st_mode & others) != 0) {
        return failure(ErrorCode::refused, "others may read " + path + ", so that it is no secret: make what is in it anew, and: chmod 0600 " + path);
    }
    if (found.st_size > static_cast<off_t>(kLargest)) return failure(ErrorCode::limit, path + " is larger than any file of ours");
    std::string text;
    char buffer[16384];
    ssize_t length = 0;
    while ((length = ::read(file.get(), buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(length));
    if (length < 0) return cannot("read", path);
    return std::optional(std::move(text));
}

Result<> give_to_owner_of_folder(int descriptor, const std::string& path) {
    if (::geteuid() != 0) return {};
    const std::string folder = std::filesystem::path(path).parent_path().string();
    struct stat owner{};
    if (::stat(folder.empty() ? "." : folder.c_str(), &owner) != 0) return cannot("look at the folder of", path);
    if (owner.st_uid != 0 && ::fchown(descriptor, owner.st_uid, owner.st_gid) != 0) return cannot("give to the owner of its folder", path);
    return {};
}

Result<> replace_private_file(const std::string& path, const std::string& text, Readable readable) {
    const std::string fresh = path + ".new";
    ::unlink(fresh.c_str());
    const mode_t mode = S_IRUSR | S_IWUSR | (readable == Readable::by_all ? S_IRGRP | S_IROTH : 0U);
    {
        const streams::OwnedFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
        if (file.get() < 0 || ::fchmod(file.get(), mode) != 0) return cannot("make", fresh);
        if (auto given = give_to_owner_of_folder(file.get(), fresh); !given) return given;
        std::size_t written = 0;
        while (written < text.size()) {
            const ssize_t some = ::write(file.get(), text.data() + written, text.size() - written);
            if (some < 0 && errno == EINTR) continue;
            if (some < 0) {
                const auto problem = cannot("write", fresh);
                ::unlink(fresh.c_str());
                return problem;
            }
            written += static_cast<std::size_t>(some);
        }
        if (::fsync(file.get()) != 0) return cannot("sync", fresh);
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) return cannot("put in place", path);
    return sync_folder_of(path);
}

}  // namespace understudy::gateway
