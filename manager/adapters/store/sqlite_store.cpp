// See sqlite_store.hpp. Exceptions of SQLiteCpp end here.
//
// Tables: record(key, value) holds the records, head(version, writer) one row. Both change in the same
// transaction. The schema's number is in user_version, "USTY" in application_id.
#include "manager/adapters/store/sqlite_store.hpp"

#include <cstdio>
#include <filesystem>

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

namespace understudy::manager {
namespace {

constexpr int kSchema = 1;
constexpr int kApplication = 0x55535459;
constexpr int kBusyMs = 2000;

bool says_damage(int code) { return code == SQLITE_CORRUPT || code == SQLITE_NOTADB; }

std::string words_of(const SQLite::Exception& error) {
    return std::string(error.what()) + " (SQLite code " + std::to_string(error.getExtendedErrorCode()) + ")";
}

std::int64_t to_column(std::uint64_t number) { return static_cast<std::int64_t>(number); }

std::uint64_t from_column(const SQLite::Column& column) { return static_cast<std::uint64_t>(column.getInt64()); }

}  // namespace

struct SqliteStore::Database {
    explicit Database(const std::string& path)
        : connection(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyMs) {}

    /// The one row; zero when nothing was ever committed.
    StoreHead head() {
        SQLite::Statement query(connection, "SELECT version, writer FROM head");
        if (!query.executeStep()) return {};
        return {from_column(query.getColumn(0)), from_column(query.getColumn(1))};
    }

    void apply(const Batch& batch) {
        SQLite::Statement put(connection, "INSERT OR REPLACE INTO record(key, value) VALUES(?, ?)");
        SQLite::Statement erase(connection, "DELETE FROM record WHERE key = ?");
        for (const Write& write : batch.writes) {
            SQLite::Statement& statement = write.value.empty() ? erase : put;
            statement.bind(1, write.key);
            if (!write.value.empty()) statement.bind(2, write.value.data(), static_cast<int>(write.value.size()));
            statement.exec();
            statement.reset();
        }
        SQLite::Statement move(connection, "INSERT OR REPLACE INTO head(one, version, writer) VALUES(1, ?, ?)");
        move.bind(1, to_column(batch.next.version));
        move.bind(2, to_column(batch.next.writer));
        move.exec();
    }

    void roll_back() noexcept {
        if (sqlite3_get_autocommit(connection.getHandle()) != 0) return;  // SQLite did it already
        connection.tryExec("ROLLBACK");
    }

    SQLite::Database connection;
};

SqliteStore::SqliteStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, const SqliteOptions& options) {
    try {
        auto database = std::make_unique<Database>(path);
        SQLite::Database& connection = database->connection;
        const int schema = connection.execAndGet("PRAGMA user_version").getInt();
        const int application = connection.execAndGet("PRAGMA application_id").getInt();
        const int tables = connection.execAndGet("SELECT count(*) FROM sqlite_master").getInt();
        if (tables > 0 && application != kApplication) {
            return failure(ErrorCode::damaged, path + " is an SQLite file, but no store of this program");
        }
        if (schema > kSchema) {
            return failure(ErrorCode::version, path + " has schema " + std::to_string(schema) + ", this program knows " +
                                                   std::to_string(kSchema) + ": start the newer program that wrote it");
        }
        const std::string verdict = connection.execAndGet("PRAGMA integrity_check(1)").getString();
        if (verdict != "ok") return failure(ErrorCode::damaged, path + " does not verify: " + verdict);
        connection.execAndGet("PRAGMA journal_mode = WAL");
        connection.exec("PRAGMA synchronous = FULL");
        if (options.most_pages != 0) {
            connection.execAndGet("PRAGMA max_page_count = " + std::to_string(options.most_pages));
        }
        if (schema == 0) {
            SQLite::Transaction making(connection);
            connection.exec("CREATE TABLE IF NOT EXISTS record(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID");
            connection.exec("CREATE TABLE IF NOT EXISTS head(one INTEGER PRIMARY KEY CHECK(one = 1), "
                            "version INTEGER NOT NULL, writer INTEGER NOT NULL)");
            connection.exec("PRAGMA application_id = " + std::to_string(kApplication));
            connection.exec("PRAGMA user_version = " + std::to_string(kSchema));
            making.commit();
        }
        return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(database)));
    } catch (const SQLite::Exception& error) {
        if (says_damage(error.getErrorCode())) {
            return failure(ErrorCode::damaged, path + " cannot be read as a store: " + words_of(error));
        }
        return failure(ErrorCode::unavailable, "cannot open the store " + path + ": " + words_of(error) +
                                                   "; check that its directory exists, is writable and has room");
    }
}

Result<std::string> SqliteStore::set_aside(const std::string& path, std::int64_t wall_ms) {
    const std::string target = path + ".damaged-" + std::to_string(wall_ms);
    for (const char* part : {"-wal", "-shm", ""}) {
        std::error_code problem;
        std::filesystem::rename(path + part, target + part, problem);
        if (problem && problem != std::errc::no_such_file_or_directory) {
            return failure(ErrorCode::unavailable, "cannot move " + path + part + " aside: " + problem.message());
        }
    }
    return target;
}

Result<StoreContent> SqliteStore::load() {
    try {
        SQLite::Transaction reading(database_->connection);  // one instant for head and records
        StoreContent content;
        content.head = database_->head();
        SQLite::Statement query(database_->connection, "SELECT key, value FROM record ORDER BY key");
        while (query.executeStep()) {
            const SQLite::Column value = query.getColumn(1);
            const auto* bytes = static_cast<const std::uint8_t*>(value.getBlob());
            content.image.emplace_back(query.getColumn(0).getString(), Bytes(bytes, bytes + value.getBytes()));
        }
        return content;
    } catch (const SQLite::Exception& error) {
        return failure(says_damage(error.getErrorCode()) ? ErrorCode::damaged : ErrorCode::unavailable,
                       "cannot read the store: " + words_of(error));
    }
}

CommitAnswer SqliteStore::commit(const Batch& batch) {
    bool committing = false;
    try {
        database_->connection.exec("BEGIN IMMEDIATE");
        const StoreHead head = database_->head();
        if (head != batch.guard) {
            database_->roll_back();
            return {batch.next, CommitOutcome::conflict, "the store is at version " + std::to_string(head.version) +
                                                             ", written by " + std::to_string(head.writer)};
        }
        database_->apply(batch);
        committing = true;
        database_->connection.exec("COMMIT");
        return {batch.next, CommitOutcome::committed, {}};
    } catch (const SQLite::Exception& error) {
        database_->roll_back();
        // An error of the disk while syncing says nothing about what reached it; a full disk or a lock
        // that was not had is known before anything counts.
        const int code = error.getErrorCode();
        const bool certain = !committing || code == SQLITE_FULL || code == SQLITE_BUSY;
        return {batch.next, certain ? CommitOutcome::failed : CommitOutcome::unknown, words_of(error)};
    }
}

Result<StoreHead> SqliteStore::head() {
    try {
        return database_->head();
    } catch (const SQLite::Exception& error) {
        return failure(ErrorCode::unavailable, "cannot read the store's head: " + words_of(error));
    }
}

}  // namespace understudy::manager
