// Hypervisor adapters that need no machine: the one in memory, and libvirt's test driver. Real virtual
// machines are in machine_contract_test.cpp.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

#include "manager/adapters/config/state_directory.hpp"
#include "manager/adapters/hypervisor/domain_xml.hpp"
#include "manager/adapters/hypervisor/instance_files.hpp"
#include "manager/adapters/hypervisor/keyed_workers.hpp"
#include "manager/adapters/hypervisor/libvirt_hypervisor.hpp"
#include "manager/adapters/hypervisor/memory_hypervisor.hpp"
#include "manager/adapters/hypervisor/saved_domain.hpp"
#include "manager/adapters/system/files.hpp"
#include "tests/contract/hypervisor_suite.hpp"
#include "tests/contract/temporary_directory.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace understudy::test;

namespace {

LibvirtLibrary& library() {
    static LibvirtLibrary once;
    return once;
}

/// libvirt's test driver with an image that is large enough to be based on.
struct TestDriver {
    TestDriver() {
        std::filesystem::create_directories(directory / "image");
        for (const char* name : {"vmlinuz", "initramfs.img", "base.img"}) {
            std::ofstream(directory / ("image/" + std::string(name))) << std::string(1 << 20, 'x');
        }
        write_manifest();
        std::ofstream(directory / "agent.img") << "x";
        options.image_dir = directory / "image";
        options.agent_image = directory / "agent.img";
        files = std::make_unique<InstanceFiles>(directory / "instances", options, ManagerContact{"tcp://10.0.2.2:1", std::string(40, 'k')});
    }
    void write_manifest() const {
        ContentDigests digests;
        std::string entries;
        for (const char* name : {"vmlinuz", "initramfs.img", "base.img"}) {
            entries += (entries.empty() ? "\"" : ", \"") + std::string(name) + "\": \"" + *digests.of(directory / ("image/" + std::string(name))) + "\"";
        }
        std::ofstream(directory / "image/manifest.json") << "{\"sha256\": {" << entries << "}}";
    }
    LibvirtHypervisor make(const std::string& cluster, ArrivalSink sink) {
        return {{"test:///default", cluster, directory / "acceleration.toml", {}}, library(), *files, ports, std::move(sink)};
    }
    TemporaryDirectory directory;
    InstanceOptions options;
    Bundle bundle = put_bundle(directory / "environments");
    std::unique_ptr<InstanceFiles> files;
    DoorPorts ports{20000, 60000};
};

std::vector<Claim> both_suites() {
    std::vector<Claim> claims = hypervisor_suite();
    claims.insert(claims.end(), paused_suite().begin(), paused_suite().end());
    return claims;
}

}  // namespace

TEST_CASE("hypervisor suite: in memory") {
    for (const Claim& claim : both_suites()) {
        DYNAMIC_SECTION(claim.name) {
            Told told;
            MemoryHypervisor hypervisor([&told](const Arrival& arrival) { told(arrival); });
            claim.check({hypervisor, told});
        }
    }
}

TEST_CASE("hypervisor suite: libvirt's test driver") {
    for (const Claim& claim : both_suites()) {
        DYNAMIC_SECTION(claim.name) {
            Told told;
            TestDriver driver;
            LibvirtHypervisor hypervisor = driver.make("ours", [&told](const Arrival& arrival) { told(arrival); });
            const Subject subject{hypervisor, told, "alpha", driver.bundle};
            claim.check(subject);
            clear(subject);
        }
    }
}

TEST_CASE("libvirt: a domain with our name and without our mark is a stranger's: never listed, touched or destroyed") {
    TestDriver driver;
    LibvirtHypervisor stranger = driver.make("theirs", [](const Arrival&) {});
    LibvirtHypervisor ours = driver.make("ours", [](const Arrival&) {});
    REQUIRE(stranger.create(small_spec(7)));
    CHECK(ours.list("alpha")->empty());
    const auto destroyed = ours.destroy(NodeId(7));
    REQUIRE_FALSE(destroyed);
    CHECK(destroyed.error().code == ErrorCode::refused);
    CHECK_FALSE(ours.create(small_spec(7)));
    CHECK(stranger.list("alpha")->size() == 1);
    CHECK(stranger.destroy(NodeId(7)));
}

