// The default store: one SQLite file, write-ahead log, every commit synced. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "manager/adapters/store/record_store.hpp"

namespace understudy::manager {

struct SqliteOptions {
    /// Most pages (of 4 KiB) the file may grow to; 0: as many as the disk holds.
    std::uint32_t most_pages = 0;
};

class SqliteStore : public RecordStore {
  public:
    /// Opens `path`, makes it if it is not there, and verifies all of it.
    /// Errors: `damaged` (not a store, or it does not verify: see set_aside()), `version` (written by a
    /// newer program), `unavailable` (cannot be opened: rights, a directory that is missing, a full disk).
    [[nodiscard]] static Result<std::unique_ptr<SqliteStore>> open(const std::string& path,
                                                                    const SqliteOptions& options = {});

    /// Moves a damaged store (with its log files) out of the way, to `path`.damaged-`wall_ms`, and returns
    /// that name. Nothing is deleted. Precondition: nobody has it open.
    [[nodiscard]] static Result<std::string> set_aside(const std::string& path, std::int64_t wall_ms);

    ~SqliteStore() override;
    [[nodiscard]] Result<StoreContent> load() override;
    [[nodiscard]] CommitAnswer commit(const Batch& batch) override;
    [[nodiscard]] Result<StoreHead> head() override;

  private:
    struct Database;
    explicit SqliteStore(std::unique_ptr<Database> database);
    std::unique_ptr<Database> database_;
};

}  // namespace understudy::manager
