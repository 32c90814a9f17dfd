// Real sessions on this machine: namespaces, X server, window manager, application. Needs root and a
// cgroup v2 tree; without them these tests say so and claim nothing.
#include "nodes/execution/sessions.hpp"

#include <csignal>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>

#include <catch2/catch.hpp>

#include "nodes/agent/base/cgroup.hpp"
#include "tests/execution/support.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace understudy::node::test;
namespace fs = std::filesystem;

namespace {

// A group of our own: whatever else runs on this machine is left alone.
std::string cgroup_root() {
    for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        if (!fs::exists(std::string(root) + "/cgroup.procs") || !fs::exists(std::string(root) + "/cgroup.controllers")) continue;
        static const pid_t first = ::getpid();  // of the test program, in its children as well
        const std::string own = std::string(root) + "/understudy-test-" + std::to_string(first);
        ::mkdir(own.c_str(), 0755);
        if (fs::exists(own)) return own;
    }
    return {};
}

bool can_run() {
    const bool able = ::geteuid() == 0 && !cgroup_root().empty() && ::access("/usr/bin/Xvnc", X_OK) == 0 && ::access("/usr/bin/openbox", X_OK) == 0;
    if (!able) std::cerr << "not run: sessions need root, cgroup v2, Xvnc and openbox\n";
    return able;
}

void remove_groups() {
    clear_leftover_groups(cgroup_root());
    ::rmdir((cgroup_root() + "/understudy").c_str());
    ::rmdir(cgroup_root().c_str());
}

struct Node {
    Scratch scratch;
    Loop loop;
    std::vector<SessionStatus> reports;
    std::unique_ptr<Sessions> sessions;

    Node() {
        ::chmod(scratch.path().c_str(), 0755);
        fs::create_directories(scratch / "programs/bin");
        fs::copy_file(SESSION_INIT, scratch / "programs/bin/understudy-session-init");
        ExecutionSettings settings;
        settings.sessions_folder = scratch / "sessions";
        settings.environments_folder = scratch / "environments";
        settings.programs_folder = scratch / "programs";
        settings.cgroup_root = cgroup_root();
        settings.account = Account{65534, 65534, "/nonexistent", "nobody"};
        settings.checkpoint_reason = "not on this machine";
        SessionServices services;
        services.report = [this](SessionStatus status) { reports.push_back(std::move(status)); };
        services.window_connections = [](SessionId) { return std::vector<int>{}; };
        services.windows_may_connect = [](SessionId) {};
        services.log = [](const std::string&, const std::string&) {};
        sessions = std::make_unique<Sessions>(loop, std::move(settings), std::move(services));
    }
    ~Node() {
        sessions.reset();
        remove_groups();
    }

    AssignSession assign(Duty duty, std::vector<std::string> command, Epoch epoch = 1) const {
        AssignSession assign;
        assign.session = SessionId(5);
        assign.epoch = epoch;
        assign.duty = duty;
        assign.application.name = "test";
        assign.application.command = std::move(command);
        assign.protection = Protection::checkpoint;
        return assign;
    }
    bool reaches(Phase phase) {
        return run_until(loop, [&] { return !reports.empty() && reports.back().phase == phase; }, 30'000);
    }
};

std::string groups() {
    std::string names;
    std::error_code wrong;
    for (const auto& entry : fs::directory_iterator(cgroup_root() + "/understudy", wrong)) {
        if (entry.is_directory()) names += entry.path().filename().string() + " ";
    }
    return names;
}

}  // namespace

TEST_CASE("session: it runs behind its screen's socket and its end is reported with its cause", "[root]") {
    if (!can_run()) return;
    Node node;
    SECTION("closed") {
        node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "while [ ! -e /tmp/end ]; do read -t 1 x </dev/zero; done; exit 0"}));
        REQUIRE(node.reaches(Phase::running));
        const auto path = node.sessions->screen_socket(SessionId(5));
        REQUIRE(path);
        const Descriptor window(::socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path->copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::connect(window.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        char greeting[12];
        REQUIRE(::recv(window.get(), greeting, sizeof greeting, MSG_WAITALL) == 12);
        CHECK(std::string(greeting, 3) == "RFB");
        write_file(path->substr(0, path->find("/run/")) + "/tmp/end", "");
        REQUIRE(node.reaches(Phase::ended));
        CHECK(node.reports.back().ending == Ending::closed);
        CHECK_FALSE(node.sessions->screen_socket(SessionId(5)));
    }
    SECTION("crashed") {
        node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "kill -SEGV $$"}));
        REQUIRE(node.reaches(Phase::ended));
        CHECK(node.reports.back().ending == Ending::crashed);
        CHECK_THAT(node.reports.back().detail, Catch::Contains("signal 11"));
    }
    SECTION("the X server is killed") {
        node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "read x < /dev/ptmx"}));
        REQUIRE(node.reaches(Phase::running));
        const auto path = node.sessions->screen_socket(SessionId(5)).value();
        std::ifstream lock(path.substr(0, path.find("/run/")) + "/tmp/.X1-lock");
        // The number in the lock is that of the session's own process namespace: look for it by its group.
        for (const auto& entry : fs::directory_iterator(cgroup_root() + "/understudy")) {
            std::ifstream processes((entry.path() / "cgroup.procs").string());
            for (int pid = 0; processes >> pid;) {
                if (read_file("/proc/" + std::to_string(pid) + "/comm") == "Xvnc\n") ::kill(pid, SIGKILL);
            }
        }
        REQUIRE(node.reaches(Phase::ended));
        CHECK_THAT(node.reports.back().detail, Catch::Contains("X server was killed by signal 9"));
    }
}