TEST_CASE("libvirt: a creation that fails leaves no files, no key and no port behind") {
    Told told;
    TestDriver driver;
    LibvirtHypervisor hypervisor = driver.make("ours", [&told](const Arrival& arrival) { told(arrival); });
    std::string wanted;
    InstanceSpec spec = small_spec(5);
    SECTION("the image is missing") {
        std::filesystem::remove(driver.directory / "image/base.img");
        wanted = "build-image";
    }
    SECTION("the image is not what its manifest says") {
        std::ofstream(driver.directory / "image/base.img") << std::string(1 << 20, 'y');
        wanted = "is not what its manifest says";
    }
    SECTION("there is no manifest to verify the image by") {
        std::filesystem::remove(driver.directory / "image/manifest.json");
        wanted = "manifest.json";
    }
    SECTION("the disk wanted is smaller than the image") {
        spec.disk_mib = 1;
        std::filesystem::resize_file(driver.directory / "image/base.img", 3 << 20);
        driver.write_manifest();
        wanted = "raise disk_mib";
    }
    SECTION("the agent's disk is missing") {
        std::filesystem::remove(driver.directory / "agent.img");
        wanted = "pack-agent";
    }
    SECTION("there is no room for its files") {
        std::ofstream(driver.directory / "instances") << "a file where a directory is wanted";
        wanted = "instances";
    }
    const auto door = hypervisor.create(spec);
    REQUIRE_FALSE(door);
    CHECK_THAT(door.error().message, Catch::Contains(wanted));
    CHECK(told.keys().empty());
    CHECK(hypervisor.list("alpha")->empty());
    CHECK_FALSE(std::filesystem::exists(driver.directory / "instances/5"));
}

TEST_CASE("libvirt: two hundred instances, some of which could not be made, leave no domain, file, key, port or descriptor") {
    Told told;
    TestDriver driver;
    LibvirtHypervisor hypervisor = driver.make("ours", [&told](const Arrival& arrival) { told(arrival); });
    const auto descriptors = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
    };
    const std::string image = driver.directory / "image/base.img";
    std::ptrdiff_t before = 0;
    std::size_t failed = 0;
    for (std::uint64_t id = 1; id <= 200; ++id) {
        if (id == 10) before = descriptors();
        InstanceSpec spec = small_spec(id);
        if (id % 3 == 0) spec.tier = Tier::paused;
        const bool fault = id % 7 == 0;
        if (fault) std::filesystem::rename(image, image + ".away");
        const auto door = hypervisor.create(spec);
        if (fault) std::filesystem::rename(image + ".away", image);
        CHECK(door.has_value() == !fault);
        if (!door) ++failed;
        else if (id % 5 == 0) CHECK(hypervisor.scrub(NodeId(id)));
        CHECK(hypervisor.list("alpha")->size() == (fault ? 0 : 1));
        CHECK(hypervisor.destroy(NodeId(id)));
        hypervisor.tidy(NodeId(id));
    }
    CHECK(failed == 28);
    CHECK(hypervisor.list("alpha")->empty());
    CHECK(told.keys().empty());
    CHECK(std::filesystem::is_empty(driver.directory / "instances"));
    CHECK(descriptors() == before);
    CHECK(driver.ports.taken() == 0);
}

TEST_CASE("instance files: a bundle is what its digest says, or is not deployed") {
    TestDriver driver;
    CHECK(driver.files->bundle(driver.bundle));
    const auto missing = driver.files->bundle({"tools", "sha256:" + std::string(64, 'a')});
    REQUIRE_FALSE(missing);
    CHECK_THAT(missing.error().message, Catch::Contains("make-environment"));
    CHECK(driver.files->bundle({"tools", "md5:1"}).error().code == ErrorCode::invalid);
    const std::string file = driver.directory / ("environments/" + driver.bundle.digest.substr(7) + ".env");
    std::ofstream(file, std::ios::app) << "more";
    CHECK(driver.files->bundle(driver.bundle).error().code == ErrorCode::damaged);
}

