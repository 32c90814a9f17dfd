// Claims about the programs as a whole: command line, gateway and probe as child processes, against a
// manager and doors that the test plays. Waiting is for events, never for time to pass.
#include <algorithm>
#include <map>

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include "fake_door.hpp"
#include "fake_manager.hpp"
#include "program.hpp"
#include "web_client.hpp"

using namespace understudy;
using namespace understudy::test;
using Json = nlohmann::json;
using namespace std::chrono_literals;

namespace {

/// Made anew for each gateway, which keeps no more than its hash.
std::string made_key;
std::string bearer() { return "Authorization: Bearer " + made_key + "\r\n"; }

TerminalRedirect redirect_to(Epoch epoch, const FakeDoor& door) {
    return {TerminalId(7), epoch, door.endpoint(), {{}, "ticket-" + std::to_string(epoch)}, IncidentId(epoch * 10)};
}

/// A manager, a folder with a configuration, and whatever doors a test steps.
struct Scene {
    FakeManager manager;
    TemporaryFolder folder;
    std::vector<FakeDoor*> doors;
    std::vector<TerminalSeen> seen;
    std::string terminal_connection;                 ///< of the terminal that attached last
    std::map<std::string, std::string> connections;  ///< by terminal

    std::string configuration(const std::string& more = {}) { return folder.write("client.toml", manager.configuration_text() + more); }

    /// Terminals that attach are answered with this, if there is one.
    std::optional<TerminalRedirect> redirect;

    Scene() {
        manager.on_message = [this](const Heard& heard) {
            if (const auto* attach = std::get_if<TerminalAttach>(&heard.message)) {
                terminal_connection = heard.from;
                connections[attach->terminal] = heard.from;
                if (redirect) manager.send(heard.from, *redirect);
            }
            if (const auto* what = std::get_if<TerminalSeen>(&heard.message)) seen.push_back(*what);
            return true;
        };
    }

    bool until(const std::function<bool()>& done, std::chrono::milliseconds timeout = 10s) {
        return manager.pump_until(
            [&] {
                for (FakeDoor* door : doors) door->step();
                return done();
            },
            timeout);
    }

    bool was_seen(const std::string& what, Epoch epoch) const {
        return std::any_of(seen.begin(), seen.end(), [&](const TerminalSeen& one) {
            return one.what == what && one.epoch == epoch && one.incident == IncidentId(epoch * 10) && one.terminal == TerminalId(7);
        });
    }
};

/// Runs the command line to its end while the manager answers.
struct Ran {
    int exit_code;
    std::string output;
    std::string problems;
};

Ran run(Scene& scene, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), COMMAND_PROGRAM);
    Program program(arguments);
    REQUIRE(scene.until([&] { return program.ended(); }));
    return {program.exit_code(), program.output(), program.problems()};
}

/// Answers every admin request with a copy of `reply`, and remembers the requests.
void answer_admin(Scene& scene, const AdminReply& reply, std::vector<AdminRequest>& requests) {
    scene.manager.on_message = [&scene, reply, &requests](const Heard& heard) {
        const auto* request = std::get_if<AdminRequest>(&heard.message);
        if (request == nullptr) return false;
        requests.push_back(*request);
        AdminReply answer = reply;
        answer.request = request->request;
        scene.manager.send(heard.from, answer);
        return true;
    };
}

std::string configuration_of_gateway(Scene& scene) { return scene.configuration("[gateway]\ntls = 'off'\nport = 0\nport_file = 'port'\n"); }

/// What `understudy-gateway account …` and `key …` print.
std::string manage(Scene& scene, std::vector<std::string> words) {
    words.insert(words.begin(), {GATEWAY_PROGRAM, "--config", configuration_of_gateway(scene)});
    Program program(words);
    REQUIRE(scene.until([&] { return program.ended(); }));
    INFO(program.problems());
    REQUIRE(program.exit_code() == 0);
    return program.output().substr(0, program.output().find('\n'));
}

std::string with_key(Scene& scene) {
    made_key = manage(scene, {"key", "add", "tests", "--role", "administrator"});
    return configuration_of_gateway(scene);
}

