// What threads beside the agent's are told of its lease.
#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

#include "nodes/agent/lease_term.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace std::chrono_literals;

TEST_CASE("lease term: it lapses once, by time alone, and counts again when another one ends") {
    const Loop loop;
    LeaseTerm lease(loop);
    CHECK(lease.lapses() == 0);  // one that never began did not end
    lease.ends_at(loop.now() + 20ms);
    std::this_thread::sleep_for(30ms);
    CHECK(lease.lapses() == 1);
    CHECK(lease.lapses() == 1);
    lease.ends_at(loop.now() + 1h);
    CHECK(lease.lapses() == 1);
    lease.ends_at(loop.now() + 2h);  // prolonged in time
    CHECK(lease.lapses() == 1);
    lease.ends_at(TimePoint{});  // given up before its time
    CHECK(lease.lapses() == 2);
    lease.ends_at(TimePoint{});
    CHECK(lease.lapses() == 2);
}

TEST_CASE("lease term: one that is prolonged after its end has lapsed all the same") {
    const Loop loop;
    LeaseTerm lease(loop);
    lease.ends_at(loop.now() + 10ms);
    std::this_thread::sleep_for(20ms);
    lease.ends_at(loop.now() + 1h);
    CHECK(lease.lapses() == 1);
}
