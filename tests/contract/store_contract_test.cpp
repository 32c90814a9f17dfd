// One suite for every store: what StorePort promises, whoever keeps it.
#include <catch2/catch.hpp>

#include <poll.h>

#include <filesystem>
#include <fstream>

#include <SQLiteCpp/SQLiteCpp.h>

#include "manager/adapters/store/memory_store.hpp"
#include "manager/adapters/store/open_store.hpp"
#include "manager/adapters/store/sqlite_store.hpp"
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
