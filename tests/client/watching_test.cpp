// Claims about what is made of a view besides tables: its parts, notices for people who do not look, figures for
// Prometheus, and how notices are brought to their receivers.
#include <atomic>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "client/command/courier.hpp"
#include "client/command/notices.hpp"
#include "client/gateway/metrics.hpp"
#include "client/view/difference.hpp"
#include "client/view/parts.hpp"

using namespace understudy;
using namespace understudy::client;
using Json = nlohmann::json;
using namespace std::chrono_literals;

namespace {

std::string part(int view, int number, int parts, const std::string& rest) {
    return "{\"view\":" + std::to_string(view) + ",\"part\":" + std::to_string(number) + ",\"parts\":" + std::to_string(parts) + "," + rest + "}";
}

Json incident(std::uint64_t id, bool open) { return {{"id", id}, {"open", open}, {"title", "Editor lost its machine"}, {"lost", "1.2 s"}}; }

std::string view_with(const std::vector<Json>& incidents, const Json& manager = Json::object()) {
    return Json{{"incidents", incidents}, {"manager", manager}}.dump();
}

std::vector<std::string> events(Notices& notices, const std::string& view) {
    std::vector<std::string> out;
    const auto taken = notices.take(view, 1000);
    for (const Notice& notice : *taken) out.push_back(notice.event + (notice.subject.empty() ? "" : " " + notice.subject));
    return out;
}

}  // namespace

TEST_CASE("view parts: a view that fits one message is whole as it comes") {
    ViewParts parts;
    CHECK(parts.take(R"({"manager":{}})") == ViewTexts{R"({"manager":{}})"});
    CHECK(parts.take("").empty());
}

TEST_CASE("view parts: parts become one view, in any order, and lists go on") {
    ViewParts parts;
    CHECK(parts.take(part(4, 2, 3, R"("nodes":[{"id":2}])")).empty());
    CHECK(parts.take(part(4, 1, 3, R"("manager":{"version":"1"},"nodes":[{"id":1}],"hosts":[])")).empty());
    const ViewTexts whole = parts.take(part(4, 3, 3, R"("nodes":[{"id":3}],"sessions":[{"id":9}])"));
    REQUIRE(whole.size() == 3);
    CHECK(merged(whole) == R"({"manager":{"version":"1"},"nodes":[{"id":1},{"id":2},{"id":3}],"hosts":[],"sessions":[{"id":9}]})");
}

TEST_CASE("view parts: a newer view ends an older one, and nonsense is dropped") {
    ViewParts parts;
    CHECK(parts.take(part(4, 1, 2, R"("nodes":[])")).empty());
    CHECK(parts.take(part(5, 2, 2, R"("nodes":[])")).empty());
    CHECK(parts.take(part(5, 1, 2, R"("nodes":[])")).size() == 2);
    CHECK(parts.take(part(6, 3, 2, R"("nodes":[])")).empty());
    CHECK(parts.take(part(6, 1, 9999, R"("nodes":[])")).empty());
}

// ------------------------------------------------------------------ what changed

namespace {

Json changes(const ViewTexts& before, const ViewTexts& after) {
    const auto was = IndexedView::read(before);
    const auto is = IndexedView::read(after);
    REQUIRE(was);
    REQUIRE(is);
    return Json::parse(is->changes_since(*was));
}

/// What a page does with them.
Json applied(Json view, const Json& changes) {
    for (const auto& [name, value] : changes["set"].items()) view[name] = value;
    const auto key = [](const Json& row) { return row.contains("id") ? row["id"] : row["flavour"]; };
    for (const auto& [name, list] : changes["rows"].items()) {
        std::map<Json, Json> rows;
        Json order = Json::array();
        for (const Json& row : view[name]) {
            rows[key(row)] = row;
            order.push_back(key(row));
        }
        for (const Json& row : list.value("new", Json::array())) rows[key(row)] = row;
        for (const Json& row : list.value("changed", Json::array())) rows[key(row)].update(row);
        view[name] = Json::array();
        for (const Json& one : list.value("order", order)) view[name].push_back(rows.at(one));
    }
    return view;
}

}  // namespace

TEST_CASE("view changes: only the members that changed, with the row's key") {
    CHECK(changes({R"({"manager":{"at":1},"figures":{},"nodes":[{"id":1,"health":"healthy","door":"a,]}\"b"},{"id":2,"health":"healthy","door":""}]})"},
                  {R"({"manager":{"at":2},"figures":{},"nodes":[{"id":1,"health":"healthy","door":"a,]}\"b"},{"id":2,"health":"down","door":""}]})"}) ==
          Json::parse(R"({"set":{"manager":{"at":2}},"rows":{"nodes":{"changed":[{"id":2,"health":"down"}]}}})"));
}

