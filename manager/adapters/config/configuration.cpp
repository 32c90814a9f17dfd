// See configuration.hpp.
#include "manager/adapters/config/configuration.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include <zmq.h>

#include "manager/adapters/config/option_table.hpp"
#include "manager/core/open_hosts.hpp"
#include "protocol/limits.hpp"

namespace understudy::manager {
namespace {

constexpr std::uint32_t kDayMs = 24u * 3600 * 1000;
constexpr std::size_t kMostComplaints = 20;
/// The longest path below the root is that of a monitor socket; Unix socket paths end at 108 bytes.
constexpr std::size_t kLongestRoot = 55;

class Parser {
  public:
    Parser(const std::string& path, Complaints& complaints)
        : complaints_(complaints), directory_(std::filesystem::absolute(path).parent_path()) {
        configuration_.file = path;
    }

    Configuration read(const toml::table& file) {
        OptionTable top(file, "file", complaints_);
        section(top, "manager", [this](OptionTable& table) { read_manager(table); });
        section(top, "timing", [this](OptionTable& table) { read_timing(table); });
        section(top, "instances", [this](OptionTable& table) { read_instances(table); });
        top.each("host", [this](const toml::table& table) { read_host(table); });
        top.each("environment", [this](const toml::table& table) { read_environment(table); });
        top.each("pool", [this](const toml::table& table) { read_pool(table); });
        top.each("profile", [this](const toml::table& table) { read_profile(table); });
        top.each("terminal", [this](const toml::table& table) { read_terminal(table); });
        top.each("peer", [this](const toml::table& table) { read_peer(table); });
        top.finish();
        check_references();
        return std::move(configuration_);
    }

  private:
    /// A missing section is an empty one: every option then has its default, or is complained about.
    template <class Body>
    void section(OptionTable& top, const char* name, Body body) {
        static const toml::table kEmpty;
        const toml::node* node = top.has(name) ? top.table().get(name) : nullptr;
        if (node != nullptr && !node->is_table()) {
            top.complain(name, "must be a table, begun with [" + std::string(name) + "]");
            return;
        }
        top.note(name);
        OptionTable table(node != nullptr ? *node->as_table() : kEmpty, "[" + std::string(name) + "]", complaints_);
        body(table);
        table.finish();
    }

    std::string resolved(const std::string& path) const {
        return path.empty() ? path : (directory_ / path).lexically_normal().string();
    }

    std::string name_of(OptionTable& table, std::string_view option = "name") {
        std::string name = table.required_text(option);
        if (name.size() > limits::kNameBytes) table.complain(option, "is longer than " + std::to_string(limits::kNameBytes) + " bytes");
        if (name.find_first_of("/\n\t ") != std::string::npos) table.complain(option, "must have no blanks and no slashes");
        return name;
    }

    /// Complains when the name was used before in the same kind of table.
    void claim(OptionTable& table, const std::string& kind, const std::string& name, std::string_view option = "name") {
        if (!names_[kind].insert(name).second) table.complain(option, "is used twice: \"" + name + "\" must be the only one");
    }

    static std::uint32_t line_of(const toml::table& table) { return table.source().begin.line; }

    void read_manager(OptionTable& table) {
        ManagerOptions& manager = configuration_.manager;
        manager.listen = table.text("listen", manager.listen);
        if (!manager.listen.starts_with("tcp://") || manager.listen.rfind(':') <= 5) {
            table.complain("listen", "must be an address and port such as \"tcp://127.0.0.1:7400\" (port 0: any free one)");
        }
        manager.state_dir = resolved(table.required_text("state_dir"));
        manager.log_file = resolved(table.text("log_file", {}));
        manager.log_level = table.choice<LogWeight>("log_level",
                                                    {{"debug", LogWeight::debug}, {"info", LogWeight::info},
                                                     {"notice", LogWeight::notice}, {"warning", LogWeight::warning}},
                                                    LogWeight::info);
    }

