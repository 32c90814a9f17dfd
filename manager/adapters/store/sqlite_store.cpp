// See sqlite_store.hpp. Exceptions of SQLiteCpp end here.
//
// Tables: record(key, value, sum) holds the records, head(version, writer) one row. Both change in the same
// transaction. The schema's number is in user_version, "USTY" in application_id. `sum` is a checksum of key and
// value: SQLite verifies its own pages' structure, not what is written in them.
//
// Schemas: 1 had no sums; 2 added them. A store of an older schema is brought up step by step when it is opened,
// in one transaction, after a copy was put beside it.
#include "manager/adapters/store/sqlite_store.hpp"

#include <cstdio>
#include <filesystem>

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/SQLiteCpp.h>
#include <sodium.h>
#include <sqlite3.h>

namespace understudy::manager {
namespace {

constexpr int kSchema = 2;
constexpr int kApplication = 0x55535459;
constexpr int kBusyMs = 2000;
constexpr int kLongLog = 1000;  ///< pages; SQLite's own default, at which it would let the commit wait

bool says_damage(int code) { return code == SQLITE_CORRUPT || code == SQLITE_NOTADB; }

std::string words_of(const SQLite::Exception& error) {
    return std::string(error.what()) + " (SQLite code " + std::to_string(error.getExtendedErrorCode()) + ")";
}

std::int64_t to_column(std::uint64_t number) { return static_cast<std::int64_t>(number); }

/// Of one record; any change of a byte changes it. The key is no secret: this guards against rot, not against people.
std::int64_t sum_of(const std::string& key, const void* value, std::size_t bytes) {
    static constexpr unsigned char kKey[crypto_shorthash_KEYBYTES] = {'u', 'n', 'd', 'e', 'r', 's', 't', 'u', 'd', 'y', 's', 't', 'o', 'r', 'e', '2'};
    std::string text = key;
    text.push_back('\0');
    text.append(static_cast<const char*>(value), bytes);
    std::int64_t sum = 0;
    static_assert(sizeof sum == crypto_shorthash_BYTES);
    crypto_shorthash(reinterpret_cast<unsigned char*>(&sum), reinterpret_cast<const unsigned char*>(text.data()), text.size(), kKey);
    return sum;
}

/// A statement that was prepared once, for one use. A query that stands open would hold its instant for ever.
class Use {
  public:
    explicit Use(SQLite::Statement& statement) : statement_(statement) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { static_cast<void>(statement_.tryReset()); }
    SQLite::Statement* operator->() const { return &statement_; }

  private:
    SQLite::Statement& statement_;
};

std::uint64_t from_column(const SQLite::Column& column) { return static_cast<std::uint64_t>(column.getInt64()); }

/// A consistent copy of what is committed at one instant, while others go on writing. Throws.
void copy_of(SQLite::Database& source, const std::string& target) {
    SQLite::Database copy(target, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyMs);
    copy.exec("PRAGMA synchronous = FULL");
    SQLite::Backup backup(copy, source);
    backup.executeStep(-1);
    // One file alone, without a log beside it.
    copy.execAndGet("PRAGMA journal_mode = DELETE");
}

}  // namespace

struct SqliteStore::Database {
    Database(const std::string& path, bool read_only)
        : connection(path, read_only ? SQLite::OPEN_READONLY : SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kBusyMs) {}

    /// Precondition: the file is of the newest schema.
    void prepare() {
        statements.emplace(connection);
        sqlite3_wal_hook(connection.getHandle(), [](void* pages, sqlite3*, const char*, int count) {
            *static_cast<int*>(pages) = count;
            return SQLITE_OK;
        }, &log_pages);
    }

    /// The one row; zero when nothing was ever committed.
    StoreHead head() {
        const Use query(statements->head);
        if (!query->executeStep()) return {};
        return {from_column(query->getColumn(0)), from_column(query->getColumn(1))};
    }

    void apply(const Batch& batch) {
        for (const Write& write : batch.writes) {
            const Use statement(write.value.empty() ? statements->erase : statements->put);
            statement->bindNoCopy(1, write.key);
            if (!write.value.empty()) {
                statement->bindNoCopy(2, write.value.data(), static_cast<int>(write.value.size()));
                statement->bind(3, sum_of(write.key, write.value.data(), write.value.size()));
            }
            statement->exec();
        }
        const Use move(statements->move);
        move->bind(1, to_column(batch.next.version));
        move->bind(2, to_column(batch.next.writer));
        move->exec();
    }

    /// An empty file becomes a store of the newest schema.
    void make() {
        connection.exec("CREATE TABLE record(key TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID");
        connection.exec("CREATE TABLE head(one INTEGER PRIMARY KEY CHECK(one = 1), version INTEGER NOT NULL, "
                        "writer INTEGER NOT NULL)");
        connection.exec("PRAGMA application_id = " + std::to_string(kApplication));
    }

