// The agent's configuration: a mistake is named by file, line and option.
#include "nodes/agent/config.hpp"

#include <catch2/catch.hpp>

#include "nodes/agent/base/tcp.hpp"

using namespace understudy;
using namespace understudy::node;

namespace {

const std::string kKey(40, 'k');

std::string sound() {
    return "[node]\nid = 7\nslots = 3\n[manager]\nendpoint = \"tcp://10.0.2.2:7600\"\npublic_key = \"" + kKey + "\"\n[keys]\npublic = \"" + kKey +
           "\"\nsecret = \"" + kKey + "\"\n";
}

std::string problem_of(const std::string& text) {
    const auto config = parse_config(text, "agent.toml");
    return config ? "" : config.error().message;
}

}  // namespace

TEST_CASE("config: a seed padded with zeros is understood") {
    const auto config = parse_config(sound() + std::string(4096, '\0'), "seed");
    REQUIRE(config);
    CHECK(config->node == NodeId(7));
    CHECK(config->slots == 3);
    CHECK(config->door_port == 5900);
}

TEST_CASE("config: a mistake is named with its file, line and option") {
    CHECK_THAT(problem_of(sound() + "[log]\nlevle = \"info\"\n"), Catch::Contains("agent.toml:11: there is no option log.levle"));
    CHECK_THAT(problem_of("[node]\nid = 1\nslots = 900\n"), Catch::Contains("agent.toml:3: the option node.slots has to be from 1 to 64"));
    CHECK_THAT(problem_of("[node]\nid = \"x\"\n"), Catch::Contains("agent.toml:2: the option node.id has to be a whole number"));
    CHECK_THAT(problem_of("[node]\nid = 1\n"), Catch::Contains("the option manager.endpoint is missing"));
    CHECK_THAT(problem_of("[node\n"), Catch::Contains("agent.toml:1:"));
    CHECK_THAT(problem_of(sound() + "[sessions]\npause_budget = 2.0\n"), Catch::Contains("between 0 and 1"));
}

TEST_CASE("config: a file that is not there is said to be not there") {
    const auto config = read_config("/nonexistent/agent.toml");
    REQUIRE_FALSE(config);
    CHECK(config.error().code == ErrorCode::not_found);
    CHECK_THAT(config.error().message, Catch::Contains("/nonexistent/agent.toml") && Catch::Contains("--config"));
}

TEST_CASE("endpoints: doors on the manager's loopback are reached by the alias, others as they are") {
    CHECK(as_seen_here({"127.0.0.1", 41001}, "10.0.2.2").host == "10.0.2.2");
    CHECK(as_seen_here({"localhost", 41001}, "10.0.2.2").host == "10.0.2.2");
    CHECK(as_seen_here({"192.0.2.7", 41001}, "10.0.2.2").host == "192.0.2.7");
    CHECK(as_seen_here({"127.0.0.1", 41001}, "").host == "127.0.0.1");
}
