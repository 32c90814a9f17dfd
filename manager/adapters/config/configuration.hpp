// The manager's configuration file, read and checked as a whole. Plain values; no thread owns them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "manager/adapters/fencing/fence_agent.hpp"
#include "manager/core/events.hpp"
#include "manager/core/records.hpp"
#include "manager/core/settings.hpp"
#include "manager/runtime/configured_peers.hpp"
#include "manager/runtime/log_port.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// How virtual processors are carried out.
enum class Acceleration : std::uint8_t {
    automatic,  ///< KVM where a guest was seen to boot under it, else emulation
    kvm,        ///< believed without a proof
    tcg,        ///< software emulation
};

struct ManagerOptions {
    std::string listen = "tcp://127.0.0.1:7400";  ///< port 0: any free one, kept for the next start
    std::string state_dir;                        ///< absolute
    LogWeight log_level = LogWeight::info;
    std::string log_file;                         ///< empty: standard error
};

struct HostOptions {
    HostRecord record;                     ///< id 0; `uri` complete
    std::string address = "127.0.0.1";     ///< where doors of its instances are reached
    FenceOptions fence;                    ///< how it is switched off from outside
};

/// A bundle that applications or pools name.
struct EnvironmentOptions {
    EnvironmentRecord record;  ///< without its digest: whoever reads the file fills it in
    std::string file;          ///< absolute
};

struct InstanceOptions {
    std::string image_dir;      ///< vmlinuz, initramfs.img, base.img, kernel-command-line
    std::string agent_image;    ///< the read-only disk with our programs
    std::string root;           ///< of the embedded hypervisor driver; short
    std::uint16_t first_door_port = 41000;
    std::uint16_t last_door_port = 41999;
    Acceleration acceleration = Acceleration::automatic;
    std::string guest_manager;  ///< the manager as guests reach it; empty: 10.0.2.2 and the port listened on
    std::string loopback_alias = "10.0.2.2";  ///< where guests reach this machine's loopback
    bool guest_filter = true;    ///< guests reach this machine at the manager and at doors only
    std::uint32_t disk_mib = 0;  ///< of an instance's disk; 0: as large as the image
};

struct Configuration {
    std::string file;
    ManagerOptions manager;
    Settings settings;
    std::vector<HostOptions> hosts;
    std::vector<EnvironmentOptions> environments;
    std::vector<PoolRecord> pools;
    std::vector<ProfileRecord> profiles;
    std::vector<DefineTerminal> terminals;
    std::vector<ConfiguredPeer> peers;
    InstanceOptions instances;
};

/// Reads and checks `path`. Paths inside it are relative to its directory.
/// Errors: `not_found` (no such file), `invalid`: one line per complaint, each with file, line, option and
/// what is allowed.
[[nodiscard]] Result<Configuration> load_configuration(const std::string& path);

/// The same for text already in memory; `path` is used in messages and for relative paths.
[[nodiscard]] Result<Configuration> parse_configuration(const std::string& text, const std::string& path);

}  // namespace understudy::manager
