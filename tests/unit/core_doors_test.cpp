// Claims about doors in the records: what an agent said of its key is kept when a hypervisor tells the address, and what
// an older release wrote, which knew no keys, is read.
#include <catch2/catch.hpp>

#include "manager/core/decide.hpp"
#include "manager/core/record_codec.hpp"
#include "protocol/pack.hpp"

using namespace understudy;
using namespace understudy::manager;

namespace {

/// An Endpoint, and of a node what is needed, as they were before doors had keys.
struct KeylessEndpoint {
    std::string host;
    std::uint16_t port = 0;
    UNDERSTUDY_FIELDS(KeylessEndpoint, host, port)
};
struct KeylessNode {
    NodeId id;
    std::string name;
    KeylessEndpoint door;
    bool draining = false;
    UNDERSTUDY_FIELDS(KeylessNode, id, name, door, draining)
};

}  // namespace

TEST_CASE("doors: the key that an agent said is kept when its address is found anew", "[core]") {
    State state{Settings{}};
    NodeRecord& node = state.nodes.edit(NodeId(5));
    node.id = NodeId(5);
    node.host = HostId(1);
    node.state = NodeState::idle;
    node.adopted = true;
    node.door = {"10.0.0.5", 41001, "the-key"};
    ListedInstance found;
    found.id = NodeId(5);
    found.running = true;
    found.door = {"10.0.0.9", 41077};
    adopt_instance(state, HostId(1), found);
    CHECK(state.nodes.at(NodeId(5)).door == Endpoint{"10.0.0.9", 41077, "the-key"});

    // Told again, it changes nothing, though the hypervisor knows no key.
    (void)drain_writes(state);
    adopt_instance(state, HostId(1), found);
    CHECK(drain_writes(state).empty());
}

TEST_CASE("doors: a record of a release that knew no keys is read, with its key unknown", "[core]") {
    Bytes bytes;
    pack::append(bytes, KeylessNode{NodeId(5), "us-5", {"10.0.0.5", 41001}, true});
    State state{Settings{}};
    REQUIRE(read_image(state, {{"node/5", bytes}}));
    const NodeRecord& node = state.nodes.at(NodeId(5));
    CHECK(node.door == Endpoint{"10.0.0.5", 41001, ""});
    CHECK(node.name == "us-5");
    CHECK(node.draining);  // and what stands behind the door is not lost
}
