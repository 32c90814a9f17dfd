// What an instance has on disk, below STATE/instances/ID/: disk.qcow2 (everything it writes), seed.img
// (who it is, and its secret key), console.log, instance.toml (what the next manager must know; holds the
// public key that it is given, so that it is still admitted after a restart). On a host elsewhere its disk and
// console are there (see host_volumes.hpp). Any thread; never two for one instance.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "manager/adapters/config/configuration.hpp"
#include "manager/adapters/hypervisor/guest_image.hpp"
#include "manager/adapters/hypervisor/hypervisor.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// One instance.toml.
struct InstanceFile {
    InstanceSpec spec;
    std::uint16_t door_port = 0;
    std::string public_key;    ///< the one it is given
    bool one_time = true;      ///< it may only name the one that it makes for itself; earlier managers gave one for good
    std::string mac;           ///< of its network card
    std::string template_key;  ///< the frozen machine it is a copy of; empty: none
};

/// What an instance needs to find the manager.
struct ManagerContact {
    std::string guest_endpoint;  ///< as guests reach it
    std::string public_key;      ///< CURVE, Z85
};

class InstanceFiles {
  public:
    InstanceFiles(std::string directory, InstanceOptions options, ManagerContact contact);

    /// Makes (or makes anew) seed and identity. Precondition: the instance does not run.
    /// Errors: `failed`; nothing is left behind.
    [[nodiscard]] Result<InstanceFile> prepare(const InstanceSpec& spec, std::uint16_t door_port);

    /// The same for one that is to stand still as a copy of a frozen machine: nobody yet. Its public key is
    /// one that nobody has the other half of.
    [[nodiscard]] Result<InstanceFile> prepare_held(const InstanceSpec& spec, std::uint16_t door_port, const std::string& template_key);

    /// Gives one that stands still its keys and identity, in the seed it is looking at. Errors: `not_found`, `failed`.
    [[nodiscard]] Result<InstanceFile> awaken(NodeId id);

    /// What the seed of a machine says that is nobody.
    [[nodiscard]] static std::string held_seed();

    /// Makes (or makes anew) its disk on this machine, over `base`: everything written before is gone. Errors: `failed`.
    [[nodiscard]] Result<> make_disk(const InstanceSpec& spec, const KnownFile& base) const;

    /// How large its disk has to be. Errors: `invalid`, when that is smaller than the image.
    [[nodiscard]] Result<std::uint64_t> disk_bytes(const InstanceSpec& spec, const KnownFile& base) const;

    /// Everything is gone afterwards, or never was.
    [[nodiscard]] Result<> remove(NodeId id);

    /// Errors: `not_found`, `damaged`.
    [[nodiscard]] Result<InstanceFile> find(NodeId id) const;

    /// All that can be read; what cannot is described in `problems`.
    [[nodiscard]] std::vector<InstanceFile> load_all(std::vector<std::string>& problems) const;

    [[nodiscard]] std::string path(NodeId id, const std::string& file) const;
    /// STATE/NAME
    [[nodiscard]] std::string beside(const std::string& name) const;
    [[nodiscard]] const InstanceOptions& options() const { return options_; }

    [[nodiscard]] const GuestImage& image() const { return image_; }

    /// Where a bundle with this digest ("sha256:…") is. Precondition: nobody uses this yet.
    void know_bundle(const std::string& digest, std::string file) { bundles_[digest] = std::move(file); }

    /// A bundle of an environment: one that is known, or STATE/environments/DIGEST.env. Errors: `not_found` says how to make it,
    /// `damaged`, `invalid`.
    [[nodiscard]] Result<KnownFile> bundle(const Bundle& bundle);

    /// The disk with the agent's programs. Errors: `not_found` says how to make it.
    [[nodiscard]] Result<KnownFile> agent_disk();

  private:
    [[nodiscard]] Result<InstanceFile> record(InstanceFile file, const std::string& seed);
    [[nodiscard]] Result<> make_console(NodeId id) const;
    [[nodiscard]] std::string seed_of(const InstanceFile& file, const std::string& secret_key, std::int64_t wall_ms) const;

    std::string directory_;
    InstanceOptions options_;
    ManagerContact contact_;
    std::map<std::string, std::string> bundles_;  ///< by digest
    ContentDigests digests_;  ///< remembered beside the directory
    GuestImage image_;
};

/// Hands out ports for doors: inside the range, not handed out already, and free at this moment.
class DoorPorts {
  public:
    DoorPorts(std::uint16_t first, std::uint16_t last) : first_(first), last_(last), next_(first) {}

    /// Errors: `no_capacity` names the range.
    [[nodiscard]] Result<std::uint16_t> take(const std::string& address);
    /// Marks a port that an instance has already.
    void keep(std::uint16_t port);
    void give_back(std::uint16_t port);
    [[nodiscard]] std::size_t taken() const;

  private:
    mutable std::mutex mutex_;
    std::uint16_t first_;
    std::uint16_t last_;
    std::uint16_t next_;
    std::set<std::uint16_t> taken_;
};

}  // namespace understudy::manager
