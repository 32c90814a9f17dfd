// Claims about the flight recorder.
#include <catch2/catch.hpp>

#include "manager/core/decide.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace std::chrono_literals;

namespace {

struct Recorder {
    State state{Settings{}};
    Recorder() { state.now = TimePoint{} + 100s; }
    IncidentId open(Duration ago = 0ms) {
        return open_incident(state, "execution", TerminalId(1), SessionId(2), NodeId(3), "xterm lost its machine", state.now - ago, "failed");
    }
    [[nodiscard]] const IncidentRecord& at(IncidentId id) const { return state.incidents.at(id); }
};

}  // namespace

TEST_CASE("incidents: phases count from the first sign, and the first mark of a phase stays", "[core]") {
    Recorder recorder;
    const IncidentId id = recorder.open(1500ms);
    mark(recorder.state, id, "decided");
    recorder.state.now += 2s;
    mark(recorder.state, id, "decided");
    mark(recorder.state, id, "picture");
    REQUIRE(recorder.at(id).phases.size() == 3);
    CHECK(recorder.at(id).phases[1] == PhaseMark{"decided", 1'500'000});
    CHECK(recorder.at(id).phases[2] == PhaseMark{"picture", 3'500'000});
}

TEST_CASE("incidents: one that waits for a place is undecided until it is decided or superseded", "[core]") {
    Recorder recorder;
    const IncidentId first = recorder.open();
    CHECK(undecided(recorder.state, first));
    supersede(recorder.state, first);
    CHECK_FALSE(undecided(recorder.state, first));
    CHECK_FALSE(recorder.at(first).open);
    const IncidentId second = recorder.open();
    mark(recorder.state, second, "decided");
    CHECK_FALSE(undecided(recorder.state, second));
    CHECK(recorder.at(second).open);
    CHECK_FALSE(undecided(recorder.state, IncidentId{}));
}

TEST_CASE("incidents: their number is bounded, the oldest go first, and marks of those gone are harmless", "[core]") {
    Recorder recorder;
    const IncidentId first = recorder.open();
    for (int i = 0; i < 250; ++i) recorder.open();
    CHECK(recorder.state.incidents.rows().size() == 200);
    CHECK(recorder.state.incidents.find(first) == nullptr);
    CHECK(recorder.state.incident_start.size() == 200);
    mark(recorder.state, first, "picture");
    close_incident(recorder.state, first);
    CHECK(recorder.state.incidents.find(first) == nullptr);
}

TEST_CASE("figures: an incident counts once, by how it ended, and each phase from the one before", "[core]") {
    Recorder recorder;
    const IncidentId seen = recorder.open();
    recorder.state.now += 300ms;
    mark(recorder.state, seen, "detected");
    recorder.state.now += 2s;
    mark(recorder.state, seen, "picture");
    close_incident(recorder.state, seen);
    close_incident(recorder.state, seen);
    const Figures& figures = recorder.state.figures;
    CHECK(figures.failovers.at({"execution", "seen"}) == 1);
    CHECK(figures.phases.at({"execution", "detected"}).sum_us == 300'000);
    CHECK(figures.phases.at({"execution", "picture"}).sum_us == 2'000'000);
    CHECK(figures.phases.at({"execution", "whole"}).sum_us == 2'300'000);
    CHECK_FALSE(figures.phases.contains({"execution", "failed"}));
    supersede(recorder.state, recorder.open());
    close_incident(recorder.state, recorder.open());
    CHECK(figures.failovers.at({"execution", "superseded"}) == 1);
    CHECK(figures.failovers.at({"execution", "unwatched"}) == 1);
}

TEST_CASE("figures: a duration is in the first bucket that holds it, longer ones in the last", "[core]") {
    Histogram histogram;
    histogram.add(5'000);
    histogram.add(5'001);
    histogram.add(3'600'000'000);
    CHECK(histogram.counts.front() == 1);
    CHECK(histogram.counts[1] == 1);
    CHECK(histogram.counts.back() == 1);
    CHECK(histogram.count == 3);
}