TEST_CASE("view changes: rows that come, go, move or have other members") {
    const ViewTexts before{R"({"view":4,"part":1,"parts":2,"nodes":[{"id":1,"a":1},{"id":2,"a":1}],"pools":[{"flavour":"small","idle":1}]})",
                           R"({"view":4,"part":2,"parts":2,"nodes":[{"id":3,"a":1}]})"};
    const ViewTexts after{R"({"view":5,"part":1,"parts":2,"nodes":[{"id":4,"a":1},{"id":3,"a":1,"b":[{"c":"]"}]}],"pools":[{"flavour":"small","idle":2}]})",
                          R"({ "view":5, "part":2, "parts":2, "nodes":[ {"id":2,"a":1} ] })"};
    const Json told = changes(before, after);
    CHECK(told["rows"]["nodes"] == Json::parse(R"({"order":[4,3,2],"new":[{"id":4,"a":1},{"id":3,"a":1,"b":[{"c":"]"}]}]})"));
    CHECK(told["rows"]["pools"] == Json::parse(R"({"changed":[{"flavour":"small","idle":2}]})"));
    CHECK(applied(Json::parse(merged(before)), told) == Json::parse(merged(after)));
}

TEST_CASE("view changes: whatever changes, the page has the manager's view afterwards") {
    std::uint32_t seed = 7;
    const auto chance = [&](std::uint32_t of) { return (seed = seed * 1664525 + 1013904223) / 65536 % of; };
    Json view{{"manager", 0}, {"nodes", Json::array()}};
    ViewTexts before{view.dump()};
    for (int round = 0; round < 300; ++round) {
        Json& nodes = view["nodes"];
        if (chance(3) == 0) nodes.insert(nodes.begin() + static_cast<long>(chance(static_cast<std::uint32_t>(nodes.size()) + 1)), Json{{"id", round + 1}, {"text", "\"[\\"}});
        if (!nodes.empty() && chance(4) == 0) nodes.erase(chance(static_cast<std::uint32_t>(nodes.size())));
        if (!nodes.empty()) nodes[chance(static_cast<std::uint32_t>(nodes.size()))][chance(2) == 0 ? "text" : "late"] = round;
        view["manager"] = chance(2);
        const ViewTexts after{view.dump()};
        REQUIRE(applied(Json::parse(before[0]), changes(before, after)) == view);
        before = after;
    }
}

TEST_CASE("view changes: what is no view, or has two rows of one key, is not compared") {
    for (const char* text : {"", "[]", "{", R"({"nodes":[{"id":1},{"id":1}]})", R"({"nodes":[{"name":"x"}]})", R"({"nodes":[{"id":1})", R"({"a":})", R"({"a":1}x)", R"({"a":"b)"}) {
        INFO(text);
        CHECK_FALSE(IndexedView::read({text}));
    }
}

TEST_CASE("notices: what is open is told at the start, what was over before is not") {
    Notices notices("north");
    CHECK(events(notices, view_with({incident(8, true), incident(7, false)})) == std::vector<std::string>{"incident-opened 8"});
    CHECK(events(notices, view_with({incident(8, true), incident(7, false)})).empty());
    CHECK(events(notices, view_with({incident(9, false), incident(8, false), incident(7, false)})) ==
          std::vector<std::string>{"incident-closed 8", "incident-opened 9", "incident-closed 9"});
}

TEST_CASE("notices: what happened while nobody followed is told after the restart") {
    Notices notices("north", 7);
    CHECK(events(notices, view_with({incident(8, false), incident(7, false)})) == std::vector<std::string>{"incident-opened 8", "incident-closed 8"});
    CHECK(notices.last_incident() == 8);
}

TEST_CASE("notices: what came and was over while nobody followed is told, even if nothing had come before") {
    Notices notices("north", 0);
    CHECK(events(notices, view_with({incident(1, false)})) == std::vector<std::string>{"incident-opened 1", "incident-closed 1"});
}

TEST_CASE("notices: gate, store and alarms are told when they change, and bodies say all of it") {
    Notices notices("north");
    const Json well{{"store", "ok"}, {"gate", {{"closed", false}}}, {"alarms", Json::array()}};
    const Json ill{{"store", "failing: disk full"}, {"gate", {{"closed", true}, {"reason", "7 of 9 fell silent"}}}, {"alarms", {"no second domain"}}};
    CHECK(events(notices, view_with({}, well)).empty());
    const auto told = notices.take(view_with({}, ill), 5).value();
    REQUIRE(told.size() == 3);
    CHECK(Json::parse(told[0].body) == Json{{"event", "gate-closed"}, {"text", "7 of 9 fell silent"}, {"site", "north"}, {"sent_wall_ms", 5}});
    CHECK(told[1].event == "store-failing");
    CHECK(told[2].event == "alarm");
    CHECK(events(notices, view_with({}, ill)).empty());
    CHECK(events(notices, view_with({}, well)) == std::vector<std::string>{"gate-opened", "store-ok"});
}

