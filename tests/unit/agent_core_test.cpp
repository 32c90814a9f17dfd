// Claims about what an agent obeys, refuses and gives up by itself.
#include <catch2/catch.hpp>

#include "nodes/core/agent_core.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace std::chrono_literals;

namespace {

TimePoint at(Duration since) { return TimePoint{} + since; }

/// An agent with the other side of its conversation in the test's hands.
struct AgentBench {
    AgentCore core{Identity{NodeId{7}, 99, "test", "host", 4, 5900, "door", 512, true, ""}};
    std::vector<Action> actions;
    TimePoint now = at(1s);
    TimePoint wake = kNever;
    std::uint64_t revision = 0;

    void take(Step step) {
        actions = std::move(step.actions);
        wake = step.wake_at;
    }
    void start() { take(core.start(now)); }
    void say(Message message) { take(core.handle(now, FromManager{std::move(message)})); }
    void wake_until(TimePoint until) {
        while (wake <= until) {
            now = wake;
            take(core.handle(now, Woken{}));
        }
        now = until;
    }

    template <class T>
    std::vector<T> sent() const {
        std::vector<T> found;
        for (const Action& action : actions) {
            if (const auto* send = std::get_if<SendToManager>(&action)) {
                if (const auto* message = std::get_if<T>(&send->message)) found.push_back(*message);
            }
        }
        return found;
    }
    template <class T>
    std::vector<T> done() const {
        std::vector<T> found;
        for (const Action& action : actions) {
            if (const auto* wanted = std::get_if<T>(&action)) found.push_back(*wanted);
        }
        return found;
    }

    Welcome welcome(std::uint64_t registration, std::uint64_t hello) const {
        return {registration, 99, hello, 1000, 10000, "key"};
    }
    void enter(std::uint64_t registration = 5) {
        start();
        say(welcome(registration, 1));
    }
    void ack_beat(std::uint64_t sequence) { say(HeartbeatAck{core.registration(), sequence}); }

    AssignSession session(Duty duty, Epoch epoch) {
        AssignSession assign;
        assign.registration = core.registration();
        assign.session = SessionId{3};
        assign.terminal = TerminalId{2};
        assign.epoch = epoch;
        assign.revision = ++revision;
        assign.duty = duty;
        return assign;
    }
    void report(Phase phase, Epoch epoch, Ending ending = Ending::none) {
        SessionStatus status;
        status.session = SessionId{3};
        status.epoch = epoch;
        status.phase = phase;
        status.ending = ending;
        take(core.handle(now, SessionHappened{status}));
    }
    void run(Epoch epoch) {
        say(session(Duty::primary, epoch));
        report(Phase::running, epoch);
    }
};

}  // namespace

TEST_CASE("agent core: Hello is repeated every heartbeat interval until a Welcome answers it") {
    AgentBench bench;
    bench.start();
    REQUIRE(bench.sent<Hello>().size() == 1);
    CHECK(bench.wake == at(2s));
    bench.wake_until(at(4s));
    CHECK(bench.sent<Hello>().at(0).number == 4);
    bench.say(bench.welcome(5, 3));
    CHECK(bench.core.registration() == 5);
    CHECK(bench.sent<Heartbeat>().size() == 1);
    CHECK(bench.done<OpenDoor>().size() == 1);
    CHECK(bench.core.ticket_key() == "key");
}

TEST_CASE("agent core: a Welcome to another incarnation, another Hello or without a lease is not obeyed") {
    AgentBench bench;
    bench.start();
    Welcome welcome = bench.welcome(5, 1);
    welcome.incarnation = 98;
    bench.say(welcome);
    CHECK(bench.core.registration() == 0);
    bench.say(bench.welcome(5, 2));
    CHECK(bench.core.registration() == 0);
    CHECK(bench.core.counters().stale_registration == 2);
    welcome = bench.welcome(5, 1);
    welcome.lease_ms = 0;
    bench.say(welcome);
    CHECK(bench.core.registration() == 0);
    CHECK(bench.core.counters().unexpected == 1);
}