/// A running gateway.
struct Gateway {
    explicit Gateway(Scene& given)
        : scene(given),
          program({GATEWAY_PROGRAM, "--config",
                   with_key(given)}) {
        std::optional<std::string> line;
        REQUIRE(scene.until([&] { return (line = program.line()).has_value(); }));
        const auto colon = line->rfind(':');
        port = static_cast<std::uint16_t>(std::stoi(line->substr(colon + 1)));
    }

    WebAnswer get(const std::string& target, const std::string& head = {}) { return ask("GET", target, head); }

    WebAnswer ask(const std::string& method, const std::string& target, const std::string& head, const std::string& body = {}) {
        WebClient client(port);
        client.request(method, target, head, body);
        std::optional<WebAnswer> answer;
        REQUIRE(scene.until([&] { return (answer = client.answer()).has_value(); }));
        return *answer;
    }

    /// An open WebSocket.
    WebClient open(const std::string& target) {
        WebClient client(port);
        client.upgrade(target, bearer());
        std::optional<WebAnswer> answer;
        REQUIRE(scene.until([&] { return (answer = client.answer()).has_value(); }));
        REQUIRE(answer->status == 101);
        return client;
    }

    std::string message(WebClient& client) {
        std::optional<std::string> message;
        REQUIRE(scene.until([&] { return (message = client.message()).has_value(); }));
        return *message;
    }

    /// The next event of this name; others are skipped.
    Json event(WebClient& client, const std::string& name) {
        while (true) {
            const Json json = Json::parse(message(client));
            if (json["event"] == name) return json;
        }
    }

    void connected() {
        REQUIRE(scene.until([&] { return get("/api/v1/health").body.find("connected") != std::string::npos; }));
    }

    Scene& scene;
    Program program;
    std::uint16_t port = 0;
};

/// A running probe.
struct Probe {
    explicit Probe(Scene& given) : scene(given), program({PROBE_PROGRAM, "--terminal", "demo", "--config", given.configuration()}) {}

    /// The next line for which the key has this value; others are skipped.
    Json next(const std::string& key, const std::string& value) {
        while (true) {
            std::optional<std::string> line;
            REQUIRE(scene.until([&] { return (line = program.line()).has_value(); }));
            const Json json = Json::parse(*line);
            if (json.value(key, "") == value) return json;
        }
    }

    Scene& scene;
    Program program;
};

}  // namespace

// ------------------------------------------------------------------ command line

TEST_CASE("command: an act carries its arguments and reason, and prints the manager's words") {
    Scene scene;
    std::vector<AdminRequest> requests;
    answer_admin(scene, {0, 0, "session 2 moves to node 6", ""}, requests);
    const Ran ran = run(scene, {"failover", "--session", "2", "--reason", "a test", "--config", scene.configuration()});
    CHECK(ran.exit_code == 0);
    CHECK(ran.output == "session 2 moves to node 6\n");
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].verb == "failover");
    std::sort(requests[0].arguments.begin(), requests[0].arguments.end());
    CHECK(requests[0].arguments == std::vector<std::string>{"reason=a test", "session=2"});
}

TEST_CASE("command: what the manager refuses is told on standard error, with an exit code of its own") {
    Scene scene;
    std::vector<AdminRequest> requests;
    answer_admin(scene, {0, static_cast<std::uint32_t>(ErrorCode::not_found), "there is no node 99", ""}, requests);
    const Ran ran = run(scene, {"kill", "99", "--reason", "x", "--config", scene.configuration()});
    CHECK(ran.exit_code == 5);
    CHECK(ran.output.empty());
    CHECK(ran.problems == "understudy: there is no node 99\n");
}

TEST_CASE("command: without a reason no act is sent") {
    Scene scene;
    const Ran ran = run(scene, {"kill", "5", "--config", scene.configuration()});
    CHECK(ran.exit_code == 2);
    CHECK(ran.problems.find("--reason is required") != std::string::npos);
}

