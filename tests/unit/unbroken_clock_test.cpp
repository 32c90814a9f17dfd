// The agent's clock, where the kernel's misses time because its counter wrapped while the machine stood still.
#include <catch2/catch.hpp>

#include "nodes/agent/base/unbroken_clock.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kTicksPerUs = 2100;

/// A machine whose monotonic clock shows less than what truly passes when it says so.
struct Machine {
    void pass(Duration truly, Duration shown) {
        ticks += static_cast<std::uint64_t>(truly.count()) * kTicksPerUs;
        monotonic += shown;
    }
    void pass(Duration time) { pass(time, time); }

    /// `between`: how long the reading itself takes.
    Duration look(Duration between = 1us) {
        ClockReading reading{ticks, monotonic, 0};
        pass(between);
        reading.after = ticks;
        const Duration shown = clock.at(reading);
        added = shown - reading.monotonic;
        return shown;
    }

    std::uint64_t ticks = 5'000'000'000;
    Duration monotonic = 100s;
    Duration added{0};  ///< to the monotonic clock, by the newest look
    UnbrokenClock clock;
};

/// One that has worked for a while.
Machine at_work() {
    Machine machine;
    for (int turn = 0; turn < 100; ++turn) {
        machine.look();
        CHECK(machine.added == 0s);
        machine.pass(100ms);
    }
    return machine;
}

}  // namespace

TEST_CASE("unbroken clock: it is the monotonic clock while that misses nothing, however long nobody looks") {
    Machine machine = at_work();
    for (const Duration pause : {Duration(2s), Duration(40s), Duration(3600s)}) {
        machine.pass(pause);
        machine.look();
        CHECK(machine.added == 0s);
    }
    CHECK(machine.clock.missed() == 0s);
}

TEST_CASE("unbroken clock: what the monotonic clock missed in a pause is added, once") {
    Machine machine = at_work();
    const Duration before = machine.look();
    machine.pass(45s, 2s);
    const Duration after = machine.look();
    CHECK(after - before > 44s);
    CHECK(after - before < 46s);
    machine.pass(10s);
    const Duration later = machine.look();
    CHECK(later - after > 9900ms);
    CHECK(later - after < 10100ms);
    machine.pass(43s, 0s);
    CHECK(machine.look() - before > 97s);
}

TEST_CASE("unbroken clock: an hour that the monotonic clock shows as nothing is an hour") {
    Machine machine = at_work();
    const Duration before = machine.look();
    machine.pass(3600s, 0s);
    CHECK(machine.look() - before > 3590s);
}

TEST_CASE("unbroken clock: a machine that is slow to read its clocks is not held to have stood still") {
    Machine machine = at_work();
    for (int turn = 0; turn < 200; ++turn) {
        machine.look(turn % 3 == 0 ? Duration(700ms) : Duration(1us));
        machine.pass(300ms);
    }
    CHECK(machine.clock.missed() == 0s);
}

TEST_CASE("unbroken clock: a pause while its speed is not known yet is forgotten by the next window") {
    Machine machine;
    machine.look();
    machine.pass(44s, 1100ms);
    machine.look();
    for (int turn = 0; turn < 30; ++turn) {
        machine.pass(100ms);
        machine.look();
    }
    const Duration before = machine.look();
    machine.pass(45s, 2s);
    CHECK(machine.look() - before > 44s);
}

TEST_CASE("unbroken clock: a counter that falls, as on another host, changes nothing") {
    Machine machine = at_work();
    machine.ticks = 1000;
    machine.look();
    CHECK(machine.added == 0s);
    machine.pass(5s);
    machine.look();
    CHECK(machine.added == 0s);
    CHECK(machine.clock.missed() == 0s);
}

TEST_CASE("unbroken clock: a processor without such a counter has the monotonic clock") {
    UnbrokenClock clock;
    CHECK(clock.at({0, 5s, 0}) == 5s);
    CHECK(clock.at({0, 60s, 0}) == 60s);
}
