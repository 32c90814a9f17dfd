// Real virtual machines through libvirt's in-process QEMU driver. Needs the guest image: there is no
// passing without it.
#include <catch2/catch.hpp>

#include <poll.h>

#include <csignal>
#include <filesystem>

#include "tests/contract/machine_rig.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace understudy::test;

using Clock = std::chrono::steady_clock;

TEST_CASE("hypervisor suite: embedded QEMU") {
    const Subject subject = embedded_machine().subject();
    for (const Claim& claim : hypervisor_suite()) {
        INFO(claim.name);
        claim.check(subject);
        clear(subject);
    }
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
