// Checkpoints on their way from a primary to a backup, and what both keep of them.
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include <catch2/catch.hpp>

#include "nodes/execution/checkpoint_frames.hpp"
#include "nodes/execution/checkpoint_receiver.hpp"
#include "nodes/execution/checkpoint_sender.hpp"
#include "nodes/execution/checkpoint_store.hpp"
#include "nodes/execution/criu_jobs.hpp"
#include "nodes/execution/file_tree.hpp"
#include "nodes/execution/pace.hpp"
#include "tests/execution/support.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace understudy::node::test;
namespace fs = std::filesystem;

namespace {

constexpr SessionId kSession(5);

/// A checkpoint with files of its own on the disk of the primary.
CheckpointMeta make_checkpoint(const std::string& store, CheckpointId id, CheckpointId parent, std::size_t pages_bytes) {
    const std::string folder = store + "/" + folder_of(id);
    fs::create_directories(folder + "/images");
    write_file(folder + "/files.pack", "");
    write_file(folder + "/images/pages-1.img", std::string(pages_bytes, static_cast<char>('a' + id.sequence % 20)));
    write_file(folder + "/images/empty.img", "");
    write_file(folder + "/images/dump.log", "stays here");
    CheckpointMeta meta;
    meta.session = kSession;
    meta.info.id = id;
    meta.parent = parent;
    meta.files = digest_files(folder).value();
    for (const auto& file : meta.files) meta.info.bytes += file.bytes;
    return meta;
}

/// A backup that receives on a thread.
struct Backup {
    Descriptor ours;
    std::vector<CheckpointMeta> stored;
    Result<> outcome;
    std::thread thread;

