// See domain_xml.hpp.
#include "manager/adapters/hypervisor/domain_xml.hpp"

#include <charconv>

namespace understudy::manager {
namespace {

constexpr std::string_view kPrefix = "us-";
constexpr std::string_view kTemplatePrefix = "us-template-";
/// vda to vdc are its own.
constexpr std::string_view kFurtherDisks = "defghijklmnopqrstuvwxyz";

/// One attribute, as ` name='value'`.
std::string attribute(std::string_view name, std::string_view value) {
    return " " + std::string(name) + "='" + escape_xml(value) + "'";
}

std::string element(const std::string& name, std::string_view text) {
    return "<" + name + ">" + escape_xml(text) + "</" + name + ">\n";
}

std::string unescape_xml(std::string text) {
    for (const auto& [entity, character] : {std::pair{"&lt;", "<"}, std::pair{"&gt;", ">"}, std::pair{"&quot;", "\""},
                                            std::pair{"&apos;", "'"}, std::pair{"&amp;", "&"}}) {
        const std::string name = entity;
        for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) text.replace(at, name.size(), character);
    }
    return text;
}

std::optional<std::string> attribute_of(const std::string& element, const std::string& name) {
    for (const char quote : {'\'', '"'}) {
        const std::string start = " " + name + "=" + quote;
        const auto at = element.find(start);
        if (at == std::string::npos) continue;
        const auto end = element.find(quote, at + start.size());
        if (end == std::string::npos) return std::nullopt;
        return unescape_xml(element.substr(at + start.size(), end - at - start.size()));
    }
    return std::nullopt;
}

std::string disk_xml(const DomainDisk& disk, std::size_t position) {
    const std::string target = std::string("vd") + static_cast<char>('a' + position);
    // Nothing on these disks outlives a crash of the machine: caches need not be flushed for it.
    std::string xml = "<disk type='file' device='disk'>\n<driver name='qemu'" + attribute("type", disk.format) +
                      " cache='unsafe'/>\n<source" + attribute("file", disk.file) + "/>\n";
    if (!disk.backing.empty()) {
        xml += "<backingStore type='file'><format" + attribute("type", disk.backing_format) + "/><source" + attribute("file", disk.backing) + "/>" +
               (disk.backing_format == "raw" ? "<backingStore/>" : "") + "</backingStore>\n";
    }
    xml += "<target" + attribute("dev", target) + " bus='virtio'/>\n";
    if (disk.read_only) xml += "<readonly/>\n";
    return xml + "</disk>\n";
}

std::string processor_xml(const DomainPlan& plan) {
    if (plan.type == "kvm") return "<cpu mode='host-passthrough'/>\n";
    if (plan.type == "qemu") return "<cpu mode='custom' match='exact' check='none'><model fallback='allow'>qemu64</model></cpu>\n";
    return {};
}

/// libvirt has no element for a forwarded port of user-mode networking.
std::string door_xml(const DomainPlan& plan) {
    if (plan.type == "test") return {};
    std::string forward = "user,id=door";
    if (!plan.door_address.empty()) forward += ",hostfwd=tcp:" + plan.door_address + ":" + std::to_string(plan.mark.door_port) + "-:5900";
    std::string xml = "<qemu:commandline>\n";
    for (const std::string& word : {std::string("-netdev"), forward, std::string("-device"),
                                    "virtio-net-pci,netdev=door,addr=0x10,romfile=" + (plan.mac.empty() ? std::string() : ",mac=" + plan.mac)}) {
        xml += "<qemu:arg" + attribute("value", word) + "/>\n";
    }
    return xml + "</qemu:commandline>\n";
}

/// The files are given to the account by whoever made them: what many instances read must never belong to one.
std::string account_xml(const DomainPlan& plan) {
    if (!plan.account) return {};
    return "<seclabel type='static' model='dac' relabel='no'>" +
           element("label", "+" + std::to_string(plan.account->user) + ":+" + std::to_string(plan.account->group)) + "</seclabel>\n";
}

}  // namespace

std::string domain_name(NodeId id) { return std::string(kPrefix) + to_string(id); }