TEST_CASE("command: a manager that is not there, and one that does not answer, are told apart") {
    Scene scene;
    const std::string configuration = scene.configuration();
    scene.manager.vanish();
    const Ran away = run(scene, {"status", "--timeout", "0.3", "--config", configuration});
    CHECK(away.exit_code == 3);
    CHECK(away.problems.find("no manager answers at tcp://127.0.0.1:") != std::string::npos);
    scene.manager.resume();
    scene.manager.on_message = nullptr;
    const Ran silent = run(scene, {"kill", "5", "--reason", "x", "--timeout", "0.5", "--config", configuration});
    CHECK(silent.exit_code == 9);
    CHECK(silent.problems.find("may or may not have happened") != std::string::npos);
}

TEST_CASE("command: a key that the manager does not know is named, so that it can be entered") {
    Scene scene;
    scene.manager.admit_only({});
    const auto keys = client::make_key_pair();
    const auto manager = scene.manager.configuration();
    const std::string path = scene.folder.write("c.toml", "manager = '" + manager.manager + "'\nmanager_key = '" + manager.manager_key +
                                                              "'\npublic_key = '" + keys.public_key + "'\nsecret_key = '" + keys.secret_key + "'\n");
    const Ran ran = run(scene, {"status", "--config", path});
    CHECK(ran.exit_code == 3);
    CHECK(ran.problems.find("does not admit this key: enter public key " + keys.public_key) != std::string::npos);
}

TEST_CASE("command: an act is asked again after a reconnection, with the same request number") {
    Scene scene;
    Program program({COMMAND_PROGRAM, "release", "demo", "--reason", "x", "--config", scene.configuration()});
    const auto first = scene.manager.wait_for<AdminRequest>();
    REQUIRE(first);
    scene.manager.vanish();
    scene.manager.resume();
    const auto second = scene.manager.wait_for<AdminRequest>();
    REQUIRE(second);
    CHECK(second->second == first->second);
    scene.manager.send(second->first, AdminReply{second->second.request, 0, "released", ""});
    REQUIRE(scene.until([&] { return program.ended(); }));
    CHECK(program.exit_code() == 0);
}

TEST_CASE("command: watch subscribes and prints one line of JSON per view") {
    Scene scene;
    Program program({COMMAND_PROGRAM, "watch", "--json", "--updates", "2", "--config", scene.configuration()});
    const auto asked = scene.manager.wait_for<AdminRequest>();
    REQUIRE(asked);
    CHECK(asked->second.verb == "watch");
    scene.manager.send(asked->first, AdminReply{asked->second.request, 0, "", "{\"n\":1}"});
    scene.manager.send(asked->first, AdminUpdate{"{\"n\":2}"});
    REQUIRE(scene.until([&] { return program.ended(); }));
    CHECK(program.exit_code() == 0);
    CHECK(program.output() == "{\"n\":1}\n{\"n\":2}\n");
}

// ------------------------------------------------------------------ gateway: access

TEST_CASE("gateway: without the key there is the login page and nothing else") {
    Scene scene;
    Gateway gateway(scene);
    for (const char* target : {"/", "/console", "/terminal/demo", "/novnc/core/rfb.js", "/assets/console.js"}) {
        const WebAnswer answer = gateway.get(target);
        INFO(target);
        CHECK(answer.status == 401);
        CHECK(answer.body.find("name=\"password\"") != std::string::npos);
        CHECK(answer.header("Content-Security-Policy").find("frame-ancestors 'none'") != std::string::npos);
        CHECK(answer.header("X-Content-Type-Options") == "nosniff");
    }
    CHECK(gateway.get("/api/v1/view").status == 401);
    WebClient socket(gateway.port);
    socket.upgrade("/api/v1/watch");
    std::optional<WebAnswer> answer;
    REQUIRE(scene.until([&] { return (answer = socket.answer()).has_value(); }));
    CHECK(answer->status == 401);
}

