// The agent's configuration file (TOML). Plain values; read once by main.
#pragma once

#include <string>

#include "nodes/agent/machine_identity.hpp"
#include "protocol/ids.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

struct Config {
    NodeId node;
    std::string software = "0.1.0";

    std::string manager_endpoint;
    std::string manager_public_key;  ///< CURVE, Z85
    std::string public_key;          ///< the pair that this agent is given; what it makes for itself: own_keys.hpp
    std::string secret_key;
    bool one_time_key = false;       ///< that pair may only name the one that the agent makes for itself
    std::uint32_t renew_days = 30;   ///< a key of its own that is older is replaced; 0: never

    std::uint32_t slots = 4;
    std::uint16_t door_port = 5900;
    std::string door_address = "0.0.0.0";
    std::string host_name;
    std::string loopback_alias;  ///< where doors on the manager's loopback are reached from here

    std::string state_folder = "/var/lib/understudy";
    std::string run_folder = "/run/understudy";
    std::string programs_folder = "/opt/understudy";
    std::string cgroup_root = "/sys/fs/cgroup";

    std::string user = "session";
    std::string geometry = "1024x768";
    double pause_budget = 0.1;

    MachineIdentity machine;

    bool held = false;                 ///< wait for another seed before anything is said to the manager
    std::string seed_disk = "/dev/vdc";
    std::int64_t wall_ms = 0;          ///< when the seed of a machine that was held was written; 0: it was not

    std::string log_level = "info";
};

/// Errors: `not_found` (no such file), `invalid` (names file, line and option).
[[nodiscard]] Result<Config> read_config(const std::string& file);

/// The same for a text; `name` stands for the file in messages.
[[nodiscard]] Result<Config> parse_config(std::string text, const std::string& name);

}  // namespace understudy::node
