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