TEST_CASE("gateway: a password buys a cookie that scripts cannot read and other sites cannot use") {
    Scene scene;
    Gateway gateway(scene);
    const std::string password = manage(scene, {"account", "add", "ada", "--role", "operator", "--generate"});
    const std::string form = "Content-Type: application/x-www-form-urlencoded\r\n";
    const std::string right = "name=ada&password=" + password + "&next=/console";
    const auto log_in = [&](const std::string& body, const std::string& head = {}) { return gateway.ask("POST", "/login", form + head, body); };
    // The running gateway hears of a new account by itself.
    REQUIRE(scene.until([&] { return log_in(right).status == 303; }));
    CHECK(log_in("name=ada&password=wrong").status == 403);
    CHECK(log_in(right, "Origin: http://evil.example\r\n").status == 403);
    CHECK(gateway.get("/login?" + right).status == 200);
    const WebAnswer answer = log_in(right);
    CHECK(answer.status == 303);
    CHECK(answer.header("Location") == "/console");
    const std::string cookie = answer.header("Set-Cookie");
    CHECK(cookie.find("HttpOnly") != std::string::npos);
    CHECK(cookie.find("SameSite=Strict") != std::string::npos);
    CHECK(cookie.find("Secure") == std::string::npos);
    CHECK(log_in(right, "X-Forwarded-Proto: https\r\n").header("Set-Cookie").find("Secure") != std::string::npos);
    const std::string head = "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
    CHECK(gateway.get("/console", head).status == 200);
    CHECK(gateway.ask("POST", "/logout", head).status == 303);
    CHECK(gateway.get("/console", head).status == 401);
}

TEST_CASE("gateway: malformed and oversized requests are answered, and the next one works") {
    Scene scene;
    Gateway gateway(scene);
    const auto raw = [&](const std::string& bytes) {
        WebClient client(gateway.port);
        client.connection().send(bytes);
        std::optional<WebAnswer> answer;
        REQUIRE(scene.until([&] { return (answer = client.answer()).has_value(); }));
        return answer->status;
    };
    CHECK(raw("nonsense\r\n\r\n") == 400);
    CHECK(raw("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
    CHECK(raw("GET / HTTP/1.1\r\nX: " + std::string(20000, 'a') + "\r\n\r\n") == 431);
    CHECK(raw("POST /login HTTP/1.1\r\nContent-Length: 999999\r\n\r\n") == 413);
    CHECK(gateway.get("/novnc/../../etc/passwd", bearer()).status == 404);
    CHECK(gateway.get("/", bearer()).status == 200);
}

TEST_CASE("gateway: ends in order when told to") {
    Scene scene;
    Gateway gateway(scene);
    WebClient watch = gateway.open("/api/v1/watch");
    gateway.program.interrupt();
    REQUIRE(scene.until([&] { return gateway.program.ended(); }));
    CHECK(gateway.program.exit_code() == 0);
}

// ------------------------------------------------------------------ gateway: console

TEST_CASE("gateway: an act needs its header and the same origin, and brings the manager's answer back") {
    Scene scene;
    std::vector<AdminRequest> requests;
    answer_admin(scene, {0, static_cast<std::uint32_t>(ErrorCode::refused), "node 5 is primary", "{\"a\":1}"}, requests);
    Gateway gateway(scene);
    gateway.connected();
    const std::string body = R"({"verb":"kill","arguments":{"node":5,"reason":"why"}})";
    CHECK(gateway.ask("POST", "/api/v1/act", bearer(), body).status == 403);
    CHECK(gateway.ask("POST", "/api/v1/act", bearer() + "X-Understudy-Request: 1\r\nOrigin: http://evil.example\r\n", body).status == 403);
    CHECK(requests.empty());
    const std::string own = bearer() + "X-Understudy-Request: 1\r\nOrigin: http://127.0.0.1:" + std::to_string(gateway.port) + "\r\n";
    const WebAnswer answer = gateway.ask("POST", "/api/v1/act", own, body);
    CHECK(answer.status == 409);
    CHECK(Json::parse(answer.body) == Json{{"code", 3}, {"word", "refused"}, {"text", "node 5 is primary"}, {"json", {{"a", 1}}}});
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].arguments == std::vector<std::string>{"node=5", "reason=why", "by=tests"});
    CHECK(gateway.ask("POST", "/api/v1/act", own, R"({"verb":"kill","arguments":{"node":5,"reason":"x","by":"somebody else"}})").status == 400);
    CHECK(gateway.ask("POST", "/api/v1/act", own, "not json").status == 400);
    CHECK(gateway.ask("POST", "/api/v1/act", own, R"({"verb":"watch"})").status == 400);
    CHECK(requests.size() == 1);
}