TEST_CASE("session: when its application starts, somebody is there who shows windows", "[root]") {
    if (!can_run()) return;
    Node node;
    // A window that is asked for while the window manager is starting may never be seen.
    node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "xprop -root _NET_SUPPORTING_WM_CHECK | grep 'window id' && read x < /dev/ptmx"}));
    REQUIRE(node.reaches(Phase::running));
    CHECK_FALSE(run_until(node.loop, [&] { return node.reports.back().phase != Phase::running; }, 2'000));
}

TEST_CASE("session: an application that is not there is a failure that names it", "[root]") {
    if (!can_run()) return;
    Node node;
    node.sessions->perform(node.assign(Duty::primary, {"no-such-application"}));
    REQUIRE(node.reaches(Phase::failed));
    CHECK_THAT(node.reports.back().detail, Catch::Contains("'no-such-application' is not installed"));
    CHECK(run_until(node.loop, [] { return groups().empty(); }));
}

TEST_CASE("session: an environment that is not deployed is a failure that names it", "[root]") {
    if (!can_run()) return;
    Node node;
    auto assign = node.assign(Duty::primary, {"true"});
    assign.application.environment = "drawing";
    node.sessions->perform(assign);
    REQUIRE(node.reaches(Phase::failed));
    CHECK_THAT(node.reports.back().detail, Catch::Contains("environment 'drawing' is not deployed"));
}

TEST_CASE("session: a frozen one stands still and takes no windows, a thawed one goes on", "[root]") {
    if (!can_run()) return;
    Node node;
    node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "read x < /dev/ptmx"}));
    REQUIRE(node.reaches(Phase::running));
    node.sessions->freeze(SessionId(5));
    CHECK_FALSE(node.sessions->screen_socket(SessionId(5)));
    const std::string events = cgroup_root() + "/understudy/" + groups().substr(0, groups().find(' ')) + "/cgroup.events";
    CHECK(run_until(node.loop, [&] { return read_file(events).find("frozen 1") != std::string::npos; }));
    node.sessions->thaw(SessionId(5));
    CHECK(run_until(node.loop, [&] { return read_file(events).find("frozen 0") != std::string::npos; }));
    CHECK(node.sessions->screen_socket(SessionId(5)));
}

TEST_CASE("session: given up, nothing runs and nothing is kept", "[root]") {
    if (!can_run()) return;
    Node node;
    node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "read x < /dev/ptmx"}));
    REQUIRE(node.reaches(Phase::running));
    node.sessions->perform(node.assign(Duty::released, {}));
    REQUIRE(node.reaches(Phase::released));
    CHECK(groups().empty());
    CHECK(run_until(node.loop, [&] { return fs::is_empty(node.scratch / "sessions"); }));
}

TEST_CASE("session: without a way to checkpoint, restart is in force and the reason is told", "[root]") {
    if (!can_run()) return;
    Node node;
    node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "read x < /dev/ptmx"}));
    REQUIRE(node.reaches(Phase::running));
    REQUIRE(run_until(node.loop, [&] { return !node.reports.back().protection_reason.empty(); }));
    CHECK(node.reports.back().in_force == Protection::restart);
    CHECK(node.reports.back().protection_reason == "not on this machine");
}

TEST_CASE("session: a restore from a checkpoint that is not held fails and says so", "[root]") {
    if (!can_run()) return;
    Node node;
    auto assign = node.assign(Duty::primary, {"true"}, 2);
    assign.restore = {1, 9};
    node.sessions->perform(assign);
    REQUIRE(node.reaches(Phase::failed));
    CHECK_THAT(node.reports.back().detail, Catch::Contains("does not hold checkpoint 1-9"));
}

TEST_CASE("session: it dies with its agent", "[root]") {
    if (!can_run()) return;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t agent = ::fork();
    if (agent == 0) {
        Node node;
        node.sessions->perform(node.assign(Duty::primary, {"sh", "-c", "read x < /dev/ptmx"}));
        if (node.reaches(Phase::running)) [[maybe_unused]] const auto told = ::write(ends[1], "r", 1);
        for (;;) ::pause();
    }
    ::close(ends[1]);
    char running = 0;
    REQUIRE(::read(ends[0], &running, 1) == 1);
    const std::string processes = cgroup_root() + "/understudy/" + groups().substr(0, groups().find(' ')) + "/cgroup.procs";
    CHECK_FALSE(read_file(processes).empty());
    ::kill(agent, SIGKILL);
    ::waitpid(agent, nullptr, 0);
    Loop loop;
    CHECK(run_until(loop, [&] { return read_file(processes).empty(); }));
    clear_leftover_groups(cgroup_root());
    CHECK(groups().empty());
    remove_groups();
    ::close(ends[0]);
}
