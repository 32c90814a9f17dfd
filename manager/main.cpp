// understudyd: reads the configuration, puts the parts together, and lets the loop run until a signal comes.
// The only place that knows all adapters.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <set>

#include <CLI/CLI.hpp>
#include <sodium.h>

#include "base/version.hpp"
#include "manager/adapters/audit/audit_worker.hpp"
#include "manager/adapters/config/configuration.hpp"
#include "manager/adapters/config/node_key_files.hpp"
#include "manager/adapters/config/state_directory.hpp"
#include "manager/adapters/hypervisor/guest_filter.hpp"
#include "manager/adapters/hypervisor/hypervisor_workers.hpp"
#include "manager/adapters/hypervisor/instance_files.hpp"
#include "manager/adapters/hypervisor/keyed_workers.hpp"
#include "manager/adapters/hypervisor/libvirt_hypervisor.hpp"
#include "manager/adapters/store/open_store.hpp"
#include "manager/adapters/store/store_copies.hpp"
#include "manager/adapters/store/store_worker.hpp"
#include "manager/adapters/system/content_digests.hpp"
#include "manager/adapters/system/files.hpp"
#include "manager/adapters/system/log.hpp"
#include "manager/adapters/system/signals.hpp"
#include "manager/adapters/wire/router.hpp"
#include "manager/runtime/loop.hpp"

