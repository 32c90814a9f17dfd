// See cgroup.hpp.
#include "nodes/agent/base/cgroup.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace understudy::node {
namespace {

namespace fs = std::filesystem;

std::string read_text(int folder, const char* file) {
    const Descriptor from(::openat(folder, file, O_RDONLY | O_CLOEXEC));
    if (!from) return {};
    char text[512];
    const auto length = ::read(from.get(), text, sizeof text);
    return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string();
}

void write_text(int folder, const char* file, const char* text) {
    const Descriptor to(::openat(folder, file, O_WRONLY | O_CLOEXEC));
    if (to) [[maybe_unused]] const auto written = ::write(to.get(), text, std::strlen(text));
}

// A killed group can be removed when its last process has been taken from the table.
bool remove_when_empty(const std::string& path, std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (::rmdir(path.c_str()) != 0 && errno != ENOENT) {
        if (std::chrono::steady_clock::now() >= until) return false;
        ::poll(nullptr, 0, 2);
    }
    return true;
}

}  // namespace

Result<Cgroup> Cgroup::make(const std::string& root, const std::string& name) {
    Cgroup group;
    const std::string parent = root + "/understudy";
    group.path_ = parent + "/" + name;
    ::mkdir(parent.c_str(), 0755);
    if (::mkdir(group.path_.c_str(), 0755) != 0 && errno != EEXIST) {
        return failure(ErrorCode::failed, "can't make the control group " + group.path_ + ": " + std::strerror(errno) +
                                              "; is a cgroup v2 tree mounted at " + root + "?");
    }
    group.folder_.reset(::open(group.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!group.folder_) return failure(ErrorCode::failed, "can't open the control group " + group.path_ + ": " + std::strerror(errno));
    return group;
}

Cgroup& Cgroup::operator=(Cgroup&& other) noexcept {
    if (this != &other) {
        end();
        path_ = std::move(other.path_);
        folder_ = std::move(other.folder_);
    }
    return *this;
}

void Cgroup::write(const char* file, const char* text) const { write_text(folder_.get(), file, text); }

void Cgroup::kill() {
    if (folder_) write("cgroup.kill", "1");
}

bool Cgroup::empty() const { return read_text(folder_.get(), "cgroup.procs").empty(); }

void Cgroup::end() {
    if (!folder_) return;
    kill();
    folder_.reset();
    // Usually instant; what takes longer is removed by the next agent's clean-up.
    remove_when_empty(path_, std::chrono::milliseconds(200));
}

void clear_leftover_groups(const std::string& root) {
    std::error_code problem;
    for (const auto& entry : fs::directory_iterator(root + "/understudy", problem)) {
        if (!entry.is_directory()) continue;
        const Descriptor folder(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        write_text(folder.get(), "cgroup.kill", "1");
        remove_when_empty(entry.path().string(), std::chrono::seconds(5));
    }
}

}  // namespace understudy::node
