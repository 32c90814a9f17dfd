// Real virtual machines through libvirt's in-process QEMU driver. Needs the guest image: there is no
// passing without it.
#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/prctl.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include <zmq.hpp>

#include "manager/adapters/config/state_directory.hpp"
#include "manager/adapters/hypervisor/libvirt_hypervisor.hpp"
#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/run_program.hpp"
#include "manager/runtime/mailbox.hpp"
#include "manager/runtime/process_watch.hpp"
#include "tests/contract/temporary_directory.hpp"

using namespace understudy;
using namespace understudy::manager;
using understudy::test::TemporaryDirectory;

namespace {

using Clock = std::chrono::steady_clock;

std::string image_directory() {
    const char* cache = std::getenv("UNDERSTUDY_CACHE");
    const char* home = std::getenv("HOME");
    const std::string base = cache != nullptr ? cache
                             : ::geteuid() == 0 || home == nullptr ? "/var/cache/understudy" : std::string(home) + "/.cache/understudy";
    return base + "/image";
}

LibvirtLibrary& library() {
    static LibvirtLibrary once;
    return once;
}

std::int64_t ms_since(Clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

/// One embedded driver per program: its root is fixed at the first connection.
struct Machine {
    Machine() {
        INFO("the guest image is missing: run nodes/image/build-image");
        REQUIRE(::access((image_directory() + "/base.img").c_str(), R_OK) == 0);
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        options.image_dir = image_directory();
        options.agent_image = directory / "agent.img";
        options.acceleration = Acceleration::tcg;
        // A disk without programs: the guest boots, and its process 1 says that the agent is missing.
        REQUIRE(run_program({"truncate", "--size=1M", options.agent_image}, std::chrono::seconds(5)));
        files = std::make_unique<InstanceFiles>(directory / "instances", options, ManagerContact{"tcp://10.0.2.2:1", std::string(40, 'k')});
        const ArrivalSink sink = [this](Arrival arrival) { mailbox.push(std::move(arrival)); };
        hypervisor = std::make_unique<LibvirtHypervisor>(
            LibvirtOptions{"qemu:///embed?root=" + directory.path() + "/q", "ours", directory / "acceleration.toml", {}}, library(), *files,
            ports, sink);
    }
    ~Machine() {
        for (std::uint64_t id = 1; id < 10; ++id) {
            CHECK(hypervisor->destroy(NodeId(id)));
            hypervisor->tidy(NodeId(id));
        }
        stopping = true;
        reaper.join();
    }

    /// Hands what the workers reported to the watch, as the loop does.
    void deliver() {
        for (Arrival& arrival : mailbox.take_all()) {
            if (auto* forgotten = std::get_if<ProcessForgotten>(&arrival)) watch.remove(forgotten->node);
            if (auto* started = std::get_if<ProcessStarted>(&arrival)) {
                pids[started->node] = started->pid;
                watch.add(started->node, started->pid, std::move(started->process));
            }
        }
    }

    /// Waits until the guest's console has this text.
    bool console_says(NodeId id, const std::string& text, std::chrono::seconds patience) {
        const auto start = Clock::now();
        while (Clock::now() - start < patience) {
            const auto console = read_file(files->path(id, "console.log"));
            if (console && console->find(text) != std::string::npos) return true;
            ::usleep(20000);
        }
        const auto console = read_file(files->path(id, "console.log"));
        WARN("console: " << (console ? *console : console.error().message));
        return false;
    }

    TemporaryDirectory directory;
    InstanceOptions options;
    DoorPorts ports{20000, 60000};
    std::unique_ptr<InstanceFiles> files;
    Mailbox<Arrival> mailbox;
    ProcessWatch watch;
    std::map<NodeId, std::int64_t> pids;
    std::unique_ptr<LibvirtHypervisor> hypervisor;
    // The loop does this in the manager: libvirt waits for the daemons that it ended.
    std::atomic<bool> stopping = false;
    std::thread reaper{[this] {
        while (!stopping) {
            reap_ended_daemons();
            ::usleep(10000);
        }
    }};
};

InstanceSpec spec(std::uint64_t id) { return {NodeId(id), "alpha", "base", 1, 256, 4}; }

template <class T>
std::string words(const Result<T>& result) {
    return result ? std::string() : result.error().message;
}

}  // namespace

TEST_CASE("machine: boots, is listed, is watched, is scrubbed, is destroyed; nothing is left") {
    Machine machine;
    LibvirtHypervisor& hypervisor = *machine.hypervisor;

    // Created: it boots to its process 1, and asking again makes no second one.
    auto start = Clock::now();
    const auto door = hypervisor.create(spec(5));
    INFO(words(door));
    REQUIRE(door);
    WARN("created in " << ms_since(start) << " ms");
    CHECK(machine.console_says(NodeId(5), "understudy", std::chrono::seconds(60)));
    WARN("user space spoke " << ms_since(start) << " ms after the request");
    CHECK(hypervisor.create(spec(5)) == door);
    const auto listed = hypervisor.list("alpha");
    REQUIRE(listed);
    REQUIRE(listed->size() == 1);
    CHECK(listed->at(0).door == *door);

    // Scrubbed: another process, another identity, no report of an end.
    machine.deliver();
    const std::int64_t before = machine.pids[NodeId(5)];
    REQUIRE(before > 1);
    const std::string key = machine.files->find(NodeId(5))->public_key;
    start = Clock::now();
    const auto scrubbed = hypervisor.scrub(NodeId(5));
    INFO(words(scrubbed));
    REQUIRE(scrubbed);
    WARN("scrubbed in " << ms_since(start) << " ms");
    CHECK(*scrubbed == *door);
    CHECK(machine.files->find(NodeId(5))->public_key != key);
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
    std::string cause;
    CHECK(machine.watch.confirm(ended[0], cause));

    // Created again under the same number, and destroyed.
    REQUIRE(hypervisor.create(spec(5)));
    start = Clock::now();
    const auto destroyed = hypervisor.destroy(NodeId(5));
    INFO(words(destroyed));
    CHECK(destroyed);
    WARN("destruction was confirmed after " << ms_since(start) << " ms");
    CHECK(ms_since(start) < 1500);
    CHECK(hypervisor.list("alpha")->empty());
    CHECK_FALSE(std::filesystem::exists(machine.files->path(NodeId(5), "")));
    start = Clock::now();
    hypervisor.tidy(NodeId(5));
    WARN("libvirt had forgotten it after " << ms_since(start) << " ms more");
}