    Backup(const std::string& folder, std::vector<CheckpointId> have, Epoch epoch = 1) {
        auto [left, right] = socket_pair();
        ours = std::move(left);
        fs::create_directories(folder);
        thread = std::thread([this, folder, have = std::move(have), epoch, socket = std::move(right)]() mutable {
            outcome = receive_checkpoints(socket.get(), {kSession, epoch, folder, have}, [this](const CheckpointMeta& meta) { stored.push_back(meta); });
            socket.reset();
        });
    }
    ~Backup() { end(); }
    void end() {
        ::shutdown(ours.get(), SHUT_RDWR);
        if (thread.joinable()) thread.join();
    }
};

struct Primary {
    FrameStream stream;
    std::vector<CheckpointId> remembered;
    std::uint32_t credit_bytes = 0;
    explicit Primary(Backup& backup) : stream(backup.ours.get()) {
        auto frame = stream.receive(5000);
        REQUIRE(frame);
        REQUIRE(frame->kind == FrameKind::have);
        remembered = list_from(frame->content).value().ids;
    }
    Result<> send(const Offer& offer) { return send_checkpoints(stream, offer, remembered, credit_bytes); }
};

bool has_half_made(const std::string& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().filename().string().starts_with(".new")) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("checkpoint stream: a chain arrives complete, verified and linked to its parents") {
    const Scratch scratch;
    const auto first = make_checkpoint(scratch / "primary", {1, 1}, {}, 5'000'000);
    const auto second = make_checkpoint(scratch / "primary", {1, 2}, {1, 1}, 100'000);
    Backup backup(scratch / "backup", {});
    Primary primary(backup);
    REQUIRE(primary.send({{first, second}, scratch / "primary"}));
    backup.end();
    REQUIRE(backup.stored.size() == 2);
    CHECK(read_file(scratch / "backup/1-1/images/pages-1.img") == read_file(scratch / "primary/1-1/images/pages-1.img"));
    CHECK(fs::exists(scratch / "backup/1-2/images/parent/pages-1.img"));
    CHECK_FALSE(fs::exists(scratch / "backup/1-1/images/dump.log"));
    CHECK(read_meta(scratch / "backup/1-2").value() == second);
}

TEST_CASE("checkpoint stream: what the backup has is not sent again") {
    const Scratch scratch;
    const auto first = make_checkpoint(scratch / "primary", {1, 1}, {}, 1000);
    const auto second = make_checkpoint(scratch / "primary", {1, 2}, {1, 1}, 1000);
    fs::create_directories(scratch / "backup/1-1/images");
    Backup backup(scratch / "backup", {{1, 1}});
    Primary primary(backup);
    fs::remove_all(scratch / "primary/1-1");
    REQUIRE(primary.send({{first, second}, scratch / "primary"}));
    backup.end();
    REQUIRE(backup.stored.size() == 1);
    CHECK(backup.stored[0].info.id == CheckpointId{1, 2});
}

TEST_CASE("checkpoint stream: a checkpoint with a wrong digest is refused and leaves nothing") {
    const Scratch scratch;
    const auto meta = make_checkpoint(scratch / "primary", {1, 1}, {}, 300'000);
    auto pages = read_file(scratch / "primary/1-1/images/pages-1.img");
    pages[150'000] ^= 1;
    write_file(scratch / "primary/1-1/images/pages-1.img", pages);
    Backup backup(scratch / "backup", {});
    Primary primary(backup);
    const auto sent = primary.send({{meta}, scratch / "primary"});
    REQUIRE_FALSE(sent);
    CHECK(sent.error().code == ErrorCode::refused);
    backup.end();
    CHECK(backup.stored.empty());
    CHECK_FALSE(fs::exists(scratch / "backup/1-1"));
    CHECK_FALSE(has_half_made(scratch / "backup"));
}

TEST_CASE("checkpoint stream: a primary that dies while sending leaves nothing half-made and costs no older one") {
    const Scratch scratch;
    const auto first = make_checkpoint(scratch / "primary", {1, 1}, {}, 1000);
    const auto second = make_checkpoint(scratch / "primary", {1, 2}, {1, 1}, 1'000'000);
    Backup backup(scratch / "backup", {});
    Primary primary(backup);
    REQUIRE(primary.send({{first}, scratch / "primary"}));
    REQUIRE(primary.stream.send(FrameKind::begin, to_bytes(second)));
    REQUIRE(primary.stream.send(FrameKind::data, Bytes(50'000, 'x')));
    backup.end();
    CHECK_FALSE(backup.outcome);
    CHECK(backup.stored.size() == 1);
    CHECK(fs::exists(scratch / "backup/1-1/meta"));
    CHECK_FALSE(fs::exists(scratch / "backup/1-2"));
    CHECK_FALSE(has_half_made(scratch / "backup"));
}

TEST_CASE("checkpoint stream: what does not belong here is refused") {
    const Scratch scratch;
    auto meta = make_checkpoint(scratch / "primary", {1, 2}, {1, 1}, 1000);
    std::string reason;
    SECTION("a checkpoint whose parent is missing") { reason = "parent"; }
    SECTION("another session's") {
        meta.session = SessionId(6);
        reason = "another session";
    }
    SECTION("an epoch that is not accepted yet") {
        meta.info.id.epoch = 2;
        reason = "epoch";
    }
    SECTION("a file outside of the checkpoint's folder") {
        meta.parent = {};
        meta.files[0].name = "images/../../../escape";
        reason = "not allowed";
    }
    Backup backup(scratch / "backup", {});
    Primary primary(backup);
    REQUIRE(primary.stream.send(FrameKind::begin, to_bytes(meta)));
    for (;;) {
        const auto frame = primary.stream.receive(5000);
        REQUIRE(frame);
        if (frame->kind != FrameKind::verdict) continue;
        const auto verdict = verdict_from(frame->content).value();
        CHECK_FALSE(verdict.stored);
        CHECK_THAT(verdict.reason, Catch::Contains(reason));
        break;
    }
}

TEST_CASE("checkpoint stream: no more is on its way than the backup has granted") {
    const Scratch scratch;
    const auto meta = make_checkpoint(scratch / "primary", {1, 1}, {}, 3'000'000);
    auto [ours, theirs] = socket_pair();
    std::thread sender([&, socket = theirs.get()] {
        FrameStream stream(socket);
        std::vector<CheckpointId> remembered;
        std::uint32_t credit_bytes = 0;
        (void)send_checkpoints(stream, {{meta}, scratch / "primary"}, remembered, credit_bytes);
    });
    FrameStream stream(ours.get());
    REQUIRE(stream.receive(5000)->kind == FrameKind::begin);
    std::uint64_t granted = 0;
    std::uint64_t received = 0;
    while (received < 1'500'000) {
        // Nothing comes as long as nothing is granted.
        pollfd ready{ours.get(), POLLIN, 0};
        REQUIRE(::poll(&ready, 1, 20) == 0);
        granted += 300'000;
        REQUIRE(stream.send(FrameKind::credit, encode_credit(300'000)));
        while (granted - received >= kDataBytes) {
            const auto frame = stream.receive(5000);
            REQUIRE(frame);
            received += frame->content.size();
            REQUIRE(received <= granted);
        }
    }
    ::shutdown(ours.get(), SHUT_RDWR);
    sender.join();
}

TEST_CASE("checkpoint stream: frames of impossible size or kind end the stream") {
    auto [ours, theirs] = socket_pair();
    FrameStream stream(ours.get());
    SECTION("too long") {
        const Bytes header{'D', 0xff, 0xff, 0xff, 0xff};
        REQUIRE(::send(theirs.get(), header.data(), header.size(), 0) == 5);
        CHECK(stream.receive(1000).error().code == ErrorCode::limit);
    }
    SECTION("unknown kind") {
        const Bytes header{'?', 0, 0, 0, 0};
        REQUIRE(::send(theirs.get(), header.data(), header.size(), 0) == 5);
        CHECK(stream.receive(1000).error().code == ErrorCode::invalid);
    }
    SECTION("cut short") {
        const Bytes header{'D', 0, 0, 0, 9, 1};
        REQUIRE(::send(theirs.get(), header.data(), header.size(), 0) == 6);
        theirs.reset();
        CHECK(stream.receive(1000).error().code == ErrorCode::unavailable);
    }
}

namespace {

CheckpointMeta link(std::uint64_t sequence, std::uint64_t parent, Epoch epoch = 1) {
    CheckpointMeta meta;
    meta.session = kSession;
    meta.info.id = {epoch, sequence};
    if (parent != 0) meta.parent = {epoch, parent};
    return meta;
}

}  // namespace

TEST_CASE("checkpoint store: the two newest and all their parents are kept, nothing else") {
    CheckpointStore store("/store");
    store.add(link(1, 0));
    store.add(link(2, 1));
    store.add(link(3, 2));
    CHECK(store.take_superfluous().empty());
    store.add(link(4, 0));
    CHECK(store.take_superfluous().empty());  // 3 is among the two newest and needs 1 and 2
    store.add(link(5, 4));
    CHECK(store.take_superfluous() == std::vector<std::string>{"/store/1-1", "/store/1-2", "/store/1-3"});
    REQUIRE(store.held().size() == 2);
    CHECK(store.held().back().id == CheckpointId{1, 5});
    CHECK(store.chain({1, 5}).size() == 2);
}

TEST_CASE("checkpoint store: one with a missing parent is never reported as held") {
    CheckpointStore store("/store");
    store.add(link(1, 0));
    store.add(link(3, 2));
    REQUIRE(store.held().size() == 1);
    CHECK(store.held()[0].id == CheckpointId{1, 1});
    CHECK(store.chain({1, 3}).empty());
}

TEST_CASE("prepared tree: it follows its chain, goes over to another, and returns to an older one") {
    const Scratch scratch;
    const std::string work = scratch / "work";
    fs::create_directories(work);
    const auto pack = [&](std::uint64_t sequence, const TreeMarks& before, const std::string& text) {
        write_file(work + "/file", text);
        fs::create_directories(scratch / ("store/1-" + std::to_string(sequence)));
        return pack_changes(work, before, scratch / ("store/1-" + std::to_string(sequence) + "/files.pack")).value();
    };
    const auto first = pack(1, {}, "one");
    (void)pack(2, first, "and two");
    (void)pack(3, {}, "three by itself");
    PreparedTree tree{scratch / "tree", {}};
    tree = prepare_tree(tree, {link(1, 0)}, scratch / "store").value();
    CHECK(read_file(scratch / "tree/file") == "one");
    tree = prepare_tree(tree, {link(1, 0), link(2, 1)}, scratch / "store").value();
    CHECK(read_file(scratch / "tree/file") == "and two");
    tree = prepare_tree(tree, {link(3, 0)}, scratch / "store").value();
    CHECK(read_file(scratch / "tree/file") == "three by itself");
    tree = prepare_tree(tree, {link(1, 0), link(2, 1)}, scratch / "store").value();
    CHECK(read_file(scratch / "tree/file") == "and two");
    CHECK(tree.version == CheckpointId{1, 2});
}

TEST_CASE("pace: the pause stays inside its budget, the interval inside its bounds") {
    Pace pace(0.1);
    CHECK(pace.interval() == Pace::kShortest);
    pace.made(std::chrono::milliseconds(500), std::chrono::milliseconds(900));
    CHECK(pace.interval() == std::chrono::milliseconds(5000));
    pace.brought(std::chrono::seconds(4));
    CHECK(pace.interval() == std::chrono::seconds(8));
    pace.made(std::chrono::seconds(60), std::chrono::seconds(61));
    CHECK(pace.interval() == Pace::kLongest);
}
