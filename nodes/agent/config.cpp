// See config.hpp.
#include "nodes/agent/config.hpp"

#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <string_view>

#include <toml++/toml.h>

namespace understudy::node {
namespace {

// Collects the first problem instead of throwing, and knows which options were asked for.
class Reader {
  public:
    Reader(const toml::table& table, std::string file) : top_(table), file_(std::move(file)) {}

    void text(const char* section, const char* name, std::string& value) {
        if (const auto* node = find(section, name)) {
            if (const auto* found = node->as_string()) value = found->get();
            else complain(*node, section, name, "has to be a text");
        }
    }

    template <class T>
    void number(const char* section, const char* name, T& value, std::int64_t least, std::int64_t most) {
        if (const auto* node = find(section, name)) {
            const auto* found = node->as_integer();
            if (found == nullptr) complain(*node, section, name, "has to be a whole number");
            else if (found->get() < least || found->get() > most) {
                complain(*node, section, name, "has to be from " + std::to_string(least) + " to " + std::to_string(most));
            } else {
                value = static_cast<T>(found->get());
            }
        }
    }

    void share(const char* section, const char* name, double& value) {
        if (const auto* node = find(section, name)) {
            const auto found = node->value<double>();
            if (!found || !(*found > 0.0 && *found < 1.0)) complain(*node, section, name, "has to be between 0 and 1");
            else value = *found;
        }
    }

    void flag(const char* section, const char* name, bool& value) {
        if (const auto* node = find(section, name)) {
            if (const auto* found = node->as_boolean()) value = found->get();
            else complain(*node, section, name, "has to be true or false");
        }
    }

    void required(const char* section, const char* name, bool given) {
        if (!given) note(file_ + ": the option " + full(section, name) + " is missing");
    }

    // Whatever was not asked for is a mistake of whoever wrote the file.
    void refuse_unknown() {
        for (const auto& [key, node] : top_) {
            const std::string name(key.str());
            if (const auto* section = node.as_table()) {
                for (const auto& [inner, value] : *section) {
                    const std::string path = name + "." + std::string(inner.str());
                    if (!known_.contains(path)) note(where(value) + "there is no option " + path);
                }
            } else if (!known_.contains(name)) {
                note(where(node) + "there is no option " + name);
            }
        }
    }

    [[nodiscard]] const std::string& problem() const { return problem_; }

  private:
    static std::string full(const char* section, const char* name) { return section[0] == '\0' ? name : std::string(section) + "." + name; }

    const toml::node* find(const char* section, const char* name) {
        known_.insert(full(section, name));
        if (section[0] == '\0') return top_.get(name);
        const auto* node = top_.get(section);
        if (node == nullptr) return nullptr;
        const auto* table = node->as_table();
        if (table == nullptr) {
            note(where(*node) + section + " has to be a section");
            return nullptr;
        }
        return table->get(name);
    }

    [[nodiscard]] std::string where(const toml::node& node) const { return file_ + ":" + std::to_string(node.source().begin.line) + ": "; }

    void complain(const toml::node& node, const char* section, const char* name, const std::string& what) {
        note(where(node) + "the option " + full(section, name) + " " + what);
    }

    void note(std::string words) {
        if (problem_.empty()) problem_ = std::move(words);
    }

    const toml::table& top_;
    std::string file_;
    std::set<std::string> known_;
    std::string problem_;
};

constexpr std::size_t kKeyLength = 40;

}  // namespace

Result<Config> parse_config(std::string text, const std::string& name) {
    text.resize(std::min(text.find('\0'), text.size()));  // seeds of instances are padded
    toml::table table;
    try {
        table = toml::parse(text, name);
    } catch (const toml::parse_error& error) {
        return failure(ErrorCode::invalid, name + ":" + std::to_string(error.source().begin.line) + ": " + std::string(error.description()));
    }
    Config config;
    Reader reader(table, name);
    reader.number("node", "id", config.node.value, 1, std::numeric_limits<std::int64_t>::max());
    reader.text("", "software", config.software);
    reader.text("manager", "endpoint", config.manager_endpoint);
    reader.text("manager", "public_key", config.manager_public_key);
    reader.text("keys", "public", config.public_key);
    reader.text("keys", "secret", config.secret_key);
    reader.flag("keys", "one_time", config.one_time_key);
    reader.number("keys", "renew_days", config.renew_days, 0, 3650);
    reader.number("node", "slots", config.slots, 1, 64);
    reader.number("node", "door_port", config.door_port, 0, 65535);
    reader.text("node", "door_address", config.door_address);
    reader.text("node", "host_name", config.host_name);
    reader.text("node", "loopback_alias", config.loopback_alias);
    reader.text("directories", "state", config.state_folder);
    reader.text("directories", "run", config.run_folder);
    reader.text("directories", "programs", config.programs_folder);
    reader.text("directories", "cgroup", config.cgroup_root);
    reader.text("sessions", "user", config.user);
    reader.text("sessions", "geometry", config.geometry);
    reader.share("sessions", "pause_budget", config.pause_budget);
    reader.text("machine", "host_name", config.machine.host_name);
    reader.text("machine", "id", config.machine.machine_id);
    reader.text("machine", "mac", config.machine.mac);
    reader.text("machine", "entropy", config.machine.entropy);
    reader.flag("held", "held", config.held);
    reader.text("held", "seed_disk", config.seed_disk);
    reader.number("held", "wall_ms", config.wall_ms, 0, std::numeric_limits<std::int64_t>::max());
    reader.text("log", "level", config.log_level);
    // Who is held is nobody yet.
    reader.required("node", "id", config.held || config.node);
    reader.required("manager", "endpoint", config.held || !config.manager_endpoint.empty());
    reader.required("manager", "public_key (40 characters)", config.held || config.manager_public_key.size() == kKeyLength);
    reader.required("keys", "public (40 characters)", config.held || config.public_key.size() == kKeyLength);
    reader.required("keys", "secret (40 characters)", config.held || config.secret_key.size() == kKeyLength);
    reader.refuse_unknown();
    if (!reader.problem().empty()) return failure(ErrorCode::invalid, reader.problem());
    return config;
}

Result<Config> read_config(const std::string& file) {
    std::ifstream from(file, std::ios::binary);
    if (!from) return failure(ErrorCode::not_found, "can't read the configuration " + file + "; give another by --config");
    return parse_config({std::istreambuf_iterator<char>(from), {}}, file);
}

}  // namespace understudy::node