    void read_timing(OptionTable& table) {
        Settings& s = configuration_.settings;
        const auto span = [&table](const char* option, std::uint32_t lowest, Duration& value) {
            value = table.duration_ms(option, lowest, kDayMs, value);
        };
        const auto count = [&table](const char* option, std::uint32_t lowest, std::uint32_t highest, std::uint32_t& value) {
            value = table.number(option, lowest, highest, value);
        };
        span("heartbeat_ms", 10, s.heartbeat);
        span("silence_ms", 20, s.silence);
        span("lease_ms", 50, s.lease);
        count("drift_permille", 0, 500, s.drift_permille);
        span("suspect_grace_ms", 0, s.suspect_grace);
        span("resend_ms", 10, s.resend);
        span("backup_grace_ms", 0, s.backup_grace);
        span("own_machine_grace_ms", 0, s.own_machine_grace);
        span("operation_retry_ms", 10, s.operation_retry);
        span("operation_patience_ms", 1000, s.operation_patience);
        count("create_attempts", 1, 100, s.create_attempts);
        span("boot_limit_ms", 100, s.boot_limit);
        span("pool_pause_ms", 10, s.pool_pause);
        count("parallel_creations", 1, 64, s.parallel_creations);
        span("refill_rest_ms", 0, s.refill_rest);
        span("inventory_interval_ms", 100, s.inventory_interval);
        span("demand_window_ms", 1000, s.demand_window);
        count("gate_permille", 1, 1000, s.gate_permille);
        count("witnesses", 0, 16, s.witnesses);
        span("witness_interval_ms", 10, s.witness_interval);
        count("gate_minimum", 1, 100000, s.gate_minimum);
        span("gate_window_ms", 10, s.gate_window);
        span("gate_collect_ms", 0, s.gate_collect);
        span("gate_hold_ms", 0, s.gate_hold);
        span("gate_pace_ms", 1, s.gate_pace);
        span("stall_threshold_ms", 10, s.stall_threshold);
        span("tick_ms", 10, s.tick);
        count("crash_limit", 1, 1000, s.crash_limit);
        span("crash_window_ms", 10, s.crash_window);
        count("terminals_per_step", 1, 100000, s.terminals_per_step);
        if (s.silence < 2 * s.heartbeat) table.complain("silence_ms", "must be at least twice heartbeat_ms");
        if (s.silence - s.gate_collect <= s.heartbeat) {
            table.complain("gate_collect_ms", "must be shorter than silence_ms less heartbeat_ms: a node is not missed between two heartbeats");
        }
        if (s.lease <= s.silence) table.complain("lease_ms", "must be longer than silence_ms");
    }

    void read_instances(OptionTable& table) {
        InstanceOptions& instances = configuration_.instances;
        instances.image_dir = resolved(table.text("image_dir", {}));
        instances.agent_image = resolved(table.text("agent_image", {}));
        instances.root = resolved(table.text("root", {}));
        instances.guest_manager = table.text("guest_manager", {});
        instances.loopback_alias = table.text("loopback_alias", instances.loopback_alias);
        instances.guest_filter = table.choice<bool>("guest_filter", {{"on", true}, {"off", false}}, instances.guest_filter);
        instances.disk_mib = table.number("disk_mib", 0, 16 * 1024 * 1024, 0);
        instances.acceleration = table.choice<Acceleration>(
            "acceleration", {{"auto", Acceleration::automatic}, {"kvm", Acceleration::kvm}, {"tcg", Acceleration::tcg}},
            Acceleration::automatic);
        const auto ports = table.numbers("door_ports", 1, 65535);
        if (ports.size() == 2 && ports[0] <= ports[1]) {
            instances.first_door_port = static_cast<std::uint16_t>(ports[0]);
            instances.last_door_port = static_cast<std::uint16_t>(ports[1]);
        } else if (table.has("door_ports")) {
            table.complain("door_ports", "must be the first and the last port, such as [41000, 41999]");
        }
        if (!instances.guest_manager.empty() && !instances.guest_manager.starts_with("tcp://")) {
            table.complain("guest_manager", "must be an address such as \"tcp://10.0.2.2:7400\"");
        }
        if (instances.root.empty()) instances.root = configuration_.manager.state_dir + "/qemu";
        instances_line_ = line_of(table.table());
    }