TEST_CASE("gateway: all browsers share one subscription, and a late one gets the last view at once") {
    Scene scene;
    std::vector<AdminRequest> requests;
    answer_admin(scene, {0, 0, "", "{\"n\":1}"}, requests);
    Gateway gateway(scene);
    gateway.connected();
    const auto view_of = [&](WebClient& client) {
        while (true) {
            const Json push = Json::parse(gateway.message(client));
            if (!push["view"].is_null()) return push;
        }
    };
    WebClient first = gateway.open("/api/v1/watch");
    CHECK(view_of(first)["view"]["n"] == 1);
    WebClient second = gateway.open("/api/v1/watch");
    const Json push = view_of(second);
    CHECK(push["view"]["n"] == 1);
    CHECK(push["connected"] == true);
    CHECK(requests.size() == 1);
    CHECK(requests[0].verb == "watch");
}

TEST_CASE("gateway: a page that asks for changes gets the whole view first, then what changed") {
    Scene scene;
    std::vector<AdminRequest> requests;
    answer_admin(scene, {0, 0, "", R"({"nodes":[{"id":1,"health":"healthy","host":"a"}]})"}, requests);
    Gateway gateway(scene);
    gateway.connected();
    WebClient watch = gateway.open("/api/v1/watch?changes=1");
    Json push;
    while (push["view"].is_null()) push = Json::parse(gateway.message(watch));
    const std::uint64_t number = push["number"];
    CHECK(push["view"]["nodes"][0]["host"] == "a");
    scene.manager.vanish();
    push = Json::parse(gateway.message(watch));
    CHECK(push["number"] == number + 1);
    CHECK(push["connected"] == false);
    CHECK(push["changes"] == Json::object());
    CHECK_FALSE(push.contains("view"));
    answer_admin(scene, {0, 0, "", R"({"nodes":[{"id":1,"health":"down","host":"a"}]})"}, requests);
    scene.manager.resume();
    while (!push["changes"].contains("rows")) push = Json::parse(gateway.message(watch));
    CHECK(push["changes"]["rows"] == Json::parse(R"({"nodes":{"changed":[{"id":1,"health":"down"}]}})"));
}

TEST_CASE("gateway: while the manager is away the last view stays, with since when") {
    Scene scene;
    std::vector<AdminRequest> requests;
    answer_admin(scene, {0, 0, "", "{\"n\":1}"}, requests);
    Gateway gateway(scene);
    gateway.connected();
    WebClient watch = gateway.open("/api/v1/watch");
    Json push;
    while (push["view"].is_null()) push = Json::parse(gateway.message(watch));
    scene.manager.vanish();
    while (push["connected"] == true) push = Json::parse(gateway.message(watch));
    CHECK(push["view"]["n"] == 1);
    CHECK(push["since_wall_ms"].get<std::int64_t>() > 0);
    CHECK(push["reason"].get<std::string>().find("was lost") != std::string::npos);
    const WebAnswer view = gateway.get("/api/v1/view", bearer());
    CHECK(view.status == 200);
    CHECK_FALSE(view.header("X-Understudy-Manager-Away-Since").empty());
    const WebAnswer act = gateway.ask("POST", "/api/v1/act", bearer() + "X-Understudy-Request: 1\r\n", R"({"verb":"kill","arguments":["node=5"]})");
    CHECK(act.status == 503);
    scene.manager.resume();
    while (push["connected"] == false) push = Json::parse(gateway.message(watch));
}

// ------------------------------------------------------------------ gateway: terminals

TEST_CASE("gateway: a stream is let in with the ticket and carries bytes both ways") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    scene.doors = {&door};
    scene.redirect = redirect_to(3, door);
    Gateway gateway(scene);
    WebClient events = gateway.open("/api/v1/terminals/demo/events");
    CHECK(gateway.event(events, "redirect")["epoch"] == 3);
    WebClient stream = gateway.open("/api/v1/terminals/demo/stream?epoch=3");
    CHECK(gateway.message(stream) == "welcome");
    REQUIRE(door.greetings.size() == 1);
    CHECK(door.greetings[0] == "UNDERSTUDY/1 desktop ticket-3");
    stream.send_binary("hello");
    CHECK(gateway.message(stream) == "hello");
    events.send_text(R"({"seen":"picture","epoch":3})");
    CHECK(scene.until([&] { return scene.was_seen("connected", 3) && scene.was_seen("picture", 3); }));
}

