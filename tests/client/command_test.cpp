// Claims about what the command line shows.
#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>

#include "client/command/amounts.hpp"
#include "client/command/table.hpp"
#include "client/command/view_text.hpp"

using namespace understudy;
using namespace understudy::client;

namespace {

std::string file_text(const std::string& name) {
    std::ifstream stream(std::string(TEST_DATA) + "/" + name);
    REQUIRE(stream);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("table: columns align by characters, and no line ends in spaces") {
    Table table({{"NAME"}, {"COUNT", Align::right}, {"LAST"}});
    table.add({"Zürich", "7", "x"});
    table.add({"a", "1234567", ""});
    CHECK(table.text() == "NAME      COUNT  LAST\nZürich        7  x\na       1234567  -\n");
}

TEST_CASE("table: a cell can neither forge a row nor steer the terminal") {
    Table table({{"A"}});
    table.add({"x\n7 forged\x1b[2J\xC2\x9B" "1m"});
    CHECK(table.text() == "A\nx 7 forged [2J  1m\n");
}

TEST_CASE("amounts: are short, with one decimal where it says something") {
    CHECK(duration_text(850) == "850 µs");
    CHECK(duration_text(3200000) == "3.2 s");
    CHECK(duration_text(3000000) == "3 s");
    CHECK(duration_text(812400) == "812 ms");
    CHECK(duration_text(-5) == "0 s");
    CHECK(bytes_text(1420000) == "1.4 MB");
    CHECK(mebibytes_text(2048) == "2 GiB");
    CHECK(wall_text(0) == "-");
    CHECK(wall_text(1795400000000) == "2026-11-23 02:13:20 UTC");
}

TEST_CASE("view: each section reads as recorded") {
    const std::string view = file_text("view.json");
    for (const auto& [section, name] : {std::pair{Section::status, "status"}, std::pair{Section::hosts, "hosts"},
                                        std::pair{Section::nodes, "nodes"}, std::pair{Section::terminals, "terminals"},
                                        std::pair{Section::sessions, "sessions"}, std::pair{Section::pools, "pools"},
                                        std::pair{Section::incidents, "incidents"}}) {
        INFO(name);
        CHECK(view_text(view, section).value() == file_text(std::string(name) + ".txt"));
    }
}

TEST_CASE("view: an incident tells evidence, proof, decision, what was weighed, what was lost and when") {
    CHECK(incident_text(file_text("incident.json")).value() == file_text("incident.txt"));
}

TEST_CASE("rehearsal: what has no place comes first, then who goes where, then who lacks a backup") {
    CHECK(rehearsal_text(file_text("rehearsal.json")).value() == file_text("rehearsal.txt"));
    CHECK(rehearsal_text("{}"));
    CHECK(rehearsal_text("[").error().code == ErrorCode::damaged);
}

TEST_CASE("names: what commands take, one on a line") {
    CHECK(names_in(R"({"hosts":[{"name":"alpha"},{"name":"be\nta"}],"nodes":[{"id":5}],"pools":[{"flavour":"small"}]})", "hosts") == "alpha\nbe ta\n");
    CHECK(names_in(R"({"nodes":[{"id":5}]})", "nodes") == "5\n");
    CHECK(names_in(R"({"pools":[{"flavour":"small"}]})", "pools") == "small\n");
    CHECK(names_in("[", "hosts").empty());
}

TEST_CASE("view: members that are missing or of another type are shown as absent, never fatal") {
    for (const char* view : {"{}", R"({"nodes":[{}],"hosts":[7],"terminals":[{"presentation":[]}],"sessions":[{"backups":{}}],"pools":[null],"incidents":[{"phases":3}],"manager":4})"}) {
        for (int section = 0; section <= static_cast<int>(Section::incidents); ++section) {
            CHECK(view_text(view, static_cast<Section>(section)));
        }
    }
    CHECK(view_text("[", Section::nodes).error().code == ErrorCode::damaged);
    CHECK(incident_text("{}"));
}

TEST_CASE("command: the audit log says who did what for whom and why, and what became of it; a forged line stays one cell") {
    const auto text = audit_text(R"({"entries":[
        {"id":"7.2","at":"2026-01-02T03:04:06.000Z","who":"web","role":"gateway","by":"anna","verb":"kill","arguments":["node=5"],"reason":"hangs\nALL FINE"},
        {"id":"7.1","at":"2026-01-02T03:04:05.000Z","who":"ben","role":"administrator","verb":"fence","arguments":["host=alpha"],"reason":"smoke",
         "result":{"at":"2026-01-02T03:04:05.100Z","result":"refused","code":6,"text":"host alpha has no fence agent"}}],"complete":false})");
    REQUIRE(text);
    CHECK_THAT(*text, Catch::Contains("web  anna  kill node=5       hangs ALL FINE  not answered"));
    CHECK_THAT(*text, Catch::Contains("ben  -     fence host=alpha  smoke           refused: host alpha has no fence agent"));
    CHECK_THAT(*text, Catch::Contains("There is more"));
    CHECK(audit_text("{}").value() == "Nobody has done anything yet.\n");
    CHECK(audit_text("[").error().code == ErrorCode::damaged);
}