namespace {

using namespace understudy;
using namespace understudy::manager;

constexpr int kExitFailed = 1;
constexpr int kExitConfiguration = 2;
constexpr int kExitSuperseded = 3;
constexpr std::chrono::seconds kSettlePatience{5};

int complain(const Error& error, int code) {
    std::cerr << error.message << '\n';
    return code;
}

int run_init(const std::string& path) {
    const auto directory = make_state_directory(path);
    if (!directory) return complain(directory.error(), kExitFailed);
    std::cout << "state directory: " << directory->path << "\nmanager's public key: " << directory->keys.public_key
              << "\n\nNext: name the directory in a configuration,\n\n    [manager]\n    state_dir = \"" << directory->path
              << "\"\n\nenter the public key of every client under [[peer]], and start\n\n"
                 "    understudyd --config FILE\n\nClients are given the manager's public key as manager_key.\n";
    return 0;
}

std::string store_of(const Configuration& configuration) { return configuration.manager.state_dir + "/store.db"; }

int run_backup(const Configuration& configuration, const std::string& target) {
    const auto copied = back_up_store(store_of(configuration), target);
    if (!copied) return complain(copied.error(), kExitFailed);
    std::cout << target << ": " << copied->records << " records, version " << copied->version << ", verified\n"
              << "It holds no keys and no disks: keep " << configuration.manager.state_dir << "/*.keys and cluster.id elsewhere too.\n";
    return 0;
}

int run_restore(const Configuration& configuration, const std::string& source) {
    const auto lock = lock_file(configuration.manager.state_dir + "/lock");
    if (!lock) return complain({lock.error().code, lock.error().message + "; end the manager before its records are replaced"}, kExitFailed);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    const auto restored = restore_store(source, store_of(configuration), wall_ms);
    if (!restored) return complain(restored.error(), kExitFailed);
    std::cout << store_of(configuration) << ": " << restored->records << " records, version " << restored->version << ", from " << source << '\n';
    if (!restored->set_aside.empty()) std::cout << "What was there is kept as " << restored->set_aside << ".\n";
    std::cout << "Start the manager: it compares them with what runs before it decides anything.\n";
    return 0;
}

/// The port of the last run is wanted again: instances that go on know it.
std::string wished_endpoint(const Configuration& configuration) {
    const std::string& listen = configuration.manager.listen;
    if (!listen.ends_with(":0")) return listen;
    auto last = read_file(configuration.manager.state_dir + "/endpoint");
    if (!last) return listen;
    while (!last->empty() && last->back() == '\n') last->pop_back();
    const std::string host = listen.substr(0, listen.rfind(':'));
    return last->starts_with(host + ":") ? *last : listen;
}

Result<std::unique_ptr<Router>> open_router(const Configuration& configuration, const StateDirectory& directory, std::size_t most_connections) {
    RouterOptions options;
    options.most_connections = most_connections;
    options.listen = wished_endpoint(configuration);
    options.keys = directory.keys;
    options.twin_patience = std::chrono::duration_cast<std::chrono::milliseconds>(configuration.settings.heartbeat * 3 / 2);
    auto router = Router::open(options);
    if (!router && options.listen != configuration.manager.listen) {
        options.listen = configuration.manager.listen;
        router = Router::open(options);
    }
    if (!router) return router;
    if (auto written = write_file(directory.path + "/endpoint", (*router)->endpoint() + "\n", 0644); !written) {
        return tl::unexpected(written.error());
    }
    return router;
}

std::string guest_endpoint(const Configuration& configuration, const std::string& endpoint) {
    if (!configuration.instances.guest_manager.empty()) return configuration.instances.guest_manager;
    return "tcp://" + configuration.instances.loopback_alias + endpoint.substr(endpoint.rfind(':'));
}

bool makes_instances_here(const Configuration& configuration) {
    return std::any_of(configuration.hosts.begin(), configuration.hosts.end(),
                       [](const HostOptions& host) { return host.record.uri.starts_with("qemu:///embed"); });
}

/// Guests work with the manager, with each other through doors, and with machines that were enrolled on this very one.
GuestFilter filter_for(const Configuration& configuration, const std::vector<ConfiguredPeer>& peers, const StateDirectory& directory,
                       const std::string& endpoint) {
    const InstanceOptions& instances = configuration.instances;
    GuestFilter filter{accounts_of(directory.cluster), opening_to(guest_endpoint(configuration, endpoint), instances.loopback_alias)};
    std::set<std::string> addresses;
    for (const HostOptions& host : configuration.hosts) {
        if (host.record.uri.starts_with("qemu:///embed")) addresses.insert(host.address);
    }
    for (const std::string& address : addresses) {
        for (FilterOpening& opening : opening_to(address + ":1", instances.loopback_alias)) {
            filter.openings.push_back({opening.address, instances.first_door_port, instances.last_door_port});
        }
    }
    for (const ConfiguredPeer& peer : peers) {
        if (!peer.machine) continue;
        const std::string door = peer.machine->door.host + ":" + std::to_string(peer.machine->door.port);
        for (FilterOpening& opening : opening_to(door, instances.loopback_alias)) {
            if (is_here(opening.address)) filter.openings.push_back(std::move(opening));
        }
    }
    return filter;
}

void set_filter(const Configuration& configuration, const std::vector<ConfiguredPeer>& peers, const StateDirectory& directory, const std::string& endpoint,
                const LogSink& log) {
    if (!makes_instances_here(configuration)) return;
    const AccountRange accounts = accounts_of(directory.cluster);
    if (!configuration.instances.guest_filter) {
        if (::geteuid() == 0) static_cast<void>(remove_guest_filter(accounts));  // of an earlier manager, which had it on
        return;
    }
    const auto set = ::geteuid() == 0 ? set_guest_filter(filter_for(configuration, peers, directory, endpoint))
                                      : failure(ErrorCode::refused, "a packet filter needs root");
    if (set) {
        return log(LogWeight::notice, "guests, by their accounts " + std::to_string(accounts.first) + " to " + std::to_string(accounts.last) +
                                          ", reach this machine at the manager and at doors only (packet filter, chain " + filter_chain(accounts) + ")");
    }
    log(LogWeight::warning, "guests reach every port of this machine's loopback: " + set.error().message +
                                "; install iptables and run the manager as root, or set guest_filter = \"off\" in [instances] where "
                                "something else keeps them from it");
}

/// For when no instance runs any more, and no manager.
int run_remove_filter(const Configuration& configuration) {
    const auto directory = load_state_directory(configuration.manager.state_dir);
    if (!directory) return complain(directory.error(), kExitConfiguration);
    const auto lock = lock_file(directory->path + "/lock");
    if (!lock) return complain({lock.error().code, lock.error().message + "; the filter is needed while it runs"}, kExitFailed);
    const auto removed = remove_guest_filter(accounts_of(directory->cluster));
    return removed ? 0 : complain(removed.error(), kExitFailed);
}

/// A bundle is known by what it contains, as it is at this start.
Result<std::vector<EnvironmentRecord>> read_environments(const Configuration& configuration, const StateDirectory& directory) {
    ContentDigests digests(directory.path + "/digests.toml");
    std::vector<EnvironmentRecord> environments;
    for (const EnvironmentOptions& options : configuration.environments) {
        const auto digest = digests.of(options.file);
        if (!digest) {
            return failure(digest.error().code, configuration.file + ": [[environment]] " + options.record.name + ": " + digest.error().message);
        }
        environments.push_back(options.record);
        environments.back().digest = "sha256:" + *digest;
    }
    return environments;
}

/// Guest images by name. None where there is no directory of them: then nothing is known about images.
std::vector<std::string> images_in(const std::string& directory) {
    constexpr std::string_view kEnding = ".img";
    std::vector<std::string> images;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
        const std::string name = entry.path().filename().string();
        if (name == "initramfs.img") continue;  // of the kernel that all of them boot
        if (name.ends_with(kEnding)) images.push_back(name.substr(0, name.size() - kEnding.size()));
    }
    return images;
}

