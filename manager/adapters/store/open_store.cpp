// See open_store.hpp.
#include "manager/adapters/store/open_store.hpp"

#include <chrono>

#include "manager/adapters/store/sqlite_store.hpp"
#include "manager/core/records.hpp"
#include "protocol/pack.hpp"

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

Result<Attempt> read_store(const std::string& path) {
    auto store = SqliteStore::open(path);
    if (!store) return tl::unexpected(store.error());
    auto content = (*store)->load();
    if (!content) return tl::unexpected(content.error());
    return Attempt{std::move(*store), std::move(*content)};
}

/// Numbers above all that can have been given out: nobody gives out a thousand a second for years.
Image beginning_after_damage() {
    const auto seconds = static_cast<std::uint64_t>(wall_ms() / 1000);
    Bytes record;
    pack::append(record, ManagerRecord{seconds, seconds});
    return {{"manager", std::move(record)}};
}

}  // namespace

Result<OpenedStore> open_store(const std::string& path, const Settings& settings) {
    auto attempt = read_store(path);
    Error damage;
    if (attempt) {
        auto core = Core::load(settings, attempt->content.image);
        if (core) return OpenedStore{std::move(attempt->store), std::move(*core), attempt->content.head, {}};
        damage = core.error();
        attempt = failure(ErrorCode::damaged, damage.message);  // closes the file
    }
    damage = attempt.error();
    if (damage.code != ErrorCode::damaged) return tl::unexpected(damage);

    const auto aside = SqliteStore::set_aside(path, wall_ms());
    if (!aside) return tl::unexpected(aside.error());
    auto fresh = read_store(path);
    if (!fresh) return tl::unexpected(fresh.error());
    auto core = Core::load(settings, beginning_after_damage());
    if (!core) return tl::unexpected(core.error());
    return OpenedStore{std::move(fresh->store), std::move(*core), fresh->content.head,
                       {"the store was damaged and is set aside as " + *aside + " (" + damage.message +
                        "); everything is built anew from the configuration and from what agents and hypervisors report"}};
}

}  // namespace understudy::manager