    void read_host(const toml::table& source) {
        OptionTable table(source, "[[host]]", complaints_);
        HostOptions host;
        host.record.name = name_of(table);
        claim(table, "host", host.record.name);
        host.record.uri = table.text("uri", "qemu:///embed");
        // The embedded driver has one root per program; it is not repeated in every host.
        if (host.record.uri == "qemu:///embed") host.record.uri += "?root=" + configuration_.instances.root;
        host.record.domain = table.text("domain", host.record.name);
        host.record.vcpus = table.number("vcpus", 1, 65536, 1);
        host.record.memory_mib = table.number("memory_mib", 64, 1u << 30, 1024);
        host.address = table.text("address", host.address);
        read_fence(table, host);
        host.record.address = host.address;
        host.record.disk_mib = table.long_number("disk_mib", 0, 1ull << 40, 0);
        host.record.labels = table.texts("labels");
        check_labels(table, host.record.labels);
        check_uri(table, host.record.uri);
        for (const char* option : {"vcpus", "memory_mib"}) {
            if (!table.has(option)) table.complain(option, "is missing: say how much of this host instances may take");
        }
        table.finish();
        configuration_.hosts.push_back(std::move(host));
    }

    static void read_fence(OptionTable& table, HostOptions& host) {
        host.fence.agent = table.text("fence_agent", {});
        host.fence.options = table.texts("fence_options");
        host.fence.limit = std::chrono::milliseconds(table.number("fence_limit_ms", 1000, 600'000, static_cast<std::uint32_t>(host.fence.limit.count())));
        host.fence.attempts = table.number("fence_attempts", 1, 10, host.fence.attempts);
        host.record.can_fence = !host.fence.agent.empty();
        for (const std::string& option : host.fence.options) {
            const auto equals = option.find('=');
            const bool whole = equals != std::string::npos && equals > 0 && option.find('\n') == std::string::npos;
            if (!whole) table.complain("fence_options", "must be a list of \"key=value\" texts, as the agent's manual names the keys");
            else if (option.substr(0, equals) == "action") table.complain("fence_options", "must not have an action: the manager says what is to be done");
        }
        if (host.fence.agent.empty() && !host.fence.options.empty()) table.complain("fence_options", "needs fence_agent");
    }

    static void check_labels(OptionTable& table, const std::vector<std::string>& labels) {
        for (const std::string& label : labels) {
            const bool good = !label.empty() && label.size() <= limits::kNameBytes && label.find_first_of("/\n\t ,") == std::string::npos;
            if (!good) table.complain("labels", "must be words without blanks, slashes and commas");
        }
    }

    /// What libvirt makes of the rest is only known when it is opened.
    static void check_uri(OptionTable& table, const std::string& uri) {
        const auto end = uri.find("://");
        const bool blank = uri.find_first_of(" \t\n") != std::string::npos;
        if (end == std::string::npos || end == 0 || blank) {
            table.complain("uri", "must be a libvirt URI such as \"qemu:///system\" or \"qemu+ssh://root@alpha/system\"");
        }
    }

    void read_environment(const toml::table& source) {
        OptionTable table(source, "[[environment]]", complaints_);
        EnvironmentOptions environment;
        environment.record.name = name_of(table);
        claim(table, "environment", environment.record.name);
        environment.file = resolved(table.required_text("file"));
        std::error_code problem;
        const auto bytes = std::filesystem::file_size(environment.file, problem);
        if (problem && !environment.file.empty()) table.complain("file", environment.file + " cannot be used: " + problem.message());
        else if (!problem && bytes == 0) table.complain("file", environment.file + " is empty");
        else environment.record.bytes = bytes;
        table.finish();
        configuration_.environments.push_back(std::move(environment));
    }

    void check_environment(OptionTable& table, std::string_view option, const std::string& environment) {
        if (environment.empty() || names_["environment"].contains(environment)) return;
        table.complain(option, "names no [[environment]]; there are: " +
                                   names_in(configuration_.environments, [](const EnvironmentOptions& e) { return e.record.name; }));
    }

    void read_pool(const toml::table& source) {
        OptionTable table(source, "[[pool]]", complaints_);
        PoolRecord pool;
        pool.flavour = name_of(table, "flavour");
        claim(table, "pool", pool.flavour, "flavour");
        pool.image = table.text("image", "base");
        pool.vcpus = table.number("vcpus", 1, 256, pool.vcpus);
        pool.memory_mib = table.number("memory_mib", 64, 1u << 24, pool.memory_mib);
        pool.slots = table.number("slots", 1, 64, pool.slots);
        pool.min_idle = table.number("min_idle", 0, 10000, pool.min_idle);
        pool.max_idle = table.number("max_idle", 0, 10000, std::max(pool.max_idle, pool.min_idle));
        pool.max_total = table.number("max_total", 1, 100000, pool.max_total);
        if (pool.min_idle > pool.max_idle) table.complain("min_idle", "must not be more than max_idle");
        if (pool.max_idle > pool.max_total) table.complain("max_idle", "must not be more than max_total");
        pool.min_paused = table.number("min_paused", 0, 10000, pool.min_paused);
        pool.max_paused = table.number("max_paused", 0, 10000, std::max(pool.max_paused, pool.min_paused));
        if (pool.min_paused > pool.max_paused) table.complain("min_paused", "must not be more than max_paused");
        if (pool.min_idle + pool.min_paused > pool.max_total) table.complain("min_paused", "and min_idle together must not be more than max_total");
        pool.disk_mib = table.number("disk_mib", 0, 1u << 24, configuration_.instances.disk_mib);
        pool.environment = table.text("environment", {});
        pool.follow_demand = table.choice<bool>("follow_demand", {{"on", true}, {"off", false}}, pool.follow_demand);
        pool.policy = table.choice<Policy>("policy", {{"spread", Policy::spread}, {"pack", Policy::pack}}, pool.policy);
        pool.labels = table.texts("labels");
        check_labels(table, pool.labels);
        table.finish();
        configuration_.pools.push_back(std::move(pool));
        pool_tables_.push_back(&source);
    }

    void read_profile(const toml::table& source) {
        OptionTable table(source, "[[profile]]", complaints_);
        ProfileRecord profile;
        profile.name = name_of(table);
        claim(table, "profile", profile.name);
        profile.flavour = table.required_text("flavour");
        profile.presentation_backups = table.number("presentation_backups", 0, 8, profile.presentation_backups);
        profile.execution_backups = table.number("execution_backups", 0, 8, profile.execution_backups);
        profile.separation = table.choice<Separation>(
            "separation", {{"instance", Separation::instance}, {"host", Separation::host}, {"domain", Separation::domain}},
            profile.separation);
        profile.width = table.number("width", 320, 7680, profile.width);
        profile.height = table.number("height", 200, 4320, profile.height);
        profile.keep_detached_ms = table.long_number("keep_detached_ms", 0, 365ull * kDayMs, profile.keep_detached_ms);
        profile.second_attach = table.choice<SecondAttach>(
            "second_attach", {{"take-over", SecondAttach::take_over}, {"refuse", SecondAttach::refuse}}, profile.second_attach);
        table.each("application", [&](const toml::table& application) { read_application(application, profile); });
        if (profile.applications.empty()) table.complain("application", "is missing: give at least one [[profile.application]]");
        table.finish();
        configuration_.profiles.push_back(std::move(profile));
        profile_tables_.push_back(&source);
    }

    void read_application(const toml::table& source, ProfileRecord& profile) {
        OptionTable table(source, "[[profile.application]]", complaints_);
        ProfileApplication entry;
        entry.application.name = name_of(table);
        claim(table, "application of " + profile.name, entry.application.name);
        entry.application.title = table.text("title", entry.application.name);
        entry.application.command = table.texts("command");
        entry.application.environment = table.text("environment", {});
        entry.protection = table.choice<Protection>(
            "protection", {{"checkpoint", Protection::checkpoint}, {"restart", Protection::restart}}, Protection::checkpoint);
        if (entry.application.command.empty()) {
            table.complain("command", "is missing: give the program and its arguments, such as [\"xterm\", \"-ls\"]");
        }
        table.finish();
        profile.applications.push_back(std::move(entry));
    }

    void read_terminal(const toml::table& source) {
        OptionTable table(source, "[[terminal]]", complaints_);
        DefineTerminal terminal;
        terminal.name = name_of(table);
        claim(table, "terminal", terminal.name);
        terminal.profile = table.required_text("profile");
        table.finish();
        configuration_.terminals.push_back(std::move(terminal));
        terminal_tables_.push_back(&source);
    }

    void read_peer(const toml::table& source) {
        OptionTable table(source, "[[peer]]", complaints_);
        ConfiguredPeer peer;
        peer.identity.name = name_of(table);
        peer.identity.role = table.choice<PeerRole>("role",
                                                    {{"administrator", PeerRole::administrator}, {"operator", PeerRole::operator_},
                                                     {"terminal", PeerRole::terminal},
                                                     {"gateway", PeerRole::gateway}, {"agent", PeerRole::agent},
                                                     {"observer", PeerRole::observer}},
                                                    PeerRole::terminal);
        if (!table.has("role")) table.complain("role", "is missing: it must be one of: administrator, operator, observer, terminal, gateway, agent");
        const bool agent = peer.identity.role == PeerRole::agent;
        if (agent && table.has("one_time_key")) read_one_time_key(table, peer);
        else peer.keys = read_keys(table);
        if (peer.identity.role == PeerRole::terminal) {
            peer.identity.terminals = table.texts("terminals");
            if (peer.identity.terminals.empty()) peer.identity.terminals = {peer.identity.name};
        }
        if (peer.identity.role == PeerRole::gateway) peer.identity.terminals = {"*"};
        if (agent) peer.machine = read_enrolment(table, peer.identity.name);
        table.finish();
        configuration_.peers.push_back(std::move(peer));
    }

    /// One key, or several: then a new one can be tried before the old one goes.
    std::vector<std::string> read_keys(OptionTable& table) {
        const char* option = table.has("keys") ? "keys" : "key";
        if (table.has("keys") && table.has("key")) table.complain("keys", "and key must not both be given");
        std::vector<std::string> keys = table.has("keys") ? table.texts("keys") : std::vector<std::string>{table.required_text("key")};
        if (keys.empty()) table.complain("keys", "must name at least one key");
        for (const std::string& key : keys) check_key(table, option, key);
        return keys;
    }

    void check_key(OptionTable& table, const char* option, const std::string& key) {
        std::uint8_t bytes[32];
        if (key.size() != 40 || zmq_z85_decode(bytes, key.c_str()) == nullptr) {
            table.complain(option, "must be a public CURVE key: 40 characters of Z85");
        }
        claim(table, "peer key", key, option);
    }

    /// The machine makes its own key, and names it with this one.
    void read_one_time_key(OptionTable& table, ConfiguredPeer& peer) {
        if (table.has("keys") || table.has("key")) table.complain("one_time_key", "and a key must not both be given");
        peer.one_time_key = table.required_text("one_time_key");
        check_key(table, "one_time_key", peer.one_time_key);
        peer.until_wall_ms = table.required_moment("valid_until");
    }

    /// A machine that somebody enrolled by hand.
    EnrolNode read_enrolment(OptionTable& table, const std::string& name) {
        EnrolNode node;
        node.name = name;
        claim(table, "agent", node.name);
        node.host = table.required_text("host");
        node.slots = table.number("slots", 1, 64, node.slots);
        const std::string door = table.required_text("door");
        const auto colon = door.rfind(':');
        const auto port = colon == std::string::npos ? 0 : std::strtoul(door.c_str() + colon + 1, nullptr, 10);
        if (colon == 0 || port == 0 || port > 65535) {
            table.complain("door", "must be where its door is reached, such as \"192.0.2.7:5900\"");
            return node;
        }
        node.door = {door.substr(0, colon), static_cast<std::uint16_t>(port)};
        return node;
    }

    template <class List, class Name>
    static std::string names_in(const List& list, Name name) {
        std::string text;
        for (const auto& item : list) text += (text.empty() ? "" : ", ") + name(item);
        return text.empty() ? "(none is defined)" : text;
    }

    /// Each pool on some host at least, were that empty; its image and its environment are there.
    void check_pools() {
        for (std::size_t i = 0; i < configuration_.pools.size(); ++i) {
            const PoolRecord& pool = configuration_.pools[i];
            OptionTable table(*pool_tables_[i], "[[pool]]", complaints_);
            check_environment(table, "environment", pool.environment);
            const std::vector<HostOptions>& hosts = configuration_.hosts;
            std::string why;
            for (const HostOptions& host : hosts) why += (why.empty() ? "" : "; ") + host.record.name + " " + does_not_fit(host.record, pool);
            const bool fits = hosts.empty() || std::any_of(hosts.begin(), hosts.end(), [&](const HostOptions& host) {
                return does_not_fit(host.record, pool).empty();
            });
            if (!fits) table.complain("flavour", "fits on no [[host]]: " + why);
            const std::string& images = configuration_.instances.image_dir;
            std::error_code ignored;
            // A site that works already must come back without its image too: the pool then says what is missing.
            const bool works_already = std::filesystem::exists(configuration_.manager.state_dir + "/store.db", ignored);
            if (!works_already && std::filesystem::is_directory(images, ignored) && !std::filesystem::exists(images + "/" + pool.image + ".img", ignored)) {
                table.complain("image", "names no guest image: there is no " + images + "/" + pool.image + ".img");
            }
        }
    }

    void check_applications() {
        for (std::size_t i = 0; i < configuration_.profiles.size(); ++i) {
            const auto* tables = profile_tables_[i]->get_as<toml::array>("application");
            if (tables == nullptr) continue;
            for (std::size_t at = 0; at < tables->size() && at < configuration_.profiles[i].applications.size(); ++at) {
                OptionTable table(*tables->at(at).as_table(), "[[profile.application]]", complaints_);
                check_environment(table, "environment", configuration_.profiles[i].applications[at].application.environment);
            }
        }
    }

    void check_references() {
        check_pools();
        check_applications();
        const std::string flavours = names_in(configuration_.pools, [](const PoolRecord& p) { return p.flavour; });
        for (std::size_t i = 0; i < configuration_.profiles.size(); ++i) {
            OptionTable table(*profile_tables_[i], "[[profile]]", complaints_);
            if (!names_["pool"].contains(configuration_.profiles[i].flavour)) {
                table.complain("flavour", "names no [[pool]]; there are: " + flavours);
            }
        }
        const std::string profiles = names_in(configuration_.profiles, [](const ProfileRecord& p) { return p.name; });
        for (std::size_t i = 0; i < configuration_.terminals.size(); ++i) {
            OptionTable table(*terminal_tables_[i], "[[terminal]]", complaints_);
            if (!names_["profile"].contains(configuration_.terminals[i].profile)) {
                table.complain("profile", "names no [[profile]]; there are: " + profiles);
            }
        }
        check_instances();
    }

    /// Only pools make instances; without one nothing of this is needed.
    void check_instances() {
        if (configuration_.pools.empty()) return;
        const InstanceOptions& instances = configuration_.instances;
        if (configuration_.hosts.empty()) complaints_.add(0, "[[host]] is missing: pools need at least one host for their instances");
        for (const auto& [option, value] : {std::pair{"image_dir", instances.image_dir}, std::pair{"agent_image", instances.agent_image}}) {
            if (value.empty()) {
                complaints_.add(instances_line_, std::string("[instances] ") + option + " is missing: pools need it to make instances");
            }
        }
        const bool embedded = std::any_of(configuration_.hosts.begin(), configuration_.hosts.end(),
                                          [](const HostOptions& host) { return host.record.uri.starts_with("qemu:///embed"); });
        if (embedded && instances.root.size() > kLongestRoot) {
            complaints_.add(instances_line_, "[instances] root " + instances.root + " is too long: at most " +
                                                 std::to_string(kLongestRoot) + " characters, for Unix sockets are made below it");
        }
    }

    Complaints& complaints_;
    std::filesystem::path directory_;
    Configuration configuration_;
    std::map<std::string, std::set<std::string>> names_;
    std::vector<const toml::table*> pool_tables_;
    std::vector<const toml::table*> profile_tables_;
    std::vector<const toml::table*> terminal_tables_;
    std::uint32_t instances_line_ = 0;
};

}  // namespace

Result<Configuration> parse_configuration(const std::string& text, const std::string& path) {
    Complaints complaints{path, {}};
    try {
        const toml::table file = toml::parse(text, path);
        Configuration configuration = Parser(path, complaints).read(file);
        if (complaints.lines.empty()) return configuration;
    } catch (const toml::parse_error& error) {
        complaints.add(error.source().begin.line, "column " + std::to_string(error.source().begin.column) + ": " +
                                                      std::string(error.description()));
    }
    std::string message;
    for (std::size_t i = 0; i < complaints.lines.size() && i < kMostComplaints; ++i) {
        message += (i == 0 ? "" : "\n") + complaints.lines[i];
    }
    if (complaints.lines.size() > kMostComplaints) {
        message += "\nand " + std::to_string(complaints.lines.size() - kMostComplaints) + " more";
    }
    return failure(ErrorCode::invalid, message);
}

Result<Configuration> load_configuration(const std::string& path) {
    std::ifstream file(path);
    if (!file) return failure(ErrorCode::not_found, path + ": cannot be read; name a configuration with --config FILE");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return parse_configuration(text, path);
}

}  // namespace understudy::manager