std::vector<Wish> wishes_of(const Configuration& configuration, const std::vector<EnvironmentRecord>& environments) {
    std::vector<Wish> wishes;
    for (const HostOptions& host : configuration.hosts) wishes.emplace_back(DefineHost{host.record});
    for (const EnvironmentRecord& environment : environments) wishes.emplace_back(DefineEnvironment{environment});
    for (const PoolRecord& pool : configuration.pools) wishes.emplace_back(DefinePool{pool});
    for (const ProfileRecord& profile : configuration.profiles) wishes.emplace_back(DefineProfile{profile});
    for (const DefineTerminal& terminal : configuration.terminals) wishes.emplace_back(terminal);
    return wishes;
}

/// Hypervisors, shared by hosts with one URI, and the workers in front of them.
class Hypervisors {
  public:
    Hypervisors(const Configuration& configuration, const StateDirectory& directory, const std::string& endpoint, ArrivalSink sink)
        : files_(directory.path + "/instances", configuration.instances,
                 {guest_endpoint(configuration, endpoint), directory.keys.public_key}),
          ports_(configuration.instances.first_door_port, configuration.instances.last_door_port),
          workers_(configuration.settings.parallel_creations, sink) {
        std::map<std::string, std::map<std::string, std::string>> addresses;
        for (const HostOptions& host : configuration.hosts) addresses[host.record.uri][host.record.name] = host.address;
        for (const auto& [uri, of_hosts] : addresses) {
            for (const auto& [name, address] : of_hosts) owners_[uri].insert(name);
            make(directory, uri, of_hosts, sink);
        }
        for (const HostOptions& host : configuration.hosts) {
            workers_.add_host(host.record.name, *by_uri_.at(host.record.uri));
            if (!host.fence.agent.empty()) workers_.add_fence(host.record.name, host.fence);
        }
        workers_.set_opener([this, directory, sink](const HostRecord& host) { return open(directory, host, sink); });
    }

    /// Keys of instances that may be running, from the manager before this one.
    std::map<NodeId, GivenKey> known_keys(const LogSink& log) {
        std::vector<std::string> problems;
        std::map<NodeId, GivenKey> keys;
        for (const InstanceFile& file : files_.load_all(problems)) {
            keys.emplace(file.spec.id, GivenKey{file.public_key, file.one_time});
            ports_.keep(file.door_port);
        }
        for (const std::string& problem : problems) log(LogWeight::warning, problem);
        return keys;
    }

    /// Precondition: the loop has not started.
    void know_bundles(const std::vector<EnvironmentOptions>& files, const std::vector<EnvironmentRecord>& records) {
        for (std::size_t i = 0; i < records.size(); ++i) files_.know_bundle(records[i].digest, files[i].file);
    }

    HypervisorPort& port() { return workers_; }

  private:
    LibvirtHypervisor* make(const StateDirectory& directory, const std::string& uri, std::map<std::string, std::string> addresses,
                            const ArrivalSink& sink) {
        LibvirtOptions options{uri, directory.cluster, directory.path + "/acceleration.toml", std::move(addresses)};
        const auto made = by_uri_.emplace(uri, std::make_unique<LibvirtHypervisor>(std::move(options), library_, files_, ports_, sink));
        return made.first->second.get();
    }

