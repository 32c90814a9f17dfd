// See files.hpp.
#include "manager/adapters/system/files.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace understudy::manager {
namespace {

constexpr std::size_t kMostBytes = 1024 * 1024;

bool write_all(int file, const std::string& content) {
    std::size_t done = 0;
    while (done < content.size()) {
        const ssize_t written = ::write(file, content.data() + done, content.size() - done);
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) done += static_cast<std::size_t>(written);
    }
    return ::fsync(file) == 0;
}

}  // namespace

tl::unexpected<Error> system_failure(const std::string& what) {
    return failure(ErrorCode::failed, "cannot " + what + ": " + std::strerror(errno));
}

Result<> write_file(const std::string& path, const std::string& content, unsigned mode) {
    const std::string draft = path + ".new";
    const UniqueFd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!file) return system_failure("make " + draft);
    if (::fchmod(file.get(), mode) != 0 || !write_all(file.get(), content) || ::rename(draft.c_str(), path.c_str()) != 0) {
        auto problem = system_failure("write " + path);
        ::unlink(draft.c_str());
        return problem;
    }
    const UniqueFd directory(::open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory) ::fsync(directory.get());
    return {};
}

Result<std::string> read_file(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) return failure(ErrorCode::not_found, "there is no " + path);
    if (!file) return system_failure("open " + path);
    std::string content;
    char buffer[8192];
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
        if (got == 0) return content;
        if (got < 0) return system_failure("read " + path);
        content.append(buffer, static_cast<std::size_t>(got));
        if (content.size() > kMostBytes) return failure(ErrorCode::failed, path + " is larger than 1 MiB");
    }
}

Result<> make_directory(const std::string& path) {
    std::error_code problem;
    std::filesystem::create_directories(path, problem);
    if (problem) return failure(ErrorCode::failed, "cannot make the directory " + path + ": " + problem.message());
    return {};
}

Result<> make_passable_directory(const std::string& path) {
    if (auto made = make_directory(path); !made) return made;
    if (::chmod(path.c_str(), 0711) != 0) return system_failure("open the directory " + path + " to other accounts");
    return {};
}

Result<> give_file(const std::string& path, std::uint32_t user, std::uint32_t group, unsigned mode) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file || ::fchown(file.get(), user, group) != 0 || ::fchmod(file.get(), mode) != 0) return system_failure("give away " + path);
    return {};
}

Result<UniqueFd> lock_file(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) return system_failure("make " + path);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        return failure(ErrorCode::unavailable, path + " is locked: another manager runs with this state directory; stop it first");
    }
    return file;
}

}  // namespace understudy::manager
