// Real virtual machines through libvirt's in-process QEMU driver. Needs the guest image: there is no
// passing without it.
#include <catch2/catch.hpp>

#include <poll.h>

#include <csignal>
#include <ctime>
#include <filesystem>
#include <thread>

#include "manager/adapters/system/files.hpp"
#include "tests/contract/machine_rig.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace understudy::test;

using Clock = std::chrono::steady_clock;

namespace {

/// Of a line "Name:<tab>value" in /proc/PID/status.
std::string value_of(const std::string& status, const std::string& name) {
    const auto at = status.find("\n" + name + ":\t");
    const auto from = at + name.size() + 3;
    return at == std::string::npos ? std::string() : status.substr(from, status.find('\n', from) - from);
}

/// A guest that breaks out of its QEMU has no rights, few system calls, and an account that nobody else has.
void check_rights(std::int64_t pid, std::uint16_t door_port) {
    const std::string status = read_file("/proc/" + std::to_string(pid) + "/status").value_or("");
    const std::string account = std::to_string(account_of_door(accounts_of("ours"), door_port));
    CHECK(value_of(status, "CapEff") == "0000000000000000");
    CHECK(value_of(status, "NoNewPrivs") == "1");
    CHECK(value_of(status, "Seccomp") == "2");
    // Nor does it fill the disk by what it says: 2 GiB of image, an eighth, 64 MiB.
    CHECK_THAT(read_file("/proc/" + std::to_string(pid) + "/limits").value_or(""), Catch::Contains("Max file size             2483027968"));
    CHECK(value_of(status, "Uid") == account + "\t" + account + "\t" + account + "\t" + account);
}

}  // namespace

TEST_CASE("hypervisor suite: embedded QEMU") {
    const Subject subject = embedded_machine().subject();
    for (const auto* suite : {&hypervisor_suite(), &paused_suite()}) {
        for (const Claim& claim : *suite) {
            INFO(claim.name);
            claim.check(subject);
            clear(subject);
        }
    }
}

TEST_CASE("machine: one that stood still goes on at once, as somebody who knows what time it is") {
    MachineRig& machine = embedded_machine();
    InstanceSpec spec = small_spec(5);
    spec.tier = Tier::paused;
    auto start = Clock::now();
    REQUIRE(machine.hypervisor().create(spec));  // makes the frozen machine where no test before did
    WARN("the first stood still after " << ms_since(start) << " ms");
    spec.id = NodeId(6);
    start = Clock::now();
    REQUIRE(machine.hypervisor().create(spec));
    WARN("the second stood still after " << ms_since(start) << " ms");
    std::this_thread::sleep_for(std::chrono::seconds(2));
    CHECK(read_file(machine.console(6)).value_or("").find("goes on") == std::string::npos);  // nobody asked it to
    start = Clock::now();
    const auto door = machine.hypervisor().resume(NodeId(6));
    INFO(words(door));
    REQUIRE(door);
    WARN("told to go on within " << ms_since(start) << " ms");
    CHECK(file_says(machine.console(6), "node=6 goes on with a seed of its own", std::chrono::seconds(20)));
    machine.deliver();
    check_rights(machine.pids[NodeId(6)], door->port);
    WARN("it went on " << ms_since(start) << " ms after it was asked to");
    CHECK(file_says(machine.console(6), "checkpoints=", std::chrono::seconds(20)));
    WARN("its agent had started " << ms_since(start) << " ms after it was asked to");
    // What the agent logs next bears the clock that it was given.
    const std::string console = *read_file(machine.console(6));
    const auto line = console.rfind("\n", console.find("node=6 goes on"));
    const std::time_t now = std::time(nullptr);
    char today[16];
    std::strftime(today, sizeof today, "%Y-%m-%dT%H", std::gmtime(&now));
    CHECK_THAT(console.substr(line + 1, 40), Catch::Contains(today));
    CHECK(console.find("could not take on its identity") == std::string::npos);
    clear(machine.subject());
}

TEST_CASE("machine: an environment reaches a running guest, verified, within moments") {
    MachineRig& machine = embedded_machine();
    const Bundle bundle = machine.make_environment("tools");
    REQUIRE(machine.hypervisor().create(small_spec(5)));
    REQUIRE(file_says(machine.console(5), "checkpoints=", std::chrono::seconds(90)));  // its agent has started
    const auto start = Clock::now();
    const auto deployed = machine.hypervisor().deploy(NodeId(5), bundle);
    INFO(words(deployed));
    REQUIRE(deployed);
    WARN("attached in " << ms_since(start) << " ms");
    CHECK(file_says(machine.console(5), "environment=tools verified and mounted", std::chrono::seconds(20)));
    WARN("mounted " << ms_since(start) << " ms after it was asked for");
    clear(machine.subject());
}

TEST_CASE("machine: boots, is watched, is scrubbed, is destroyed; nothing is left") {
    MachineRig& machine = embedded_machine();
    LibvirtHypervisor& hypervisor = machine.hypervisor();
    machine.deliver();
    for (const auto& earlier : machine.watch.look()) static_cast<void>(machine.watch.confirm(earlier));  // of other tests

    auto start = Clock::now();
    const auto door = hypervisor.create(small_spec(5));
    INFO(words(door));
    REQUIRE(door);
    WARN("created in " << ms_since(start) << " ms");
    CHECK(file_says(machine.files().path(NodeId(5), "console.log"), "understudy", std::chrono::seconds(60)));
    WARN("user space spoke " << ms_since(start) << " ms after the request");

    // Scrubbed: another process, another identity, no report of an end.
    machine.deliver();
    const std::int64_t before = machine.pids[NodeId(5)];
    REQUIRE(before > 1);
    check_rights(before, door->port);
    start = Clock::now();
    const auto scrubbed = hypervisor.scrub(NodeId(5));
    INFO(words(scrubbed));
    REQUIRE(scrubbed);
    WARN("scrubbed in " << ms_since(start) << " ms");
    machine.deliver();
    CHECK(machine.pids[NodeId(5)] != before);
    CHECK(machine.watch.look().empty());

    // Killed from outside: noticed at once, and not listed any more although libvirt is slower.
    ::kill(static_cast<pid_t>(machine.pids[NodeId(5)]), SIGKILL);
    start = Clock::now();
    pollfd waiting{machine.watch.descriptor(), POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 5000) == 1);
    const auto noticed = Clock::now() - start;
    WARN("the end was noticed after " << std::chrono::duration_cast<std::chrono::microseconds>(noticed).count() << " us");
    // Below a millisecond on a machine at rest; in any case before libvirt, which takes more than a second.
    CHECK(noticed < std::chrono::milliseconds(500));
    CHECK(hypervisor.list("alpha")->empty());
    const auto ended = machine.watch.look();
    REQUIRE(ended.size() == 1);
    const auto ending = machine.watch.confirm(ended[0]);
    REQUIRE(ending);
    CHECK_FALSE(ending->by_itself);

    // Created again under the same number, and destroyed.
    REQUIRE(hypervisor.create(small_spec(5)));
    start = Clock::now();
    const auto destroyed = hypervisor.destroy(NodeId(5));
    INFO(words(destroyed));
    CHECK(destroyed);
    WARN("destruction was confirmed after " << ms_since(start) << " ms");
    CHECK(ms_since(start) < 1500);
    CHECK(hypervisor.list("alpha")->empty());
    CHECK_FALSE(std::filesystem::exists(machine.files().path(NodeId(5), "")));
    start = Clock::now();
    hypervisor.tidy(NodeId(5));
    WARN("libvirt had forgotten it after " << ms_since(start) << " ms more");
}
