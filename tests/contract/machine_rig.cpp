// See machine_rig.hpp.
#include "tests/contract/machine_rig.hpp"

#include <catch2/catch.hpp>

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/run_program.hpp"

namespace understudy::test {

using namespace understudy::manager;
using Clock = std::chrono::steady_clock;

LibvirtLibrary& library() {
    static LibvirtLibrary once;
    return once;
}

std::string image_directory() {
    const char* cache = std::getenv("UNDERSTUDY_CACHE");
    const char* home = std::getenv("HOME");
    const std::string base = cache != nullptr ? cache
                             : ::geteuid() == 0 || home == nullptr ? "/var/cache/understudy" : std::string(home) + "/.cache/understudy";
    return base + "/image";
}

std::int64_t ms_since(Clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

MachineRig::MachineRig(std::string uri, std::map<std::string, std::string> door_addresses) {
    INFO("the guest image is missing: run nodes/image/build-image");
    REQUIRE(::access((image_directory() + "/base.img").c_str(), R_OK) == 0);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    REQUIRE(::chmod(directory_.path().c_str(), 0711) == 0);  // QEMU's account passes
    InstanceOptions options;
    options.image_dir = image_directory();
    options.agent_image = directory_ / "agent.img";
    options.acceleration = Acceleration::tcg;
    const std::string image_tools = std::string(SOURCE_DIRECTORY) + "/nodes/image/";
    const auto packed = uri.empty() ? run_program({image_tools + "pack-programs", BINARY_DIRECTORY, options.agent_image}, std::chrono::seconds(60))
                                    : run_program({"truncate", "--size=1M", options.agent_image}, std::chrono::seconds(5));
    INFO(words(packed));
    REQUIRE(packed);
    files_ = std::make_unique<InstanceFiles>(directory_ / "instances", options, ManagerContact{"tcp://10.0.2.2:1", std::string(40, 'k')});
    const ArrivalSink sink = [this](Arrival arrival) {
        told_(arrival);
        mailbox_.push(std::move(arrival));
    };
    if (uri.empty()) uri = "qemu:///embed?root=" + directory_.path() + "/q";
    hypervisor_ = std::make_unique<LibvirtHypervisor>(
        LibvirtOptions{uri, "ours", directory_ / "acceleration.toml", std::move(door_addresses)}, library(), *files_, ports_, sink);
    reaper_ = std::thread([this] {
        while (!stopping_) {
            reap_ended_daemons();
            ::usleep(10000);
        }
    });
}

MachineRig::~MachineRig() {
    for (std::uint64_t id = 1; id < kMostInstances; ++id) {
        if (hypervisor_->destroy(NodeId(id))) hypervisor_->tidy(NodeId(id));
    }
    stopping_ = true;
    reaper_.join();
}

void MachineRig::deliver() {
    for (Arrival& arrival : mailbox_.take_all()) {
        if (const auto* forgotten = std::get_if<ProcessForgotten>(&arrival)) watch.remove(forgotten->node);
        if (const auto* ended = std::get_if<InstanceStopped>(&arrival)) stopped[ended->node] = ended->cause;
        if (auto* started = std::get_if<ProcessStarted>(&arrival)) {
            pids[started->node] = started->pid;
            watch.add(started->node, started->pid, std::move(started->process));
        }
    }
}

Bundle MachineRig::make_environment(const std::string& name) {
    const auto made = run_program({std::string(SOURCE_DIRECTORY) + "/nodes/image/make-environment", "--name", name, "--out", directory_ / "environments",
                                   "--command", "echo from the environment"},
                                  std::chrono::seconds(60));
    INFO(words(made));
    REQUIRE(made);
    return {name, made->substr(0, made->find('\n'))};
}

MachineRig& embedded_machine() {
    static_cast<void>(library());  // ends after the rig
    static MachineRig once;
    return once;
}

bool file_says(const std::string& file, const std::string& text, std::chrono::seconds patience) {
    const auto start = Clock::now();
    Result<std::string> content;
    while (Clock::now() - start < patience) {
        content = read_file(file);
        if (content && content->find(text) != std::string::npos) return true;
        ::usleep(20000);
    }
    WARN(file << ": " << (content ? *content : content.error().message));
    return false;
}

}  // namespace understudy::test
