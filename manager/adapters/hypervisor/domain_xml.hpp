// The libvirt description of one instance, and what can be read back from one. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manager/adapters/hypervisor/qemu_account.hpp"
#include "protocol/ids.hpp"

namespace understudy::manager {

struct DomainDisk {
    std::string file;
    std::string format;   ///< "qcow2" or "raw"
    std::string backing;  ///< read-only base of a qcow2 disk; empty: none
    bool read_only = false;
    std::string backing_format = "raw";
};

/// The mark in a domain's metadata: whose it is, and what must be known to adopt it.
struct InstanceMark {
    std::string cluster;
    std::string host;
    std::uint16_t door_port = 0;
    bool operator==(const InstanceMark&) const = default;
};

struct DomainPlan {
    std::string name;
    std::string uuid;  ///< empty: libvirt draws one
    std::string type;  ///< "qemu", "kvm" or "test"
    std::uint32_t vcpus = 1;
    std::uint32_t memory_mib = 512;
    std::string kernel;
    std::string initrd;
    std::string command_line;
    std::vector<DomainDisk> disks;  ///< vda, vdb, … in this order
    std::string console_file;
    std::string door_address;       ///< where the forwarded port listens; empty: there is none
    std::string mac;                ///< of its network card
    std::optional<QemuAccount> account;  ///< its QEMU's; none: what the hypervisor is set to
    InstanceMark mark;
};

/// "us-17"
[[nodiscard]] std::string domain_name(NodeId id);
/// The id in such a name; nothing for other names.
[[nodiscard]] std::optional<NodeId> node_of_domain(std::string_view name);

[[nodiscard]] std::string escape_xml(std::string_view text);
[[nodiscard]] std::string domain_xml(const DomainPlan& plan);

/// "us-template-KEY": a machine that is frozen once it has booted.
[[nodiscard]] std::string template_name(const std::string& key);
/// The key in such a name; nothing for other names.
[[nodiscard]] std::optional<std::string> key_of_template(std::string_view name);

/// A read-only disk for a machine that runs, with the first `digest` digits as its serial number, at the first
/// place that `domain` (a description as libvirt returns it) leaves free. Nothing: there is none, or it has
/// the disk already (see has_disk).
[[nodiscard]] std::optional<std::string> further_disk_xml(const std::string& domain, const std::string& file, const std::string& serial);
[[nodiscard]] bool has_disk(const std::string& domain, const std::string& serial);

inline constexpr const char* kMarkUri = "urn:understudy:instance:1";

/// Reads the mark from the metadata element that libvirt returns for kMarkUri; nothing when it is not one.
[[nodiscard]] std::optional<InstanceMark> read_mark(const std::string& element);

}  // namespace understudy::manager
