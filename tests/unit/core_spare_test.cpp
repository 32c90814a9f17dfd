// Claims about what a pool has to spare: the order in which it is found, and what is found no more.
#include <catch2/catch.hpp>

#include "manager/core/spare.hpp"

using namespace understudy;
using namespace understudy::manager;

namespace {

constexpr auto any = [](NodeId) { return true; };

}  // namespace

TEST_CASE("spare: idle machines and those on their way are found in the order of their numbers", "[core]") {
    const std::set<NodeId> idle{NodeId(2), NodeId(5), NodeId(9)};
    Spare spare(idle);
    spare.add(NodeId(1));
    spare.add(NodeId(7));
    CHECK(spare.size() == 5);
    CHECK(spare.all() == std::vector{NodeId(1), NodeId(2), NodeId(5), NodeId(7), NodeId(9)});
    CHECK(spare.first([](NodeId id) { return id.value > 5; }) == NodeId(7));
    CHECK(spare.first([](NodeId id) { return id.value > 9; }) == NodeId());
}

TEST_CASE("spare: what is taken is found no more, in whatever order it is taken", "[core]") {
    const std::set<NodeId> idle{NodeId(2), NodeId(5), NodeId(9)};
    Spare spare(idle);
    spare.add(NodeId(7));
    spare.take(NodeId(5));
    CHECK(spare.all() == std::vector{NodeId(2), NodeId(7), NodeId(9)});
    spare.take(NodeId(2));
    CHECK(spare.first(any) == NodeId(7));
    spare.take(NodeId(7));
    CHECK(spare.first(any) == NodeId(9));
    spare.take(NodeId(9));
    CHECK(spare.first(any) == NodeId());
    CHECK(spare.size() == 0);
}

TEST_CASE("spare: what stops being idle is found no more", "[core]") {
    std::set<NodeId> idle{NodeId(2), NodeId(5), NodeId(9)};
    Spare spare(idle);
    spare.take(NodeId(2));
    idle.erase(NodeId(5));
    CHECK(spare.all() == std::vector{NodeId(9)});
    CHECK(spare.size() == 1);
}
