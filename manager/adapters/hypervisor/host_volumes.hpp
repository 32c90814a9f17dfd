// Files of instances on a host that shares no disk with this machine: volumes in a storage pool of ours at
// that host's libvirt, brought there through the connection. What is the same for many (image, programs) is
// named by its digest and brought once. Any thread; never two for one instance.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "manager/adapters/hypervisor/guest_image.hpp"
#include "manager/adapters/hypervisor/libvirt_library.hpp"
#include "protocol/ids.hpp"

namespace understudy::manager {

class HostVolumes {
  public:
    /// `cluster` keeps managers that share a host apart.
    explicit HostVolumes(std::string cluster);

    /// The path, on the host, of a volume with this content. An earlier content of the same `name` is taken
    /// away: who runs from it has it open. Errors: `failed`, `unavailable`; what was half brought is brought
    /// anew next time.
    [[nodiscard]] Result<std::string> bring(virConnectPtr connection, const KnownFile& file, const std::string& name);

    /// An empty qcow2 volume over `base` (a path on the host), at least `bytes` large. Returns its path.
    [[nodiscard]] Result<std::string> make_overlay(virConnectPtr connection, NodeId id, const std::string& base, std::uint64_t bytes);

    /// A small volume with this text. Returns its path.
    [[nodiscard]] Result<std::string> make_seed(virConnectPtr connection, NodeId id, const std::string& text);

    /// An empty volume that the instance's console is written to. Returns its path.
    [[nodiscard]] Result<std::string> make_console(virConnectPtr connection, NodeId id);

    /// All volumes of the instance are gone, or never were.
    [[nodiscard]] Result<> remove(virConnectPtr connection, NodeId id);

  private:
    struct FreePool {
        void operator()(virStoragePoolPtr pool) const { virStoragePoolFree(pool); }
    };
    using Pool = std::unique_ptr<virStoragePool, FreePool>;

    [[nodiscard]] Result<Pool> pool(virConnectPtr connection) const;

    std::string cluster_;
    std::mutex bringing_;
};

}  // namespace understudy::manager