TEST_CASE("gateway: much data arrives whole and in order through a page that reads slowly") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    scene.doors = {&door};
    scene.redirect = redirect_to(1, door);
    Gateway gateway(scene);
    WebClient stream = gateway.open("/api/v1/terminals/demo/stream");
    CHECK(gateway.message(stream) == "welcome");
    std::string expected;
    std::string received;
    for (int round = 0; round < 40; ++round) {
        std::string part(100000, static_cast<char>('a' + round % 26));
        door.send(part);
        expected += part;
        while (received.size() < expected.size()) received += gateway.message(stream);
    }
    CHECK(received == expected);
}

TEST_CASE("gateway: a newer epoch ends older streams, and an older redirect is not obeyed") {
    Scene scene;
    FakeDoor old_door(FakeDoor::Behind::echo);
    FakeDoor new_door(FakeDoor::Behind::echo);
    scene.doors = {&old_door, &new_door};
    scene.redirect = redirect_to(3, old_door);
    Gateway gateway(scene);
    WebClient events = gateway.open("/api/v1/terminals/demo/events");
    CHECK(gateway.event(events, "redirect")["epoch"] == 3);
    WebClient first = gateway.open("/api/v1/terminals/demo/stream");
    CHECK(gateway.message(first) == "welcome");
    scene.redirect = redirect_to(4, new_door);
    scene.manager.send(scene.terminal_connection, *scene.redirect);
    CHECK(gateway.event(events, "redirect")["epoch"] == 4);
    CHECK(scene.until([&] {
        static_cast<void>(first.message());
        return first.closed_with == 4002;
    }));
    scene.manager.send(scene.terminal_connection, redirect_to(2, old_door));
    WebClient second = gateway.open("/api/v1/terminals/demo/stream");
    CHECK(gateway.message(second) == "welcome");
    CHECK(new_door.greetings == std::vector<std::string>{"UNDERSTUDY/1 desktop ticket-4"});
    CHECK(old_door.greetings.size() == 1);
}

TEST_CASE("gateway: a door that breaks is reported, and the manager is asked again") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    scene.doors = {&door};
    scene.redirect = redirect_to(3, door);
    Gateway gateway(scene);
    WebClient stream = gateway.open("/api/v1/terminals/demo/stream");
    CHECK(gateway.message(stream) == "welcome");
    door.cut();
    CHECK(scene.until([&] {
        static_cast<void>(stream.message());
        return stream.closed_with == 4001 && scene.was_seen("lost", 3);
    }));
    const auto again = scene.manager.wait_for<TerminalAttach>();
    REQUIRE(again);
    CHECK(again->second.accepted == 3);
}

TEST_CASE("gateway: a page that comes back shows what the door gave, and the ticket when that is void") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    scene.doors = {&door};
    scene.redirect = redirect_to(3, door);
    Gateway gateway(scene);
    const auto come_and_lose = [&] {
        WebClient stream = gateway.open("/api/v1/terminals/demo/stream");
        CHECK(gateway.message(stream) == "welcome");
        door.cut();
        CHECK(scene.until([&] {
            static_cast<void>(stream.message());
            return stream.closed_with == 4001;
        }));
    };
    come_and_lose();
    come_and_lose();
    REQUIRE(door.greetings.size() == 2);
    CHECK_THAT(door.greetings[1], Catch::StartsWith("UNDERSTUDY/1 desktop =r") && Catch::EndsWith("r1"));
    door.forget_renewals();
    come_and_lose();
    REQUIRE(door.greetings.size() == 4);
    CHECK_THAT(door.greetings[2], Catch::EndsWith("r2"));
    CHECK(door.greetings[3] == "UNDERSTUDY/1 desktop ticket-3");
}

