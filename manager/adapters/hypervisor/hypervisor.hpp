// What a hypervisor can do for the manager, as plain blocking calls; HypervisorWorkers gives them threads.
// Every adapter passes the same contract tests. Calls may come from several threads at once, but never two
// for one instance.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "manager/core/events.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// What an instance is made of.
struct InstanceSpec {
    NodeId id;
    std::string host;   ///< its name
    std::string image;
    std::uint32_t vcpus = 1;
    std::uint32_t memory_mib = 512;
    std::uint32_t slots = 4;
    std::uint64_t disk_mib = 0;  ///< 0: as large as the image
    bool operator==(const InstanceSpec&) const = default;
};

/// How virtual processors are carried out on a host, and how that is known.
struct AccelerationVerdict {
    std::string acceleration;  ///< "kvm", "tcg", or what the hypervisor calls it
    std::string reason;
};

class Hypervisor {
  public:
    virtual ~Hypervisor() = default;

    /// Makes sure that it exists with our mark and runs; one that runs already is left alone. Returns its
    /// door. Leaves nothing behind on failure. Errors: `failed`, `unavailable`, `no_capacity` (no door port
    /// free), `refused` (a stranger has its name).
    [[nodiscard]] virtual Result<Endpoint> create(const InstanceSpec& spec) = 0;

    /// Stops it, discards everything it wrote, gives it new keys and starts it. Returns its door
    /// and a receipt: what the disk it starts from was verified to be.
    /// Errors: as for create, and `not_found` (not ours, or nothing is known of it).
    [[nodiscard]] virtual Result<Done> scrub(NodeId id) = 0;

    /// Success: it is confirmed not to run, and its files are gone. Success also when it never was.
    /// Errors: `unavailable`, `failed`, `refused` (it carries no mark of ours).
    [[nodiscard]] virtual Result<> destroy(NodeId id) = 0;

    /// What is left to be cleaned up after destroy() has answered; may take seconds.
    virtual void tidy(NodeId id) = 0;

    /// Those of this host that carry our mark. Begins to watch those that were not watched.
    /// Errors: `unavailable`.
    [[nodiscard]] virtual Result<std::vector<ListedInstance>> list(const std::string& host) = 0;

    /// May boot something tiny, once, to find out. Never fails: what is not proven is not used.
    [[nodiscard]] virtual AccelerationVerdict acceleration() = 0;
};

}  // namespace understudy::manager
