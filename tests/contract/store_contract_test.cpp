// One suite for every store: what StorePort promises, whoever keeps it.
#include <catch2/catch.hpp>

#include <poll.h>

#include <filesystem>
#include <fstream>

#include <SQLiteCpp/SQLiteCpp.h>

#include "manager/adapters/store/memory_store.hpp"
#include "manager/adapters/store/open_store.hpp"
#include "manager/adapters/store/sqlite_store.hpp"
#include "manager/adapters/store/store_copies.hpp"
#include "manager/adapters/store/store_worker.hpp"
#include "manager/core/state.hpp"
#include "manager/runtime/mailbox.hpp"
#include "tests/contract/temporary_directory.hpp"

using namespace understudy;
using namespace understudy::manager;
using understudy::test::TemporaryDirectory;

namespace {

Bytes bytes(const std::string& text) { return {text.begin(), text.end()}; }

Batch batch(StoreHead guard, std::uint64_t writer, std::vector<Write> writes) {
    return {guard, {guard.version + 1, writer}, std::move(writes)};
}

std::unique_ptr<RecordStore> open_sqlite(const std::string& path, const SqliteOptions& options = {}) {
    auto store = SqliteStore::open(path, options);
    INFO((store ? std::string() : store.error().message));
    REQUIRE(store);
    return std::move(*store);
}

/// Runs the claim on each store.
template <class Claim>
void on_each_store(Claim claim) {
    SECTION("memory") {
        MemoryStore store;
        claim(store);
    }
    SECTION("sqlite") {
        const TemporaryDirectory directory;
        const auto store = open_sqlite(directory / "store.db");
        claim(*store);
    }
}

}  // namespace

TEST_CASE("store: an empty one has head zero and no records") {
    on_each_store([](RecordStore& store) {
        const auto content = store.load();
        REQUIRE(content);
        CHECK(content->head == StoreHead{});
        CHECK(content->image.empty());
        CHECK(*store.head() == StoreHead{});
    });
}

TEST_CASE("store: a batch puts, replaces and erases as a whole, and keys come back in order") {
    on_each_store([](RecordStore& store) {
        const Batch first = batch({}, 7, {{"a", bytes("1")}, {"b", bytes("2")}, {"z/10", bytes(std::string("\0x", 2))}});
        CHECK(store.commit(first).outcome == CommitOutcome::committed);
        const Batch second = batch(first.next, 7, {{"a", {}}, {"b", bytes("3")}, {"c", bytes("4")}, {"nothing", {}}});
        CHECK(store.commit(second).outcome == CommitOutcome::committed);
        const auto content = store.load();
        REQUIRE(content);
        CHECK(content->head == second.next);
        CHECK(content->image == Image{{"b", bytes("3")}, {"c", bytes("4")}, {"z/10", bytes(std::string("\0x", 2))}});
    });
}

TEST_CASE("store: a batch whose guard is not the head changes nothing") {
    on_each_store([](RecordStore& store) {
        const Batch first = batch({}, 7, {{"a", bytes("1")}});
        REQUIRE(store.commit(first).outcome == CommitOutcome::committed);
        // The same batch again, another writer's version 1, and a version that was skipped.
        CHECK(store.commit(first).outcome == CommitOutcome::conflict);
        CHECK(store.commit(batch({1, 8}, 8, {{"a", bytes("2")}})).outcome == CommitOutcome::conflict);
        CHECK(store.commit(batch({2, 7}, 7, {{"a", bytes("2")}})).outcome == CommitOutcome::conflict);
        const auto content = store.load();
        REQUIRE(content);
        CHECK(content->head == first.next);
        CHECK(content->image == Image{{"a", bytes("1")}});
    });
}

TEST_CASE("store: an answer names the batch it is about, and writers use all 64 bits") {
    on_each_store([](RecordStore& store) {
        const Batch first = batch({}, UINT64_MAX, {{"a", bytes("1")}});
        CHECK(store.commit(first).next == first.next);
        CHECK(store.head()->writer == UINT64_MAX);
    });
}

TEST_CASE("store worker: answers come through the mailbox, one per order, in order") {
    Mailbox<Arrival> mailbox;
    StoreWorker worker(std::make_unique<MemoryStore>(), [&](Arrival arrival) { mailbox.push(std::move(arrival)); });
    REQUIRE(worker.load_all());
    worker.commit(batch({}, 1, {{"a", bytes("1")}}));
    worker.read_head();
    std::vector<Arrival> arrivals;
    while (arrivals.size() < 2) {
        pollfd waiting{mailbox.descriptor(), POLLIN, 0};
        REQUIRE(::poll(&waiting, 1, 10000) == 1);
        for (Arrival& arrival : mailbox.take_all()) arrivals.push_back(std::move(arrival));
    }
    CHECK(std::get<CommitAnswer>(arrivals[0]).outcome == CommitOutcome::committed);
    CHECK(*std::get<HeadAnswer>(arrivals[1]).head == StoreHead{1, 1});
}