TEST_CASE("gateway: a door with another key than the manager says gets no ticket to see") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    scene.doors = {&door};
    scene.redirect = redirect_to(3, door);
    scene.redirect->endpoint.key = streams::DoorIdentity::make()->key();
    Gateway gateway(scene);
    WebClient stream = gateway.open("/api/v1/terminals/demo/stream");
    CHECK(scene.until([&] {
        static_cast<void>(stream.message());
        return stream.closed_with == 4001;
    }));
    CHECK(door.greetings.empty());
}

TEST_CASE("gateway: a ticket that is not admitted is told as such") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    door.refuse("the epoch is too old");
    scene.doors = {&door};
    scene.redirect = redirect_to(3, door);
    Gateway gateway(scene);
    WebClient stream = gateway.open("/api/v1/terminals/demo/stream");
    CHECK(scene.until([&] {
        static_cast<void>(stream.message());
        return stream.closed_with == 4003;
    }));
}

TEST_CASE("gateway: each terminal has a connection of its own, so that no page gets another's desktop") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    scene.doors = {&door};
    Gateway gateway(scene);
    WebClient one = gateway.open("/api/v1/terminals/one/events");
    WebClient two = gateway.open("/api/v1/terminals/two/events");
    REQUIRE(scene.until([&] { return scene.connections.size() == 2; }));
    CHECK(scene.connections["one"] != scene.connections["two"]);
    scene.manager.send(scene.connections["two"], TerminalRefused{2, "there is no terminal two"});
    CHECK(gateway.event(two, "refused")["text"] == "there is no terminal two");
    scene.manager.send(scene.connections["one"], TerminalWaiting{TerminalId(1), "no room", 700});
    CHECK(gateway.event(one, "waiting") == Json{{"event", "waiting"}, {"text", "no room"}, {"retry_ms", 700}});
}

TEST_CASE("gateway: a page whose desktop was opened elsewhere is told, loses its stream, and gets it back by asking") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::echo);
    scene.doors = {&door};
    scene.redirect = redirect_to(3, door);
    Gateway gateway(scene);
    WebClient events = gateway.open("/api/v1/terminals/demo/events?place=here");
    WebClient stream = gateway.open("/api/v1/terminals/demo/stream?place=here");
    CHECK(gateway.message(stream) == "welcome");
    const std::string here = scene.terminal_connection;
    WebClient other = gateway.open("/api/v1/terminals/demo/events?place=there");
    REQUIRE(scene.until([&] { return scene.terminal_connection != here; }));
    scene.manager.send(here, TerminalTaken{TerminalId(7), "opened at another place"});
    CHECK(gateway.event(events, "elsewhere")["text"] == "opened at another place");
    CHECK(scene.until([&] {
        static_cast<void>(stream.message());
        return stream.closed_with == 4002;
    }));
    events.send_text(R"({"back":true})");
    CHECK(gateway.event(events, "redirect")["epoch"] == 3);
    WebClient again = gateway.open("/api/v1/terminals/demo/stream?place=here");
    CHECK(gateway.message(again) == "welcome");
    scene.manager.send(scene.terminal_connection, TerminalNotice{TerminalId(7), "Maintenance at noon"});
    CHECK(gateway.event(events, "notice")["text"] == "Maintenance at noon");
}

// ------------------------------------------------------------------ probe