    /// For a host that was defined while the manager runs, or by an earlier one: its URI is its own.
    Result<Hypervisor*> open(const StateDirectory& directory, const HostRecord& host, const ArrivalSink& sink) {
        std::set<std::string>& owners = owners_[host.uri];
        if (!owners.empty() && !owners.contains(host.name)) {
            return failure(ErrorCode::refused, host.uri + " is used by host " + *owners.begin() + "; hosts that share one are for the configuration");
        }
        owners.insert(host.name);
        const auto known = by_uri_.find(host.uri);
        if (known != by_uri_.end()) return known->second.get();
        return make(directory, host.uri, {{host.name, host.address.empty() ? "127.0.0.1" : host.address}}, sink);
    }

    LibvirtLibrary library_;
    InstanceFiles files_;
    DoorPorts ports_;
    std::map<std::string, std::unique_ptr<LibvirtHypervisor>> by_uri_;
    std::map<std::string, std::set<std::string>> owners_;  ///< URI → the hosts behind it
    HypervisorWorkers workers_;  // last: its threads end first
};

using UsePeers = std::function<void(const std::vector<ConfiguredPeer>&)>;

/// Only who is admitted can change while the manager runs; the rest of the file is for its next start.
void read_again(const std::string& file, Loop& loop, const UsePeers& use) {
    const auto configuration = load_configuration(file);
    if (!configuration) return loop.refuse_configuration(configuration.error().message);
    loop.use_peers(configuration->peers);
    use(configuration->peers);
}

int run_until_signal(const std::string& file, Loop& loop, const UniqueFd& signals, const UsePeers& use, const LogSink& log) {
    const std::array<int, 1> others{signals.get()};
    for (;;) {
        loop.turn(std::chrono::seconds(1), others);
        if (loop.fatal()) {
            log(LogWeight::alarm, loop.fatal()->message);
            return kExitSuperseded;
        }
        const int signal = next_signal(signals);
        if (signal == SIGCHLD) loop.child_ended();
        if (signal == SIGHUP) read_again(file, loop, use);
        if (signal == 0 || signal == SIGHUP || signal == SIGCHLD) continue;
        log(LogWeight::notice, std::string("ends, asked to by ") + ::strsignal(signal) + "; instances go on");
        loop.settle(kSettlePatience);
        return 0;
    }
}

/// How many connections there may be: strangers who only connect must not use up what stores and logs need, and a site has
/// thousands of machines.
std::size_t make_room_for_connections() {
    constexpr rlim_t kDescriptors = 32768;
    constexpr rlim_t kOwn = 4096;  // for records, logs, instances and handshakes
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return RouterOptions().most_connections;
    if (limit.rlim_cur < kDescriptors) {
        limit.rlim_cur = std::min(limit.rlim_max, kDescriptors);
        ::setrlimit(RLIMIT_NOFILE, &limit);
        ::getrlimit(RLIMIT_NOFILE, &limit);
    }
    const rlim_t ours = std::min(limit.rlim_cur, kDescriptors);
    return static_cast<std::size_t>(ours > 2 * kOwn ? ours - kOwn : ours / 2);
}

