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
    Tier tier = Tier::running;
    bool operator==(const InstanceSpec&) const = default;
};

/// An environment by its content.
struct Bundle {
    std::string name;
    std::string digest;  ///< "sha256:" and 64 hexadecimal digits
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
    /// door. Leaves nothing behind on failure. With `tier` paused it stands still afterwards, booted as far as
    /// its agent goes without being anybody, and has no key that is admitted. Errors: `failed`, `unavailable`,
    /// `no_capacity` (no door port free), `refused` (a stranger has its name; this hypervisor has no machines
    /// that stand still), `damaged` (the image is not what its manifest says), `not_found` (image or agent).
    [[nodiscard]] virtual Result<Endpoint> create(const InstanceSpec& spec) = 0;

    /// Lets one that stands still go on, as somebody: with new keys and an identity of its own. One that runs
    /// is left alone. Returns its door. Errors: `failed`, `unavailable`, `not_found`, `refused`.
    [[nodiscard]] virtual Result<Endpoint> resume(NodeId id) = 0;

    /// Stops it, discards everything it wrote, verifies what it is made from, gives it new keys and a new
    /// identity, and starts it. Returns its door and what was verified.
    /// Errors: as for create, and `not_found` (not ours, or nothing is known of it).
    [[nodiscard]] virtual Result<Done> scrub(NodeId id) = 0;

    /// Gives the running instance the disk of a bundle. Success also when it has it already. Errors:
    /// `not_found` (no such bundle here, no such instance), `damaged` (its content is another), `failed`,
    /// `unavailable`, `refused`.
    [[nodiscard]] virtual Result<> deploy(NodeId id, const Bundle& bundle) = 0;

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