std::optional<NodeId> node_of_domain(std::string_view name) {
    if (!name.starts_with(kPrefix)) return std::nullopt;
    name.remove_prefix(kPrefix.size());
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (problem != std::errc() || end != name.data() + name.size() || number == 0) return std::nullopt;
    return NodeId(number);
}

std::string template_name(const std::string& key) { return std::string(kTemplatePrefix) + key; }

std::optional<std::string> key_of_template(std::string_view name) {
    if (!name.starts_with(kTemplatePrefix)) return std::nullopt;
    return std::string(name.substr(kTemplatePrefix.size()));
}

bool has_disk(const std::string& domain, const std::string& serial) { return domain.find("<serial>" + serial + "</serial>") != std::string::npos; }

std::optional<std::string> further_disk_xml(const std::string& domain, const std::string& file, const std::string& serial) {
    if (has_disk(domain, serial)) return std::nullopt;
    for (const char letter : kFurtherDisks) {
        const std::string target = std::string("vd") + letter;
        if (domain.find("dev='" + target + "'") != std::string::npos) continue;
        return "<disk type='file' device='disk'>\n<driver name='qemu' type='raw' cache='unsafe'/>\n<source" + attribute("file", file) +
               "/>\n<target" + attribute("dev", target) + " bus='virtio'/>\n<readonly/>\n" + element("serial", serial) + "</disk>\n";
    }
    return std::nullopt;
}

std::string escape_xml(std::string_view text) {
    std::string escaped;
    for (const char character : text) {
        switch (character) {
            case '<': escaped += "&lt;"; break;
            case '>': escaped += "&gt;"; break;
            case '&': escaped += "&amp;"; break;
            case '\'': escaped += "&apos;"; break;
            case '"': escaped += "&quot;"; break;
            default:
                // Control characters cannot be in XML at all, escaped or not.
                if (static_cast<unsigned char>(character) >= 0x20 || character == '\t') escaped += character;
        }
    }
    return escaped;
}

std::string domain_xml(const DomainPlan& plan) {
    std::string xml = "<domain" + attribute("type", plan.type) + " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n";
    xml += element("name", plan.name);
    if (!plan.uuid.empty()) xml += element("uuid", plan.uuid);
    xml += std::string("<metadata><us:instance xmlns:us='") + kMarkUri + "'" + attribute("cluster", plan.mark.cluster) +
           attribute("host", plan.mark.host) + attribute("door", std::to_string(plan.mark.door_port)) + "/></metadata>\n";
    xml += "<memory unit='MiB'>" + std::to_string(plan.memory_mib) + "</memory>\n";
    xml += "<vcpu>" + std::to_string(plan.vcpus) + "</vcpu>\n";
    if (plan.type == "test") {
        xml += "<os><type>hvm</type></os>\n";
    } else {
        xml += "<os><type arch='x86_64' machine='pc'>hvm</type>\n" + element("kernel", plan.kernel) +
               element("initrd", plan.initrd) + element("cmdline", plan.command_line) + "</os>\n";
    }
    xml += "<features><acpi/></features>\n" + processor_xml(plan);
    xml += "<on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>\n<devices>\n";
    for (std::size_t i = 0; i < plan.disks.size(); ++i) xml += disk_xml(plan.disks[i], i);
    xml += "<controller type='usb' model='none'/>\n<memballoon model='none'/>\n";
    xml += "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\n";
    if (!plan.console_file.empty()) {
        xml += "<serial type='file'><source" + attribute("path", plan.console_file) + "/></serial>\n";
    }
    return xml + "</devices>\n" + account_xml(plan) + door_xml(plan) + "</domain>\n";
}

std::optional<InstanceMark> read_mark(const std::string& element) {
    const auto cluster = attribute_of(element, "cluster");
    const auto host = attribute_of(element, "host");
    const auto door = attribute_of(element, "door");
    if (!cluster || !host || !door) return std::nullopt;
    std::uint16_t port = 0;
    const auto [end, problem] = std::from_chars(door->data(), door->data() + door->size(), port);
    if (problem != std::errc() || end != door->data() + door->size()) return std::nullopt;
    return InstanceMark{*cluster, *host, port};
}

}  // namespace understudy::manager