TEST_CASE("notices: a view of another kind is an error, and odd members are no trouble") {
    Notices notices("north");
    CHECK(notices.take("[]", 1).error().code == ErrorCode::damaged);
    CHECK(events(notices, R"({"incidents":[7,{"id":"x"}],"manager":{"alarms":[3],"gate":4}})").empty());
}

TEST_CASE("courier: notices arrive in order, are tried again, and are given up with a word") {
    std::vector<std::string> brought;
    std::vector<std::string> said;
    int failures = 2;
    Courier courier(
        "test", [&](const Notice& notice) -> Result<> {
            if (failures-- > 0) return failure(ErrorCode::failed, "not now");
            brought.push_back(notice.event);
            return {};
        },
        {1ms}, [&](const std::string& text) { said.push_back(text); });
    for (const char* event : {"a", "b", "c"}) courier.bring({event, "", "{}"});
    REQUIRE(courier.settle(20s));
    CHECK(brought == std::vector<std::string>{"b", "c"});
    REQUIRE(said.size() == 2);
    CHECK(said[0] == "not now; tried again in 1 ms");
    CHECK(said[1] == "not now; given up after 2 attempts: a ");
}

TEST_CASE("courier: a receiver that hangs costs the oldest notices, never memory without end") {
    std::atomic<bool> open = false;
    std::atomic<int> lost = 0;
    std::atomic<int> brought = 0;
    Courier courier(
        "test", [&](const Notice&) -> Result<> {
            while (!open) std::this_thread::yield();
            ++brought;
            return {};
        },
        {}, [&](const std::string&) { ++lost; });
    for (std::size_t i = 0; i < Courier::kQueued + 50; ++i) courier.bring({"a", "", "{}"});
    CHECK(lost >= 49);
    open = true;
    REQUIRE(courier.settle(20s));
    CHECK(brought + lost == static_cast<int>(Courier::kQueued) + 50);
}

TEST_CASE("webhook addresses are named without what may be secret") {
    CHECK(plain_address("https://user:word@hooks.example:8443/T0/secret?token=1") == "https://hooks.example:8443");
    CHECK(plain_address("nonsense") == "(an address)");
}

TEST_CASE("metrics: without a view there are the gateway's own figures") {
    const std::string text = gateway::metrics_text("", {true, -1, 3, 1});
    CHECK(text.find("understudy_gateway_manager_connected 1\n") != std::string::npos);
    CHECK(text.find("understudy_gateway_connections 3\n") != std::string::npos);
    CHECK(text.find("understudy_view_age_seconds") == std::string::npos);
}

TEST_CASE("metrics: phases are cumulative histograms in seconds, and labels are escaped") {
    const Json view{{"manager", {{"version", "a\"b\\c"}, {"store", "ok"}, {"gate", {{"closed", true}, {"held", 4}}}}},
                    {"figures", {{"failovers", {{{"kind", "execution"}, {"outcome", "seen"}, {"count", 3}}}},
                                 {"phases", {{{"kind", "execution"}, {"phase", "restored"}, {"bounds_us", {1000, 500000}}, {"counts", {1, 2, 4}}, {"sum_us", 2500000}, {"count", 7}}}}}}};
    const std::string text = gateway::metrics_text(view.dump(), {});
    const auto has = [&](const std::string& line) { return text.find("\n" + line + "\n") != std::string::npos; };
    CHECK(has(R"(understudy_manager_info{version="a\"b\\c"} 1)"));
    CHECK(has("understudy_gate_closed 1"));
    CHECK(has("understudy_gate_held_nodes 4"));
    CHECK(has(R"(understudy_failovers_total{kind="execution",outcome="seen"} 3)"));
    CHECK(has(R"(understudy_phase_duration_seconds_bucket{kind="execution",phase="restored",le="0.001"} 1)"));
    CHECK(has(R"(understudy_phase_duration_seconds_bucket{kind="execution",phase="restored",le="0.5"} 3)"));
    CHECK(has(R"(understudy_phase_duration_seconds_bucket{kind="execution",phase="restored",le="+Inf"} 7)"));
    CHECK(has(R"(understudy_phase_duration_seconds_sum{kind="execution",phase="restored"} 2.5)"));
    CHECK(has(R"(understudy_phase_duration_seconds_count{kind="execution",phase="restored"} 7)"));
}
