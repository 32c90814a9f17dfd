// See store_copies.hpp.
#include "manager/adapters/store/store_copies.hpp"

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "manager/adapters/store/sqlite_store.hpp"
#include "manager/core/records.hpp"
#include "protocol/pack.hpp"

namespace understudy::manager {
namespace {

constexpr const char* kManagerKey = "manager";
constexpr std::uint64_t kRestorer = 1;  ///< writer of a restored store's newest version

/// Verified as a whole: structure, checksums, and that the records are ours.
Result<StoreContent> read_copy(const std::string& path, const SqliteOptions& options) {
    auto store = SqliteStore::open(path, options);
    if (!store) return tl::unexpected(store.error());
    auto content = (*store)->load();
    if (!content) return content;
    if (const auto core = Core::load({}, content->image); !core) {
        return failure(ErrorCode::damaged, path + ": " + core.error().message);
    }
    return content;
}

void remove_store(const std::string& path) {
    std::error_code ignored;
    for (const char* part : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(path + part, ignored);
}

std::string utc(std::int64_t wall_ms) {
    const std::time_t seconds = wall_ms / 1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
    return text;
}

/// When the copy's newest write was, as far as its file tells.
std::string age_of(const std::string& path) {
    std::error_code problem;
    const auto written = std::filesystem::last_write_time(path, problem);
    if (problem) return "an unknown time";
    const auto wall = std::chrono::file_clock::to_sys(written).time_since_epoch();
    return utc(std::chrono::duration_cast<std::chrono::milliseconds>(wall).count());
}

/// The copy at `path` gets the order to rebuild as its newest version.
Result<> order_rebuild(const std::string& path, const std::string& cause, std::int64_t wall_ms) {
    auto store = SqliteStore::open(path);
    if (!store) return tl::unexpected(store.error());
    auto content = (*store)->load();
    if (!content) return tl::unexpected(content.error());
    const Image image = to_be_rebuilt(content->image, cause, wall_ms);
    const auto order = std::find_if(image.begin(), image.end(), [](const auto& row) { return row.first == kManagerKey; });
    const CommitAnswer answer = (*store)->commit({content->head, {content->head.version + 1, kRestorer}, {{order->first, order->second}}});
    if (answer.outcome != CommitOutcome::committed) return failure(ErrorCode::failed, "cannot write to " + path + ": " + answer.reason);
    return {};
}

}  // namespace

Image to_be_rebuilt(Image image, const std::string& cause, std::int64_t wall_ms) {
    ManagerRecord record;
    for (const auto& [key, value] : image) {
        if (key != kManagerKey) continue;
        if (auto known = pack::parse<ManagerRecord>(value)) record = *known;
    }
    std::erase_if(image, [](const auto& row) { return row.first == kManagerKey; });
    const auto seconds = static_cast<std::uint64_t>(wall_ms / 1000);
    record.incarnation = std::max(record.incarnation + 1, seconds);
    record.next_id = std::max(record.next_id, seconds);
    record.rebuilding = true;
    record.rebuild_cause = cause;
    Bytes bytes;
    pack::append(bytes, record);
    image.emplace_back(kManagerKey, std::move(bytes));
    std::sort(image.begin(), image.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return image;
}

Result<CopyReport> back_up_store(const std::string& store, const std::string& target) {
    if (std::filesystem::exists(target)) return failure(ErrorCode::invalid, target + " exists already; name a new file");
    if (!std::filesystem::exists(store)) return failure(ErrorCode::not_found, "there is no store at " + store);
    SqliteOptions reading;
    reading.read_only = true;
    auto source = SqliteStore::open(store, reading);
    if (!source) return tl::unexpected(source.error());
    const std::string half = target + ".part";
    remove_store(half);
    if (auto copied = (*source)->copy_to(half); !copied) return tl::unexpected(copied.error());
    const auto content = read_copy(half, reading);
    std::error_code problem;
    if (content) std::filesystem::rename(half, target, problem);
    if (!content || problem) {
        remove_store(half);
        if (!content) return tl::unexpected(content.error());
        return failure(ErrorCode::failed, "cannot name the copy " + target + ": " + problem.message());
    }
    return CopyReport{content->image.size(), content->head.version, {}};
}

Result<CopyReport> restore_store(const std::string& source, const std::string& store, std::int64_t wall_ms) {
    if (!std::filesystem::exists(source)) return failure(ErrorCode::not_found, "there is no backup at " + source);
    const std::string half = store + ".restoring";
    remove_store(half);
    std::error_code problem;
    std::filesystem::copy_file(source, half, problem);
    if (problem) return failure(ErrorCode::failed, "cannot copy " + source + " to " + half + ": " + problem.message());
    const std::string cause = "the records were restored from the backup " + source + " of " + age_of(source);
    auto content = read_copy(half, {});
    Result<> ready = content ? order_rebuild(half, cause, wall_ms) : Result<>(tl::unexpected(content.error()));
    if (ready) {
        // Nothing may be left in a log that a rename would part from its file.
        for (const char* part : {"-wal", "-shm"}) {
            if (std::filesystem::exists(half + part)) ready = failure(ErrorCode::failed, half + part + " was left behind");
        }
    }
    if (!ready) {
        remove_store(half);
        return tl::unexpected(ready.error());
    }
    CopyReport report{content->image.size(), content->head.version, {}};
    if (std::filesystem::exists(store)) {
        auto aside = SqliteStore::set_aside(store, "replaced", wall_ms);
        if (!aside) return tl::unexpected(aside.error());
        report.set_aside = *aside;
    }
    std::filesystem::rename(half, store, problem);
    if (problem) return failure(ErrorCode::failed, "cannot put " + half + " in the place of " + store + ": " + problem.message());
    return report;
}

}  // namespace understudy::manager