TEST_CASE("agent core: a second Welcome does not replace a living registration") {
    AgentBench bench;
    bench.start();
    bench.wake_until(at(2s));
    bench.say(bench.welcome(5, 1));
    bench.say(bench.welcome(6, 2));
    CHECK(bench.core.registration() == 5);
}

TEST_CASE("agent core: the manager's clock is taken from an acknowledgement once, not when it comes late again") {
    AgentBench bench;
    bench.enter();  // heartbeats at 1 s, 2 s, …
    CHECK(bench.core.manager_wall_ms(bench.now) == 0);
    const HeartbeatAck early{bench.core.registration(), 1, 500'000};
    bench.say(early);
    CHECK(bench.core.manager_wall_ms(bench.now + 2s) == 502'000);
    bench.wake_until(at(4s));
    bench.say(HeartbeatAck{bench.core.registration(), 3, 503'000});
    bench.say(early);
    CHECK(bench.core.manager_wall_ms(bench.now) == 503'000);
}

TEST_CASE("agent core: the lease counts from when the acknowledged heartbeat was sent") {
    AgentBench bench;
    bench.enter();  // Hello at 1 s, heartbeats at 1 s, 2 s, …
    CHECK(bench.core.lease_valid(at(10999ms)));
    bench.wake_until(at(5500ms));
    bench.ack_beat(2);  // sent at 2 s
    CHECK(bench.core.lease_valid(at(11999ms)));
    CHECK_FALSE(bench.core.lease_valid(at(12s)));
}

TEST_CASE("agent core: an acknowledgement under an old registration renews nothing") {
    AgentBench bench;
    bench.enter();
    bench.wake_until(at(5s));
    bench.say(HeartbeatAck{4, 3});
    CHECK_FALSE(bench.core.lease_valid(at(11s)));
    CHECK(bench.core.counters().stale_registration == 1);
}

TEST_CASE("agent core: when the lease runs out every primary freezes, the door closes and Hello goes out") {
    AgentBench bench;
    bench.enter();
    bench.run(1);
    bench.wake_until(at(10999ms));
    REQUIRE(bench.wake == at(11s));
    bench.now = at(11s);
    bench.take(bench.core.handle(bench.now, Woken{}));
    CHECK(bench.done<FreezeSession>().size() == 1);
    CHECK(bench.done<CloseDoor>().size() == 1);
    REQUIRE(bench.sent<Hello>().size() == 1);
    REQUIRE(bench.sent<Hello>().at(0).sessions.size() == 1);
    CHECK(bench.sent<Hello>().at(0).sessions.at(0).phase == Phase::frozen);
    CHECK(bench.core.registration() == 0);
}

TEST_CASE("agent core: an event that arrives after the lease ran out finds it frozen, not obeying") {
    AgentBench bench;
    bench.enter();
    bench.run(1);
    bench.now = at(60s);
    bench.say(bench.session(Duty::primary, 2));
    CHECK(bench.done<FreezeSession>().size() == 1);
    CHECK(bench.done<PerformSession>().empty());
    CHECK(bench.core.counters().stale_registration == 1);
}

TEST_CASE("agent core: a frozen session thaws only when it is assigned again at its epoch as primary") {
    AgentBench bench;
    bench.enter();
    bench.run(1);
    bench.wake_until(at(12s));  // Hello numbers 2 (at expiry) and 3
    bench.say(bench.welcome(6, 2));
    CHECK(bench.done<ThawSession>().empty());
    REQUIRE(bench.sent<SessionStatus>().size() == 1);
    CHECK(bench.sent<SessionStatus>().at(0).phase == Phase::frozen);

    SECTION("same epoch, primary: it goes on") {
        bench.say(bench.session(Duty::primary, 1));
        CHECK(bench.done<ThawSession>().size() == 1);
        CHECK(bench.sent<SessionStatus>().at(0).phase == Phase::running);
    }
    SECTION("released: it is given up without having run again") {
        bench.say(bench.session(Duty::released, 2));
        CHECK(bench.done<ThawSession>().empty());
        CHECK(bench.done<PerformSession>().size() == 1);
    }
}

TEST_CASE("agent core: after a manager restart inside the lease a session simply goes on") {
    AgentBench bench;
    bench.enter();
    bench.run(1);
    bench.now = at(3s);
    bench.say(NotRegistered{5, "restarted"});
    REQUIRE(bench.sent<Hello>().size() == 1);
    CHECK(bench.sent<Hello>().at(0).sessions.at(0).phase == Phase::running);
    CHECK(bench.core.lease_valid(at(10s)));
    bench.say(bench.welcome(9, bench.sent<Hello>().at(0).number));
    CHECK(bench.core.registration() == 9);
    CHECK(bench.core.lease_valid(at(12999ms)));
    bench.revision = 0;  // the new manager numbers anew
    bench.say(bench.session(Duty::primary, 1));
    CHECK(bench.done<PerformSession>().size() == 1);
    CHECK(bench.sent<SessionStatus>().at(0).phase == Phase::running);
}

TEST_CASE("agent core: nothing is obeyed while a Hello is unanswered") {
    AgentBench bench;
    bench.enter();
    bench.say(NotRegistered{5, ""});
    AssignSession assign = bench.session(Duty::primary, 1);
    assign.registration = 5;
    bench.say(assign);
    CHECK(bench.done<PerformSession>().empty());
}

TEST_CASE("agent core: an older epoch, and an older revision of the same epoch, are refused") {
    AgentBench bench;
    bench.enter();
    bench.run(4);
    const AssignSession late = bench.session(Duty::backup, 3);
    bench.say(late);
    CHECK(bench.actions.empty());
    AssignSession older = bench.session(Duty::released, 4);
    older.revision = 1;
    bench.say(bench.session(Duty::primary, 4));
    bench.say(older);
    CHECK(bench.actions.empty());
    CHECK(bench.core.counters().stale_epoch == 2);
    CHECK(bench.core.accepted_epoch(SessionId{3}) == 4);
}

TEST_CASE("agent core: the same assignment again is answered with the present status and performed once") {
    AgentBench bench;
    bench.enter();
    const AssignSession assign = bench.session(Duty::primary, 1);
    bench.say(assign);
    CHECK(bench.done<PerformSession>().size() == 1);
    bench.report(Phase::running, 1);
    bench.say(assign);
    CHECK(bench.done<PerformSession>().empty());
    REQUIRE(bench.sent<SessionStatus>().size() == 1);
    CHECK(bench.sent<SessionStatus>().at(0).phase == Phase::running);
    CHECK(bench.sent<SessionStatus>().at(0).revision == assign.revision);
}

TEST_CASE("agent core: released for a session that is not here is answered with released") {
    AgentBench bench;
    bench.enter();
    const AssignSession assign = bench.session(Duty::released, 8);
    bench.say(assign);
    CHECK(bench.done<PerformSession>().empty());
    REQUIRE(bench.sent<SessionStatus>().size() == 1);
    const SessionStatus status = bench.sent<SessionStatus>().at(0);
    CHECK(status.phase == Phase::released);
    CHECK(status.epoch == 8);
    bench.say(ReportAck{5, status.number});
    bench.say(assign);
    CHECK(bench.sent<SessionStatus>().size() == 1);
}

TEST_CASE("agent core: a session that ended under an epoch is never started again under it") {
    AgentBench bench;
    bench.enter();
    bench.run(2);
    bench.report(Phase::ended, 2, Ending::crashed);
    CHECK(bench.sent<SessionStatus>().at(0).ending == Ending::crashed);
    bench.say(bench.session(Duty::primary, 2));
    CHECK(bench.done<PerformSession>().empty());
    CHECK(bench.sent<SessionStatus>().at(0).phase == Phase::ended);
    bench.say(bench.session(Duty::primary, 3));
    CHECK(bench.done<PerformSession>().size() == 1);
    CHECK(bench.sent<SessionStatus>().at(0).phase == Phase::preparing);
}

TEST_CASE("agent core: a report is repeated until it is acknowledged, a released session is then forgotten") {
    AgentBench bench;
    bench.enter();
    bench.run(1);
    bench.say(bench.session(Duty::released, 1));
    bench.report(Phase::released, 1);
    const TimePoint reported = bench.now;
    bench.wake_until(reported + 1s);
    REQUIRE(bench.sent<SessionStatus>().size() == 1);
    CHECK(bench.sent<SessionStatus>().at(0).phase == Phase::released);
    bench.say(ReportAck{5, bench.sent<SessionStatus>().at(0).number});
    bench.wake_until(reported + 2s);
    CHECK(bench.sent<SessionStatus>().empty());
    bench.report(Phase::running, 1);  // a late word about something forgotten
    CHECK(bench.actions.empty());
}

TEST_CASE("agent core: the door opens to a fitting ticket only") {
    AgentBench bench;
    bench.enter();
    AssignSession assign = bench.session(Duty::primary, 2);
    assign.presentation_epoch = 6;
    bench.say(assign);
    TicketClaims claims;
    claims.purpose = Purpose::window;
    claims.terminal = TerminalId{2};
    claims.session = SessionId{3};
    claims.door = NodeId{7};
    claims.epoch = 6;
    claims.serving_epoch = 2;
    const auto admitted = [&](Duration when) { return bench.core.admits(claims, at(when)).has_value(); };
    CHECK_FALSE(admitted(1500ms));  // not running yet
    bench.report(Phase::running, 2);
    CHECK(admitted(1500ms));
    CHECK_FALSE(admitted(11s));  // no lease
    SECTION("another door") { claims.door = NodeId{8}; }
    SECTION("an older desktop") { claims.epoch = 5; }
    SECTION("an older primary") { claims.serving_epoch = 1; }
    SECTION("another session") { claims.session = SessionId{4}; }
    SECTION("another terminal") { claims.terminal = TerminalId{4}; }
    SECTION("another purpose") { claims.purpose = Purpose::checkpoint; }
    CHECK_FALSE(admitted(1500ms));
}

TEST_CASE("agent core: a desktop follows the same rules and reports its layout") {
    AgentBench bench;
    bench.enter();
    AssignDesktop assign;
    assign.registration = 5;
    assign.terminal = TerminalId{2};
    assign.epoch = 3;
    assign.revision = 1;
    assign.duty = Duty::primary;
    bench.say(assign);
    CHECK(bench.done<PerformDesktop>().size() == 1);
    bench.take(bench.core.handle(bench.now, LayoutChanged{TerminalId{2}, {WindowPlace{SessionId{3}, 1, 2, 30, 40}}}));
    REQUIRE(bench.sent<LayoutReport>().size() == 1);
    CHECK(bench.sent<LayoutReport>().at(0).epoch == 3);
    assign.epoch = 2;
    assign.revision = 9;
    bench.say(assign);
    CHECK(bench.done<PerformDesktop>().empty());
    bench.take(bench.core.handle(bench.now, LayoutChanged{TerminalId{9}, {}}));
    CHECK(bench.sent<LayoutReport>().empty());
}

TEST_CASE("agent core: nonsense is counted, not obeyed") {
    AgentBench bench;
    bench.enter();
    bench.say(Hello{});
    bench.say(AdminReply{});
    bench.report(Phase::running, 1);
    CHECK(bench.core.counters().unexpected == 3);
    CHECK(bench.actions.empty());
}