TEST_CASE("probe: follows a redirect to its picture and reports it with times that only rise") {
    Scene scene;
    FakeDoor first(FakeDoor::Behind::desktop, 0x336699);
    FakeDoor second(FakeDoor::Behind::desktop, 0xff8800);
    scene.doors = {&first, &second};
    scene.redirect = redirect_to(3, first);
    Probe probe(scene);
    const auto redirect = probe.next("event", "redirect");
    const auto connected = probe.next("event", "connected");
    const auto picture = probe.next("event", "picture");
    CHECK(redirect["mono_ns"] < connected["mono_ns"]);
    CHECK(connected["mono_ns"] < picture["mono_ns"]);
    CHECK(picture["incident"] == 30);
    CHECK(picture["width"] == FakeDoor::kWidth);
    probe.program.say(R"({"do":"pixel","x":5,"y":5,"id":1})");
    CHECK(probe.next("answer", "pixel")["colour"] == "#336699");

    probe.program.say(R"({"do":"wait","for":"colour","colour":"#ff8800","at_least":1200,"id":2})");
    scene.redirect = redirect_to(4, second);
    scene.manager.send(scene.terminal_connection, *scene.redirect);
    const auto waited = probe.next("answer", "wait");
    CHECK(waited["ok"] == true);
    CHECK(waited["epoch"] == 4);
    CHECK(scene.until([&] { return scene.was_seen("connected", 4) && scene.was_seen("picture", 4); }));
    scene.manager.send(scene.terminal_connection, redirect_to(2, first));
    CHECK(probe.next("event", "stale")["epoch"] == 2);
    CHECK(first.open_streams() == 0);
}

TEST_CASE("probe: types, keeps its picture while the door is gone, and comes back by itself") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::desktop, 0x010203);
    scene.doors = {&door};
    scene.redirect = redirect_to(1, door);
    Probe probe(scene);
    static_cast<void>(probe.next("event", "picture"));
    probe.program.say(R"({"do":"type","text":"aB\n"})");
    CHECK(probe.next("answer", "type")["ok"] == true);
    CHECK(scene.until([&] { return door.keys == std::vector<std::uint32_t>{'a', 'B', 0xff0d}; }));
    door.cut();
    static_cast<void>(probe.next("event", "lost"));
    const std::string shot = scene.folder.path("shot.ppm");
    probe.program.say(Json{{"do", "screenshot"}, {"file", shot}}.dump());
    CHECK(probe.next("answer", "screenshot")["ok"] == true);
    static_cast<void>(probe.next("event", "picture"));
    probe.program.say(R"({"do":"nonsense"})");
    CHECK(probe.next("answer", "nonsense")["ok"] == false);
    probe.program.end_input();
    REQUIRE(scene.until([&] { return probe.program.ended(); }));
    CHECK(probe.program.exit_code() == 0);
}

TEST_CASE("probe: tells the ticket that let it in, which is not yet there before and another one in another epoch") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::desktop, 0x010203);
    scene.doors = {&door};
    Probe probe(scene);
    probe.program.say(R"({"do":"ticket"})");
    CHECK(probe.next("answer", "ticket")["ok"] == false);
    for (const Epoch epoch : {3, 4}) {
        scene.redirect = redirect_to(epoch, door);
        REQUIRE(scene.until([&] { return !scene.terminal_connection.empty(); }));
        scene.manager.send(scene.terminal_connection, *scene.redirect);
        static_cast<void>(probe.next("event", "picture"));
        probe.program.say(R"({"do":"ticket"})");
        const auto told = probe.next("answer", "ticket");
        CHECK(told["ticket"] == scene.redirect->ticket.text);
        CHECK(told["port"] == scene.redirect->endpoint.port);
        CHECK(told["epoch"] == epoch);
    }
}

TEST_CASE("probe: a wait that does not come true says so in time") {
    Scene scene;
    Probe probe(scene);
    probe.program.say(R"({"do":"wait","for":"picture","timeout_ms":50,"id":"w"})");
    const auto answer = probe.next("answer", "wait");
    CHECK(answer["ok"] == false);
    CHECK(answer["id"] == "w");
}

TEST_CASE("probe: tells that its desktop was opened elsewhere, stays away, and takes it back when told to") {
    Scene scene;
    FakeDoor door(FakeDoor::Behind::desktop, 0x010203);
    scene.doors = {&door};
    scene.redirect = redirect_to(1, door);
    Probe probe(scene);
    static_cast<void>(probe.next("event", "picture"));
    scene.manager.send(scene.terminal_connection, TerminalNotice{TerminalId(7), "hello"});
    CHECK(probe.next("event", "notice")["text"] == "hello");
    scene.manager.send(scene.terminal_connection, TerminalTaken{TerminalId(7), "opened at another place"});
    CHECK(probe.next("event", "taken")["text"] == "opened at another place");
    CHECK(scene.until([&] { return door.open_streams() == 0; }));
    probe.program.say(R"({"do":"take_back"})");
    CHECK(probe.next("answer", "take_back")["ok"] == true);
    CHECK(probe.next("event", "picture")["epoch"] == 1);
}
