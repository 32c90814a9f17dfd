// See open_store.hpp.
#include "manager/adapters/store/open_store.hpp"

#include <chrono>
#include <filesystem>

#include "manager/adapters/store/sqlite_store.hpp"
#include "manager/adapters/store/store_copies.hpp"
#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

struct Attempt {
    std::unique_ptr<SqliteStore> store;
    StoreContent content;
};

std::int64_t wall_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string marker_of(const std::string& path) { return path + ".known"; }

Result<> leave_marker(const std::string& path) {
    if (std::filesystem::exists(marker_of(path))) return {};
    return write_file(marker_of(path), "This directory has a store. If it is missing, it was lost, and is rebuilt from what runs.\n"
                                       "Remove this file too to begin with nothing on purpose.\n");
}

Result<Attempt> read_store(const std::string& path) {
    auto store = SqliteStore::open(path);
    if (!store) return tl::unexpected(store.error());
    auto content = (*store)->load();
    if (!content) return tl::unexpected(content.error());
    return Attempt{std::move(*store), std::move(*content)};
}

/// A fresh store in the place of a lost one.
Result<OpenedStore> begin_anew(const std::string& path, const Settings& settings, const std::string& cause) {
    auto fresh = read_store(path);
    if (!fresh) return tl::unexpected(fresh.error());
    auto core = Core::load(settings, to_be_rebuilt({}, cause, wall_ms()));
    if (!core) return tl::unexpected(core.error());
    return OpenedStore{std::move(fresh->store), std::move(*core), fresh->content.head,
                       {cause + "; the records are built anew from the configuration and from what agents and hypervisors report"}};
}

}  // namespace

Result<OpenedStore> open_store(const std::string& path, const Settings& settings) {
    const bool was_there = std::filesystem::exists(marker_of(path));
    const bool missing = !std::filesystem::exists(path);
    auto attempt = read_store(path);
    if (attempt) {
        if (auto marked = leave_marker(path); !marked) return tl::unexpected(marked.error());
        if (was_there && attempt->content.head == StoreHead{}) {
            attempt->store.reset();
            return begin_anew(path, settings, "the store " + path + (missing ? " was missing" : " was empty"));
        }
        auto core = Core::load(settings, attempt->content.image);
        if (core) return OpenedStore{std::move(attempt->store), std::move(*core), attempt->content.head, {}};
        attempt = tl::unexpected(Error{ErrorCode::damaged, core.error().message});  // closes the file
    }
    const Error damage = attempt.error();
    if (damage.code != ErrorCode::damaged) return tl::unexpected(damage);
    const auto aside = SqliteStore::set_aside(path, "damaged", wall_ms());
    if (!aside) return tl::unexpected(aside.error());
    return begin_anew(path, settings, "the store was damaged and is set aside as " + *aside + " (" + damage.message + ")");
}

}  // namespace understudy::manager
