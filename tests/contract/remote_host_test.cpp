// Hosts reached over the network, each with a libvirtd of its own and no disk in common with this machine. Run
// by tests/hosts/with-hosts; without it there is nothing to reach, and these tests are not run.
#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>

#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/run_program.hpp"
#include "tests/contract/machine_rig.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace understudy::test;

using Clock = std::chrono::steady_clock;

namespace {

struct RemoteHost {
    std::string name;
    std::string address;
    std::string volumes;  ///< its folder of instances, as seen from here
};

std::vector<RemoteHost> remote_hosts() {
    const char* const list = std::getenv("UNDERSTUDY_HOSTS");
    const char* const folder = std::getenv("UNDERSTUDY_HOSTS_DIR");
    INFO("run this with tests/hosts/with-hosts");
    REQUIRE(list != nullptr);
    REQUIRE(folder != nullptr);
    std::vector<RemoteHost> hosts;
    std::istringstream lines(list);
    for (RemoteHost host; lines >> host.name >> host.address;) {
        host.volumes = std::string(folder) + "/" + host.name + "/var/lib/libvirt/understudy/ours";
        hosts.push_back(host);
    }
    REQUIRE(hosts.size() >= 2);
    return hosts;
}

std::unique_ptr<MachineRig> rig_for(const RemoteHost& host) {
    return std::make_unique<MachineRig>("qemu+tcp://" + host.address + "/system", std::map<std::string, std::string>{{host.name, host.address}});
}

std::vector<std::string> files_of_instances(const RemoteHost& host) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(host.volumes)) {
        const std::string name = entry.path().filename();
        if (name.starts_with("us-")) names.push_back(name);
    }
    return names;
}

/// The QEMU process of an instance, as that host's own files name it.
pid_t process_on(const RemoteHost& host, NodeId id) {
    const auto inside = read_file(std::string(std::getenv("UNDERSTUDY_HOSTS_DIR")) + "/" + host.name + "/pid");
    REQUIRE(inside);
    const auto pid = read_file("/proc/" + std::to_string(std::stol(*inside)) + "/root/run/libvirt/qemu/" + domain_name(id) + ".pid");
    INFO(words(pid));
    REQUIRE(pid);
    return static_cast<pid_t>(std::stol(*pid));
}

void plug(const RemoteHost& host, const char* state) {
    REQUIRE(run_program({"ip", "link", "set", "v" + host.name, state}, std::chrono::seconds(5)));
}

}  // namespace

TEST_CASE("hypervisor suite: remote hosts", "[.hosts]") {
    for (const RemoteHost& host : remote_hosts()) {
        INFO("host " << host.name);
        const auto rig = rig_for(host);
        const Subject subject = rig->subject(host.name);
        for (const Claim& claim : hypervisor_suite()) {
            INFO(claim.name);
            claim.check(subject);
            clear(subject);
        }
        CHECK(files_of_instances(host).empty());
    }
}

TEST_CASE("remote host: an instance boots from disks brought there, its door is at the host, its end is noticed", "[.hosts]") {
    const RemoteHost host = remote_hosts()[0];
    const auto rig = rig_for(host);
    auto start = Clock::now();
    const auto door = rig->hypervisor().create(small_spec(5, host.name));
    INFO(words(door));
    REQUIRE(door);
    WARN("created in " << ms_since(start) << " ms");
    CHECK(door->host == host.address);
    CHECK(file_says(host.volumes + "/us-5.console.log", "understudy", std::chrono::seconds(60)));
    WARN("user space spoke " << ms_since(start) << " ms after the request");
    CHECK_FALSE(std::filesystem::exists(rig->files().path(NodeId(5), "disk.qcow2")));

    // Its disk is on the host alone; the image is brought once, not once per instance.
    const auto brought = [&] {
        std::map<std::string, std::filesystem::file_time_type> times;
        for (const auto& entry : std::filesystem::directory_iterator(host.volumes)) {
            if (!entry.path().filename().string().starts_with("us-")) times[entry.path().filename()] = std::filesystem::last_write_time(entry);
        }
        return times;
    };
    const auto before = brought();
    start = Clock::now();
    REQUIRE(rig->hypervisor().create(small_spec(6, host.name)));
    WARN("the second was created in " << ms_since(start) << " ms");
    CHECK(brought() == before);

    // Killed there, without a word to anybody.
    REQUIRE(::kill(process_on(host, NodeId(6)), SIGKILL) == 0);
    start = Clock::now();
    while (rig->stopped.empty() && ms_since(start) < 10000) {
        rig->deliver();
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    WARN("its end was noticed after " << ms_since(start) << " ms");
    CHECK(rig->stopped.contains(NodeId(6)));
    clear(rig->subject(host.name));
    CHECK(files_of_instances(host).empty());
}

TEST_CASE("remote host: one that falls silent is said to be unreachable within seconds, and is used again when it is back", "[.hosts]") {
    const auto hosts = remote_hosts();
    const auto rig = rig_for(hosts[0]);
    REQUIRE(rig->hypervisor().create(small_spec(5, hosts[0].name)));
    plug(hosts[0], "down");
    const auto start = Clock::now();
    const auto listed = rig->hypervisor().list(hosts[0].name);
    REQUIRE_FALSE(listed);
    CHECK(listed.error().code == ErrorCode::unavailable);
    CHECK_THAT(listed.error().message, Catch::Contains(hosts[0].address));
    const auto made = rig->hypervisor().create(small_spec(6, hosts[0].name));
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ErrorCode::unavailable);
    CHECK_FALSE(rig->hypervisor().destroy(NodeId(5)));  // nobody can confirm it
    WARN("three calls to a silent host took " << ms_since(start) << " ms");
    CHECK(ms_since(start) < 30000);
    plug(hosts[0], "up");
    const auto again = rig->hypervisor().list(hosts[0].name);
    INFO(words(again));
    REQUIRE(again);
    CHECK(again->size() == 1);
    clear(rig->subject(hosts[0].name));
}
