// Claims about tables and the stored form of records: a step's writes are exactly its changes, and what was
// written is read back, or refused with the key that is damaged.
#include <catch2/catch.hpp>

#include "manager/core/core.hpp"
#include "manager/core/record_codec.hpp"

using namespace understudy;
using namespace understudy::manager;

namespace {

State filled() {
    State state{Settings{}};
    state.manager.edit().incarnation = 3;
    HostRecord& host = state.hosts.edit(HostId(1));
    host.id = HostId(1);
    host.name = "alpha";
    host.vcpus = 8;
    state.pools.edit("small").flavour = "small";
    SessionRecord& session = state.sessions.edit(SessionId(9));
    session.id = SessionId(9);
    session.epoch = 4;
    session.backups = {NodeId(5), NodeId(6)};
    session.restore = {3, 17};
    return state;
}

}  // namespace

TEST_CASE("tables: draining hands every change over once, an erased row as empty", "[core]") {
    State state = filled();
    CHECK(drain_writes(state).size() == 4);
    CHECK(drain_writes(state).empty());
    state.hosts.erase(HostId(1));
    state.hosts.erase(HostId(2));  // was never there: no change
    const std::vector<Write> writes = drain_writes(state);
    REQUIRE(writes.size() == 1);
    CHECK(writes[0].key == "host/1");
    CHECK(writes[0].value.empty());
}

TEST_CASE("record codec: what is written is read back, keys ascending", "[core]") {
    const Image image = write_image(filled());
    CHECK(std::is_sorted(image.begin(), image.end(), [](const auto& a, const auto& b) { return a.first < b.first; }));
    State again{Settings{}};
    REQUIRE(read_image(again, image));
    CHECK(again.manager.get() == filled().manager.get());
    CHECK(again.sessions.at(SessionId(9)) == filled().sessions.at(SessionId(9)));
    CHECK(write_image(again) == image);
    CHECK(drain_writes(again).empty());
}

TEST_CASE("record codec: a damaged record is refused by the name of its key", "[core]") {
    Image image = write_image(filled());
    const auto refusal = [&](const std::string& key, Bytes value) {
        Image damaged = image;
        damaged.emplace_back(key, std::move(value));
        State state{Settings{}};
        const Result<> read = read_image(state, damaged);
        REQUIRE_FALSE(read);
        CHECK(read.error().code == ErrorCode::damaged);
        return read.error().message;
    };
    const Bytes good = image.front().second;
    CHECK(refusal("node/5", {0xc1, 0x00}).find("node/5") != std::string::npos);
    CHECK(refusal("node/zero", good).find("node/zero") != std::string::npos);
    CHECK(refusal("node/0", good).find("node/0") != std::string::npos);
    CHECK(refusal("nothing", good).find("nothing") != std::string::npos);
    CHECK(refusal("wonder/1", good).find("wonder/1") != std::string::npos);
}

TEST_CASE("core: a fresh start on an empty store takes an incarnation number and wants nothing else", "[core]") {
    auto core = Core::load(Settings{}, {});
    REQUIRE(core);
    const Step step = core->start({TimePoint{}, 0});
    REQUIRE(step.writes.size() == 1);
    CHECK(step.writes[0].key == "manager");
    CHECK(step.now.empty());
    CHECK(step.after_durable.empty());
    CHECK(step.wake_at == kNever);
}
