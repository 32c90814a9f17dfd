// understudy-agent: one per node. Runs as root, because it makes namespaces and checkpoints.
#include <algorithm>
#include <csignal>
#include <filesystem>

#include <sched.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/version.hpp"
#include "nodes/agent/agent.hpp"
#include "nodes/agent/config.hpp"
#include "nodes/agent/held.hpp"
#include "nodes/agent/own_keys.hpp"
#include "nodes/agent/probe.hpp"

namespace {

using understudy::node::Agent;
using understudy::node::Descriptor;

Descriptor take_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    return Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

// A stream takes up to eight descriptors; what the kernel lets us have is more than the usual beginning.
void ask_for_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    constexpr rlim_t kWanted = 8192;
    limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kWanted));
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// The kernel's out-of-memory killer takes a session before it takes what all sessions depend on.
void ask_to_be_spared() {
    if (FILE* file = ::fopen("/proc/self/oom_score_adj", "w")) {
        ::fputs("-900", file);
        ::fclose(file);
    }
}

// A node whose sessions are busy still renews its lease in time, and freezes them in time. What the agent starts, threads
// as well, inherits nothing of it.
void ask_for_the_processor() {
    sched_param urgent{};
    urgent.sched_priority = 1;
    if (::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &urgent) == 0) return;
    ::setpriority(PRIO_PROCESS, 0, -10);
}

understudy::Result<understudy::node::Config> go_on_with_a_seed(const understudy::node::Config& held, const std::string& file, int stop) {
    // What takes longest of a start; the answer is kept for this boot, which the copies share.
    std::error_code ignored;
    std::filesystem::create_directories(held.run_folder, ignored);
    static_cast<void>(understudy::node::probe_checkpoints(held.run_folder + "/checkpoint-probe", Agent::kProbePatienceMs));
    spdlog::info("held: waiting for a seed on {}", held.seed_disk);
    auto config = understudy::node::wait_for_seed(held, file, stop);
    if (config) spdlog::info("node={} goes on with a seed of its own", config->node.value);
    return config;
}

}  // namespace

int main(int count, char** words) {
    std::string file = "/run/understudy/agent.toml";
    CLI::App app{"The agent of one node: runs sessions and desktops as its manager says", "understudy-agent"};
    app.set_version_flag("--version", std::string("understudy-agent ") + understudy::kRelease);
    app.add_option("--config", file, "configuration (TOML)")->capture_default_str();
    CLI11_PARSE(app, count, words);

    spdlog::set_default_logger(spdlog::stderr_color_mt("agent"));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    const Descriptor signals = take_signals();
    auto config = understudy::node::read_config(file);
    if (!config) {
        spdlog::error("{}", config.error().message);
        return 2;
    }
    spdlog::set_level(spdlog::level::from_str(config->log_level));
    ask_to_be_spared();
    ask_for_descriptors();
    ask_for_the_processor();
    if (config->held) {
        config = go_on_with_a_seed(*config, file, signals.get());
        if (!config) {
            spdlog::error("{}", config.error().message);
            return 1;
        }
    }
    if (const auto taken = understudy::node::take_on(config->machine); !taken) spdlog::warn("{}", taken.error().message);
    auto keys = understudy::node::OwnKeys::load(*config);
    if (!keys) {
        spdlog::error("{}", keys.error().message);
        return 1;
    }
    auto agent = Agent::start(*config, std::move(*keys));
    if (!agent) {
        spdlog::error("{}", agent.error().message);
        return 1;
    }
    if (const auto ended = (*agent)->run(signals.get()); !ended) {
        spdlog::error("{}", ended.error().message);
        return 1;
    }
    return 0;
}