TEST_CASE("instance files: one that is awakened gets its seed where the machine looks, and the record says who it is") {
    TestDriver driver;
    const auto held = driver.files->prepare_held(small_spec(5), 41007, "key");
    REQUIRE(held);
    const std::string path = driver.files->path(NodeId(5), "seed.img");
    struct stat before {};
    struct stat after {};
    REQUIRE(::stat(path.c_str(), &before) == 0);
    CHECK_THAT(*read_file(path), Catch::Contains("held = true"));
    const auto awake = driver.files->awaken(NodeId(5));
    INFO(words(awake));
    REQUIRE(awake);
    CHECK(awake->public_key != held->public_key);
    CHECK(driver.files->find(NodeId(5))->public_key == awake->public_key);
    REQUIRE(::stat(path.c_str(), &after) == 0);
    CHECK(after.st_ino == before.st_ino);
    CHECK(after.st_size == before.st_size);
    CHECK_THAT(*read_file(path), Catch::Contains(awake->public_key) && Catch::Contains("wall_ms") && !Catch::Contains("held = true"));
    CHECK_FALSE(std::filesystem::exists(driver.files->path(NodeId(5), "seed.held")));
}

TEST_CASE("saved domain: the description is replaced, the memory and libvirt's cookie stay, and nonsense is refused") {
    TemporaryDirectory directory;
    const std::string path = directory / "memory.save";
    const std::string xml = "<domain>old</domain>";
    const std::string cookie = "<cookie/>";
    const std::uint32_t room = 4096;
    std::string file = "LibvirtQemudSave";
    const auto number = [&file](std::uint32_t value) { file.append(reinterpret_cast<const char*>(&value), sizeof value); };
    for (const std::uint32_t value : {2U, room, 1U, 0U, static_cast<std::uint32_t>(xml.size() + 1)}) number(value);
    for (int i = 0; i < 14; ++i) number(0);
    std::string data = xml + '\0' + cookie + '\0';
    data.resize(room, '\0');
    std::ofstream(path, std::ios::binary) << file << data << "memory";
    const std::string longer = "<domain>something longer</domain>";
    REQUIRE(rename_saved_domain(path, longer));
    const std::string now = *read_file(path);
    CHECK(now.size() == file.size() + data.size() + 6);
    CHECK_THAT(now, Catch::Contains(longer) && Catch::Contains(cookie) && Catch::EndsWith("memory") && !Catch::Contains("old"));
    std::uint32_t offset = 0;
    std::memcpy(&offset, now.data() + 32, sizeof offset);
    CHECK(now.substr(92 + offset, cookie.size()) == cookie);
    CHECK(rename_saved_domain(path, std::string(5000, 'x')).error().code == ErrorCode::limit);
    std::ofstream(path) << std::string(200, 'x');
    CHECK(rename_saved_domain(path, longer).error().code == ErrorCode::damaged);
}

TEST_CASE("instance files: the seed is for the guest alone, and the record survives the manager") {
    TestDriver driver;
    const auto made = driver.files->prepare(small_spec(5), 41007);
    INFO(words(made));
    REQUIRE(made);
    const std::string seed = *read_file(driver.files->path(NodeId(5), "seed.img"));
    CHECK(seed.size() % 512 == 0);
    CHECK_THAT(seed, Catch::Contains(made->public_key) && Catch::Contains("tcp://10.0.2.2:1") && Catch::Contains("loopback_alias"));
    const auto rights = std::filesystem::status(driver.files->path(NodeId(5), "seed.img")).permissions();
    CHECK((rights & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) == std::filesystem::perms::none);
    std::vector<std::string> problems;
    const auto all = driver.files->load_all(problems);
    REQUIRE(all.size() == 1);
    CHECK(problems.empty());
    CHECK(all[0].spec == small_spec(5));
    CHECK(all[0].door_port == 41007);
    CHECK(all[0].public_key == made->public_key);
    REQUIRE(write_file(driver.files->path(NodeId(5), "instance.toml"), "node = ["));
    CHECK(driver.files->load_all(problems).empty());
    CHECK(problems.size() == 1);
}