    /// Schema 1 to 2: records get their sums.
    void add_sums() {
        connection.exec("ALTER TABLE record RENAME TO record_1");
        connection.exec("CREATE TABLE record(key TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID");
        SQLite::Statement old(connection, "SELECT key, value FROM record_1 ORDER BY key");
        SQLite::Statement put(connection, "INSERT INTO record(key, value, sum) VALUES(?, ?, ?)");
        while (old.executeStep()) {
            const std::string key = old.getColumn(0).getString();
            const SQLite::Column value = old.getColumn(1);
            put.bind(1, key);
            put.bind(2, value.getBlob(), value.getBytes());
            put.bind(3, sum_of(key, value.getBlob(), static_cast<std::size_t>(value.getBytes())));
            put.exec();
            put.reset();
        }
        old.reset();
        connection.exec("DROP TABLE record_1");
    }

    /// Brings what was opened to the newest schema. A crash leaves the old schema or the new one, nothing between.
    void bring_up(int schema) {
        SQLite::Transaction changing(connection);
        if (schema == 0) make();
        if (schema == 1) add_sums();
        connection.exec("PRAGMA user_version = " + std::to_string(kSchema));
        changing.commit();
    }

    void roll_back() noexcept {
        if (sqlite3_get_autocommit(connection.getHandle()) != 0) return;  // SQLite did it already
        connection.tryExec("ROLLBACK");
    }

    /// Prepared once, not for each commit.
    struct Statements {
        explicit Statements(SQLite::Database& connection)
            : head(connection, "SELECT version, writer FROM head"),
              put(connection, "INSERT OR REPLACE INTO record(key, value, sum) VALUES(?, ?, ?)"),
              erase(connection, "DELETE FROM record WHERE key = ?"),
              move(connection, "INSERT OR REPLACE INTO head(one, version, writer) VALUES(1, ?, ?)") {}
        SQLite::Statement head, put, erase, move;
    };

    SQLite::Database connection;
    std::optional<Statements> statements;  ///< after the connection: they end first
    int log_pages = 0;                     ///< of the write-ahead log, after the last commit
};

SqliteStore::SqliteStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, const SqliteOptions& options) {
    try {
        auto database = std::make_unique<Database>(path, options.read_only);
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
        if (options.read_only) {
            if (schema != kSchema) return failure(ErrorCode::version, path + " has schema " + std::to_string(schema) + ", not " + std::to_string(kSchema));
            database->prepare();
            return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(database)));
        }
        connection.execAndGet("PRAGMA journal_mode = WAL");
        connection.exec("PRAGMA synchronous = FULL");
        if (options.most_pages != 0) {
            connection.execAndGet("PRAGMA max_page_count = " + std::to_string(options.most_pages));
        }
        if (schema > 0 && schema < kSchema) {
            const std::string kept = path + ".schema-" + std::to_string(schema);
            std::filesystem::remove(kept);
            copy_of(connection, kept);
        }
        if (schema != kSchema) database->bring_up(schema);
        database->prepare();
        return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(database)));
    } catch (const SQLite::Exception& error) {
        if (says_damage(error.getErrorCode())) {
            return failure(ErrorCode::damaged, path + " cannot be read as a store: " + words_of(error));
        }
        return failure(ErrorCode::unavailable, "cannot open the store " + path + ": " + words_of(error) +
                                                   "; check that its directory exists, is writable and has room");
    }
}

Result<> SqliteStore::copy_to(const std::string& target) {
    try {
        copy_of(database_->connection, target);
        return {};
    } catch (const SQLite::Exception& error) {
        std::error_code ignored;
        std::filesystem::remove(target, ignored);
        return failure(ErrorCode::failed, "cannot copy the store to " + target + ": " + words_of(error));
    }
}

Result<std::string> SqliteStore::set_aside(const std::string& path, const std::string& why, std::int64_t wall_ms) {
    const std::string target = path + "." + why + "-" + std::to_string(wall_ms);
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
        SQLite::Statement query(database_->connection, "SELECT key, value, sum FROM record ORDER BY key");
        while (query.executeStep()) {
            const std::string key = query.getColumn(0).getString();
            const SQLite::Column value = query.getColumn(1);
            const auto* bytes = static_cast<const std::uint8_t*>(value.getBlob());
            if (sum_of(key, bytes, static_cast<std::size_t>(value.getBytes())) != query.getColumn(2).getInt64()) {
                return failure(ErrorCode::damaged, "record '" + key + "' is not what was written: its checksum differs");
            }
            content.image.emplace_back(key, Bytes(bytes, bytes + value.getBytes()));
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

void SqliteStore::tidy() {
    if (database_->log_pages < kLongLog) return;
    sqlite3_wal_checkpoint_v2(database_->connection.getHandle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

Result<StoreHead> SqliteStore::head() {
    try {
        return database_->head();
    } catch (const SQLite::Exception& error) {
        return failure(ErrorCode::unavailable, "cannot read the store's head: " + words_of(error));
    }
}

}  // namespace understudy::manager