int run_manager(const Configuration& configuration) {
    ::umask(0077);  // accounts of QEMUs pass the state folder
    const UniqueFd signals = take_over_signals();
    const std::size_t most_connections = make_room_for_connections();
    // QEMU processes that are orphaned by libvirt become ours: an ended one is reaped at once, and libvirt
    // does not wait for process 1 to do it.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const auto directory = load_state_directory(configuration.manager.state_dir);
    if (!directory) return complain(directory.error(), kExitConfiguration);
    const auto lock = lock_file(directory->path + "/lock");
    if (!lock) return complain(lock.error(), kExitFailed);
    const auto log = open_log(configuration.manager.log_level, configuration.manager.log_file);
    if (!log) return complain(log.error(), kExitConfiguration);

    const auto environments = read_environments(configuration, *directory);
    if (!environments) return complain(environments.error(), kExitConfiguration);

    auto opened = open_store(store_of(configuration), configuration.settings);
    if (!opened) return complain(opened.error(), kExitFailed);
    for (const std::string& alarm : opened->alarms) (*log)(LogWeight::alarm, alarm);

    auto router = open_router(configuration, *directory, most_connections);
    if (!router) return complain(router.error(), kExitFailed);
    (*log)(LogWeight::notice, "listens at " + (*router)->endpoint());

    Mailbox<Arrival> mailbox;
    const ArrivalSink sink = [&mailbox](Arrival arrival) { mailbox.push(std::move(arrival)); };
    TicketSealer sealer(directory->ticket_keys);
    StoreWorker store(std::move(opened->store), sink);
    AuditWorker audit(directory->path + "/audit.log", sink);
    const std::string keys_directory = directory->path + "/keys";
    NodeKeyFiles keys(keys_directory, sink);
    Hypervisors hypervisors(configuration, *directory, (*router)->endpoint(), sink);

    hypervisors.know_bundles(configuration.environments, *environments);

    LoopOptions options;
    options.version = kRelease;
    options.images = images_in(configuration.instances.image_dir);
    options.alarms = opened->alarms;
    randombytes_buf(&options.writer, sizeof options.writer);
    options.instance_keys = hypervisors.known_keys(*log);
    std::vector<std::string> problems;
    options.kept_keys = NodeKeyFiles::load_all(keys_directory, problems);
    for (const std::string& problem : problems) (*log)(LogWeight::alarm, problem);
    options.one_time_life = configuration.settings.boot_limit;
    options.peers = configuration.peers;
    Loop loop({store, sealer, hypervisors.port(), **router, audit, keys, mailbox, *log}, options, std::move(opened->core), opened->head);
    const std::string endpoint = (*router)->endpoint();
    set_filter(configuration, configuration.peers, *directory, endpoint, *log);  // before the first instance
    KeyedWorkers filtering(1);  // the loop does not wait for whoever else changes the machine's filter
    const auto filter = [&](const std::vector<ConfiguredPeer>& peers) {
        filtering.submit(1, Urgency::normal, [&, peers] { set_filter(configuration, peers, *directory, endpoint, *log); });
    };
    loop.start(wishes_of(configuration, *environments));
    return run_until_signal(configuration.file, loop, signals, filter, *log);
}

}  // namespace

int main(int count, char** words) {
    CLI::App program{"Node manager: keeps people's applications on their screens while machines fail"};
    std::string file;
    bool check = false;
    program.add_option("--config", file, "configuration file");
    program.add_flag("--check", check, "read and check the configuration, then end");
    program.set_version_flag("--version", std::string("understudyd ") + kRelease);
    std::string directory;
    CLI::App* const init = program.add_subcommand("init", "make a state directory: keys and identity");
    init->add_option("--dir", directory, "directory to make")->required();
    std::string copy;
    const auto with_store = [&](const char* name, const char* what, const char* option, const char* about) {
        CLI::App* const command = program.add_subcommand(name, what);
        command->add_option("--config", file, "configuration file")->required();
        command->add_option(option, copy, about)->required();
        return command;
    };
    CLI::App* const backup = with_store("backup", "copy the records, while the manager runs or not", "--to", "file to make");
    CLI::App* const restore = with_store("restore", "put a copy of the records back; the manager must not run", "--from", "file that backup made");
    CLI::App* const remove_filter =
        program.add_subcommand("remove-filter", "take the packet filter for guests away; neither the manager nor an instance must run");
    remove_filter->add_option("--config", file, "configuration file")->required();
    CLI11_PARSE(program, count, words);

    if (*init) return run_init(directory);
    if (file.empty()) return complain({ErrorCode::invalid, "understudyd: name a configuration with --config FILE (see --help)"}, kExitConfiguration);
    const auto configuration = load_configuration(file);
    if (!configuration) return complain(configuration.error(), kExitConfiguration);
    if (*backup) return run_backup(*configuration, copy);
    if (*restore) return run_restore(*configuration, copy);
    if (*remove_filter) return run_remove_filter(*configuration);
    if (check) {
        std::cout << file << ": ok (" << configuration->hosts.size() << " hosts, " << configuration->pools.size() << " pools, "
                  << configuration->profiles.size() << " profiles, " << configuration->terminals.size() << " terminals, "
                  << configuration->peers.size() << " peers)\n";
        return 0;
    }
    return run_manager(*configuration);
}