TEST_CASE("door ports: one in use is not handed out, and a range used up says which") {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof where;
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&where), length) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&where), &length) == 0);
    const std::uint16_t port = ntohs(where.sin_port);

    DoorPorts busy(port, port);
    const auto none = busy.take("127.0.0.1");
    REQUIRE_FALSE(none);
    CHECK(none.error().code == ErrorCode::no_capacity);
    CHECK_THAT(none.error().message, Catch::Contains(std::to_string(port)) && Catch::Contains("door_ports"));

    DoorPorts wide(20000, 60000);
    const auto first = wide.take("127.0.0.1");
    const auto second = wide.take("127.0.0.1");
    REQUIRE(first);
    REQUIRE(second);
    CHECK(*first != *second);
}

TEST_CASE("domain: text from outside cannot leave its place in the XML") {
    DomainPlan plan;
    plan.name = domain_name(NodeId(5));
    plan.type = "qemu";
    plan.command_line = "a='1' <b> & \"c\"";
    plan.mark = {"cl'uster", "ho<st>\"&", 41000};
    plan.disks = {{"/tmp/a'b&c.qcow2", "qcow2", "/tmp/<base>", false}};
    const std::string xml = domain_xml(plan);
    CHECK_THAT(xml, Catch::Contains("a=&apos;1&apos; &lt;b&gt; &amp; &quot;c&quot;"));
    CHECK_THAT(xml, Catch::Contains("/tmp/a&apos;b&amp;c.qcow2") && Catch::Contains("/tmp/&lt;base&gt;"));
    const auto start = xml.find("<us:instance");
    const auto mark = read_mark(xml.substr(start, xml.find("/>", start) - start));
    REQUIRE(mark);
    CHECK(*mark == plan.mark);
}

TEST_CASE("domain: a QEMU that has an account is told so, and libvirt to give nothing away; without one its settings count") {
    DomainPlan plan;
    plan.name = domain_name(NodeId(5));
    plan.type = "qemu";
    CHECK_THAT(domain_xml(plan), !Catch::Contains("seclabel"));
    plan.account = QemuAccount{1879048200, 110};
    CHECK_THAT(domain_xml(plan), Catch::Contains("<seclabel type='static' model='dac' relabel='no'><label>+1879048200:+110</label>\n</seclabel>"));
}

TEST_CASE("domain: names lead back to nodes, and strangers' names to none") {
    CHECK(node_of_domain(domain_name(NodeId(17))) == NodeId(17));
    for (const char* name : {"us-", "us-0", "us-1x", "us--1", "web", "us-99999999999999999999999"}) CHECK_FALSE(node_of_domain(name));
}

TEST_CASE("workers: tasks of one key run in order and never at once; an urgent one does not wait for others") {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<int> order;
    bool open = false;
    KeyedWorkers workers(1);
    const auto note = [&](int what) {
        const std::lock_guard lock(mutex);
        order.push_back(what);
        changed.notify_all();
    };
    workers.submit(1, Urgency::normal, [&] {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return open; });
        order.push_back(1);
        changed.notify_all();
    });
    workers.submit(1, Urgency::urgent, [&] { note(2); });  // same key: after the first
    workers.submit(2, Urgency::normal, [&] { note(3); });  // no free place
    workers.submit(3, Urgency::urgent, [&] { note(4); });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return order.size() == 1; });
    CHECK(order == std::vector<int>{4});
    open = true;
    changed.notify_all();
    changed.wait(lock, [&] { return order.size() == 4; });
    const auto at = [&](int what) { return std::find(order.begin(), order.end(), what) - order.begin(); };
    CHECK(at(1) < at(2));
}
