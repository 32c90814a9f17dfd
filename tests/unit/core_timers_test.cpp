// Claims about deadlines: at most one per subject, early rather than late, in a fixed order.
#include <catch2/catch.hpp>

#include "manager/core/timers.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace std::chrono_literals;

namespace {

TimePoint moment(Duration since) { return TimePoint{} + since; }
constexpr TimerKey kNode{TimerKind::node, 7};

}  // namespace

TEST_CASE("timers: a deadline that is armed again fires once, at the earlier time", "[core]") {
    Timers timers;
    timers.arm(kNode, moment(5s));
    timers.arm(kNode, moment(3s));
    timers.arm(kNode, moment(9s));
    CHECK(timers.next() == moment(3s));
    TimerKey key;
    CHECK_FALSE(timers.take_due(moment(2999ms), key));
    REQUIRE(timers.take_due(moment(3s), key));
    CHECK(key == kNode);
    CHECK_FALSE(timers.take_due(moment(100s), key));
    CHECK(timers.next() == kNever);
}

TEST_CASE("timers: what was taken can be armed again for a later time", "[core]") {
    Timers timers;
    TimerKey key;
    timers.arm(kNode, moment(1s));
    REQUIRE(timers.take_due(moment(1s), key));
    timers.arm(kNode, moment(4s));
    CHECK(timers.next() == moment(4s));
}

TEST_CASE("timers: subjects of different kinds do not meet, and equal times fire in key order", "[core]") {
    Timers timers;
    timers.arm({TimerKind::host, 1}, moment(1s));
    timers.arm({TimerKind::node, 2}, moment(1s));
    timers.arm({TimerKind::node, 1}, moment(1s));
    std::vector<TimerKey> fired;
    TimerKey key;
    while (timers.take_due(moment(1s), key)) fired.push_back(key);
    CHECK(fired == std::vector<TimerKey>{{TimerKind::node, 1}, {TimerKind::node, 2}, {TimerKind::host, 1}});
}

TEST_CASE("timers: never is not a deadline", "[core]") {
    Timers timers;
    timers.arm(kNode, kNever);
    CHECK(timers.next() == kNever);
}
