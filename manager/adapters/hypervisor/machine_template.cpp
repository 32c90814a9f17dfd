// See machine_template.hpp.
#include "manager/adapters/hypervisor/machine_template.hpp"

#include <chrono>
#include <filesystem>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kWholeFile = "template.toml";

}  // namespace

std::string MachineTemplates::path(const std::string& key, const std::string& file) const {
    return directory_ + "/" + key + (file.empty() ? "" : "/" + file);
}

std::mutex& MachineTemplates::lock_of(const std::string& key) {
    const std::lock_guard guard(mutex_);
    auto& entry = locks_[key];
    if (!entry) entry = std::make_unique<std::mutex>();
    return *entry;
}

MachineTemplates::Use MachineTemplates::use(const std::string& key) {
    Use use{std::unique_lock(lock_of(key)), false};
    use.ready = ::access(path(key, kWholeFile).c_str(), R_OK) == 0;
    return use;
}

Result<> MachineTemplates::begin(const std::string& key) {
    {
        const std::lock_guard guard(mutex_);
        making_.insert(key);
    }
    std::error_code ignored;
    std::filesystem::remove_all(path(key, {}), ignored);
    return make_passable_directory(path(key, {}));
}

Result<> MachineTemplates::finish(const std::string& key) {
    const std::lock_guard guard(mutex_);
    making_.erase(key);
    return write_file(path(key, kWholeFile), "# The frozen machine in this folder is whole.\n");
}

void MachineTemplates::give_up(const std::string& key) {
    std::error_code ignored;
    std::filesystem::remove_all(path(key, {}), ignored);
    const std::lock_guard guard(mutex_);
    making_.erase(key);
}

bool MachineTemplates::being_made(const std::string& key) const {
    const std::lock_guard guard(mutex_);
    return making_.contains(key);
}

void MachineTemplates::keep_only(const std::set<std::string>& keys) {
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, problem)) {
        const std::string key = entry.path().filename();
        if (keys.contains(key)) continue;
        // Somebody may be about to make a copy of it.
        if (const std::unique_lock unused(lock_of(key), std::try_to_lock); unused) std::filesystem::remove_all(entry.path(), problem);
    }
}

bool wait_for_text(const std::string& file, const std::string& text, int patience_ms) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
    const UniqueFd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const std::string folder = std::filesystem::path(file).parent_path();
    ::inotify_add_watch(changes.get(), folder.c_str(), IN_MODIFY | IN_CREATE);
    for (;;) {
        const auto content = read_file(file);
        if (content && content->find(text) != std::string::npos) return true;
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now()).count();
        if (left <= 0) return false;
        pollfd waiting{changes.get(), POLLIN, 0};
        ::poll(&waiting, 1, static_cast<int>(left));
        char events[4096];
        while (::read(changes.get(), events, sizeof events) > 0) {
        }
    }
}

}  // namespace understudy::manager
