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
    /// Nothing is made, changed or brought up; another program may be writing meanwhile.
    bool read_only = false;
};

class SqliteStore : public RecordStore {
  public:
    /// Opens `path`, makes it if it is not there, and verifies all of it. One of an older schema is brought to the
    /// present one, after a copy was put beside it under `path`.schema-N.
    /// Errors: `damaged` (not a store, or it does not verify: see set_aside()), `version` (written by a
    /// newer program), `unavailable` (cannot be opened: rights, a directory that is missing, a full disk).
    [[nodiscard]] static Result<std::unique_ptr<SqliteStore>> open(const std::string& path,
                                                                    const SqliteOptions& options = {});

    /// Moves a store (with its log files) out of the way, to `path`.`why`-`wall_ms`, and returns that name.
    /// Nothing is deleted; what is not there is no error. Precondition: nobody has it open.
    [[nodiscard]] static Result<std::string> set_aside(const std::string& path, const std::string& why, std::int64_t wall_ms);

    /// A copy of everything committed so far, of one instant, in one synced file; commits go on meanwhile.
    /// Errors: `failed`; no half copy is left.
    [[nodiscard]] Result<> copy_to(const std::string& target);

    ~SqliteStore() override;
    [[nodiscard]] Result<StoreContent> load() override;
    [[nodiscard]] CommitAnswer commit(const Batch& batch) override;
    [[nodiscard]] Result<StoreHead> head() override;
    /// Brings a long write-ahead log into the file. What can't be brought now is brought next time.
    void tidy() override;

  private:
    struct Database;
    explicit SqliteStore(std::unique_ptr<Database> database);
    std::unique_ptr<Database> database_;
};

}  // namespace understudy::manager