TEST_CASE("sqlite: what was committed is there when it is opened again") {
    const TemporaryDirectory directory;
    const Batch first = batch({}, 7, {{"a", bytes("1")}});
    REQUIRE(open_sqlite(directory / "store.db")->commit(first).outcome == CommitOutcome::committed);
    const auto content = open_sqlite(directory / "store.db")->load();
    CHECK(content->head == first.next);
    CHECK(content->image == Image{{"a", bytes("1")}});
}

TEST_CASE("sqlite: a full disk is a failed commit that changes nothing, and later ones work again") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    SqliteOptions small;
    small.most_pages = 8;
    const auto store = open_sqlite(path, small);
    const Batch first = batch({}, 7, {{"a", bytes("1")}});
    REQUIRE(store->commit(first).outcome == CommitOutcome::committed);
    const CommitAnswer full = store->commit(batch(first.next, 7, {{"a", bytes("2")}, {"big", Bytes(100000, 1)}}));
    CHECK(full.outcome == CommitOutcome::failed);
    CHECK_THAT(full.reason, Catch::Contains("full"));
    CHECK(store->load()->image == Image{{"a", bytes("1")}});
    CHECK(store->commit(batch(first.next, 7, {{"a", bytes("3")}})).outcome == CommitOutcome::committed);
}

TEST_CASE("sqlite: a long log is brought into the file when nobody waits, not by the commit that made it long") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    const auto store = open_sqlite(path);
    constexpr std::size_t kLong = 5'000'000;  // more than a thousand pages
    const Batch first = batch({}, 7, {{"long", Bytes(kLong, 1)}});
    REQUIRE(store->commit(first).outcome == CommitOutcome::committed);
    CHECK(std::filesystem::file_size(path) < kLong);
    store->tidy();
    CHECK(std::filesystem::file_size(path) > kLong);
    const auto log = std::filesystem::file_size(path + "-wal");
    REQUIRE(store->commit(batch(first.next, 7, {{"a", bytes("1")}})).outcome == CommitOutcome::committed);
    CHECK(std::filesystem::file_size(path + "-wal") == log);  // written anew from its beginning
    CHECK(store->load()->image.size() == 2);
}

TEST_CASE("sqlite: while somebody else holds the file a commit fails and can be tried again") {
    const TemporaryDirectory directory;
    const auto one = open_sqlite(directory / "store.db");
    const auto two = open_sqlite(directory / "store.db");
    REQUIRE(one->commit(batch({}, 1, {{"a", bytes("1")}})).outcome == CommitOutcome::committed);
    // The other manager's guard is old now: it must find out, not overwrite.
    CHECK(two->commit(batch({}, 2, {{"a", bytes("2")}})).outcome == CommitOutcome::conflict);
    CHECK(two->load()->image == Image{{"a", bytes("1")}});
}

TEST_CASE("sqlite: a file that is no store is damage, and so are bytes that rotted") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    SECTION("text") { std::ofstream(path) << std::string(8192, 'x'); }
    SECTION("rotten pages") {
        {
            const auto store = open_sqlite(path);
            REQUIRE(store->commit(batch({}, 1, {{"a", Bytes(50000, 1)}})).outcome == CommitOutcome::committed);
        }
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(4096);
        file << std::string(9000, '\xff');
    }
    SECTION("another program's database") {
        SQLite::Database other(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
        other.exec("CREATE TABLE other(x)");
    }
    const auto store = SqliteStore::open(path);
    REQUIRE_FALSE(store);
    CHECK(store.error().code == ErrorCode::damaged);
    CHECK_THAT(store.error().message, Catch::Contains(path));
}

TEST_CASE("sqlite: a directory that is missing is unavailable, not damage") {
    const auto store = SqliteStore::open("/nowhere/at/all/store.db");
    REQUIRE_FALSE(store);
    CHECK(store.error().code == ErrorCode::unavailable);
}

TEST_CASE("open store: a damaged one is set aside whole, and numbers begin above all that were given out") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    SECTION("the file") { std::ofstream(path) << std::string(8192, 'x'); }
    SECTION("a record") {
        const auto store = open_sqlite(path);
        REQUIRE(store->commit(batch({}, 1, {{"node/5", bytes("no msgpack")}})).outcome == CommitOutcome::committed);
    }
    const auto opened = open_store(path, Settings{});
    REQUIRE(opened);
    REQUIRE(opened->alarms.size() == 1);
    CHECK(opened->core.state().manager.get().next_id > 1'000'000'000);
    CHECK(opened->core.state().manager.get().incarnation > 1'000'000'000);
    CHECK(opened->head == StoreHead{});
    bool kept = false;
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
        kept = kept || entry.path().filename().string().starts_with("store.db.damaged-");
    }
    CHECK(kept);
}

TEST_CASE("open store: a healthy one is opened without alarm") {
    const TemporaryDirectory directory;
    const auto opened = open_store(directory / "store.db", Settings{});
    REQUIRE(opened);
    CHECK(opened->alarms.empty());
    CHECK(opened->core.state().manager.get().next_id == 1);
}

