// See process_hypervisor.hpp.
#include "tests/bench/programs/process_hypervisor.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "manager/adapters/config/state_directory.hpp"

namespace understudy::bench {

using namespace manager;

namespace {

UniqueFd handle_of(pid_t process) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0))); }

}  // namespace

ProcessHypervisor::ProcessHypervisor(MachineOptions machine, bool watched, ArrivalSink sink)
    : machine_(std::move(machine)), watched_(watched), sink_(std::move(sink)) {}

ProcessHypervisor::~ProcessHypervisor() {
    for (auto& [id, instance] : instances_) end(instance);
}

std::string ProcessHypervisor::address(NodeId id) {
    constexpr std::uint64_t kPerNet = 250;
    return "127.0." + std::to_string(1 + id.value / kPerNet % kPerNet) + "." + std::to_string(1 + id.value % kPerNet);
}

Result<Endpoint> ProcessHypervisor::start(Instance& instance) {
    const NodeId id = instance.spec.id;
    const CurveKeys keys = make_curve_keys();
    sink_(IdentityIssued{id, keys.public_key});
    std::vector<std::string> words{"/proc/self/exe", "machine", "--manager", machine_.manager, "--server-key", machine_.server_key, "--public-key", keys.public_key,
                                   "--secret-key", keys.secret_key, "--address", address(id), "--node", to_string(id), "--slots", std::to_string(instance.spec.slots)};
    if (!machine_.bare.empty()) words.insert(words.end(), {"--bare", machine_.bare});
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    // What was blocked here for the loop's sake is not blocked there.
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    const int failed = ::posix_spawn(&instance.process, arguments[0], nullptr, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    if (failed != 0) return failure(ErrorCode::failed, std::string("a machine's process cannot be started: ") + std::strerror(failed));
    instance.handle = handle_of(instance.process);
    if (watched_) sink_(ProcessStarted{id, instance.process, handle_of(instance.process)});
    return Endpoint{address(id), 1};
}

void ProcessHypervisor::end(Instance& instance) {
    if (instance.process == 0) return;
    if (watched_) sink_(ProcessForgotten{instance.spec.id});
    ::syscall(SYS_pidfd_send_signal, instance.handle.get(), SIGKILL, nullptr, 0);
    siginfo_t ended{};
    ::waitid(P_PIDFD, static_cast<id_t>(instance.handle.get()), &ended, WEXITED);
    instance.process = 0;
}

Result<Endpoint> ProcessHypervisor::create(const InstanceSpec& spec) {
    const std::lock_guard lock(mutex_);
    if (spec.tier == Tier::paused) return failure(ErrorCode::refused, "processes do not stand still");
    Instance& instance = instances_[spec.id];
    if (instance.process != 0) return Endpoint{address(spec.id), 1};
    instance.spec = spec;
    return start(instance);
}

Result<Endpoint> ProcessHypervisor::resume(NodeId id) {
    const std::lock_guard lock(mutex_);
    if (!instances_.contains(id)) return failure(ErrorCode::not_found, "there is no instance " + to_string(id));
    return Endpoint{address(id), 1};
}

Result<Done> ProcessHypervisor::scrub(NodeId id) {
    const std::lock_guard lock(mutex_);
    const auto found = instances_.find(id);
    if (found == instances_.end()) return failure(ErrorCode::not_found, "there is no instance " + to_string(id));
    end(found->second);
    return start(found->second).map([](Endpoint door) { return Done{std::move(door), "a new process has nothing that could be dirty"}; });
}

Result<> ProcessHypervisor::destroy(NodeId id) {
    const std::lock_guard lock(mutex_);
    const auto found = instances_.find(id);
    if (found == instances_.end()) return {};
    end(found->second);
    instances_.erase(found);
    sink_(IdentityRevoked{id});
    return {};
}

Result<std::vector<ListedInstance>> ProcessHypervisor::list(const std::string& host) {
    const std::lock_guard lock(mutex_);
    std::vector<ListedInstance> listed;
    for (const auto& [id, instance] : instances_) {
        const InstanceSpec& spec = instance.spec;
        if (spec.host != host) continue;
        listed.push_back({id, true, Endpoint{address(id), 1}, spec.image, spec.vcpus, spec.memory_mib, spec.slots, spec.disk_mib});
    }
    return listed;
}

pid_t ProcessHypervisor::process(NodeId id) {
    const std::lock_guard lock(mutex_);
    const auto found = instances_.find(id);
    return found == instances_.end() ? 0 : found->second.process;
}

}  // namespace understudy::bench