TEST_CASE("sqlite: a changed byte inside a record is damage, though SQLite finds its pages in order") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    REQUIRE(open_sqlite(path)->commit(batch({}, 1, {{"node/5", bytes("what was written")}})).outcome == CommitOutcome::committed);
    SQLite::Database(path, SQLite::OPEN_READWRITE).exec("UPDATE record SET value = CAST('what was wrItten' AS BLOB)");
    const auto content = open_sqlite(path)->load();
    REQUIRE_FALSE(content);
    CHECK(content.error().code == ErrorCode::damaged);
    CHECK_THAT(content.error().message, Catch::Contains("node/5"));
}

TEST_CASE("sqlite: a store of schema 1 is brought up, keeps every record, and stays beside the new one") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    std::filesystem::copy_file(SOURCE_DIRECTORY "/tests/contract/data/store-schema-1.db", path);
    const auto opened = open_store(path, Settings{});
    INFO((opened ? std::string() : opened.error().message));
    REQUIRE(opened);
    CHECK(opened->alarms.empty());
    CHECK(opened->head.version == 2);
    const State& state = opened->core.state();
    CHECK(state.manager.get().incarnation == 1);
    CHECK(state.hosts.rows().size() == 1);
    CHECK(state.profiles.at("demo").applications.size() == 2);
    CHECK(state.terminal_names.contains("demo"));
    CHECK(SQLite::Database(path).execAndGet("PRAGMA user_version").getInt() == 2);
    CHECK(SQLite::Database(path + ".schema-1").execAndGet("PRAGMA user_version").getInt() == 1);
}

TEST_CASE("sqlite: a store of a newer schema is left alone") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    static_cast<void>(open_sqlite(path));
    SQLite::Database(path, SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99");
    const auto store = SqliteStore::open(path);
    REQUIRE_FALSE(store);
    CHECK(store.error().code == ErrorCode::version);
}

TEST_CASE("open store: one that was there and is missing, or emptied, is a lost one and not a first start") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    {
        const auto first = open_store(path, Settings{});
        REQUIRE(first);
        CHECK_FALSE(first->core.state().manager.get().rebuilding);
        REQUIRE(first->store->commit(batch({}, 1, {{"manager", to_be_rebuilt({}, "x", 5000).front().second}})).outcome == CommitOutcome::committed);
    }
    SECTION("missing") { std::filesystem::remove(path); }
    SECTION("emptied") { std::filesystem::resize_file(path, 0); }
    for (const char* part : {"-wal", "-shm"}) std::filesystem::remove(path + part);
    const auto opened = open_store(path, Settings{});
    REQUIRE(opened);
    CHECK(opened->core.state().manager.get().rebuilding);
    CHECK(opened->core.state().manager.get().next_id > 1'000'000'000);
    REQUIRE(opened->alarms.size() == 1);
}

TEST_CASE("store copies: a backup is made while somebody writes, and what is restored knows that it is old") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    const std::string copy = directory / "copy.db";
    const auto store = open_sqlite(path);
    const Batch first = batch({}, 7, {{"manager", to_be_rebuilt({}, "x", 5000).front().second}});
    REQUIRE(store->commit(first).outcome == CommitOutcome::committed);
    const auto made = back_up_store(path, copy);
    INFO((made ? std::string() : made.error().message));
    REQUIRE(made);
    CHECK(made->records == 1);
    CHECK(back_up_store(path, copy).error().code == ErrorCode::invalid);
    REQUIRE(store->commit(batch(first.next, 7, {{"pool/x", {}}})).outcome == CommitOutcome::committed);

    const std::string other = directory / "other.db";
    std::ofstream(other) << "what was there";
    const auto restored = restore_store(copy, other, 2'000'000'000'000);
    INFO((restored ? std::string() : restored.error().message));
    REQUIRE(restored);
    CHECK(std::filesystem::exists(restored->set_aside));
    const auto opened = open_store(other, Settings{});
    REQUIRE(opened);
    CHECK(opened->core.state().manager.get().rebuilding);
    CHECK(opened->core.state().manager.get().next_id == 2'000'000'000);
    CHECK_THAT(opened->core.state().manager.get().rebuild_cause, Catch::Contains(copy));
}

TEST_CASE("store copies: a backup that is no store, or rotted, is refused and the store stays") {
    const TemporaryDirectory directory;
    const std::string path = directory / "store.db";
    REQUIRE(open_sqlite(path)->commit(batch({}, 1, {{"a", bytes("1")}})).outcome == CommitOutcome::committed);
    std::ofstream(directory / "bad.db") << std::string(8192, 'x');
    CHECK(restore_store(directory / "bad.db", path, 1).error().code == ErrorCode::damaged);
    CHECK(restore_store(directory / "none.db", path, 1).error().code == ErrorCode::not_found);
    CHECK(open_sqlite(path)->load()->image.size() == 1);
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
        CHECK_THAT(entry.path().filename().string(), !Catch::Contains("restoring"));
    }
}
