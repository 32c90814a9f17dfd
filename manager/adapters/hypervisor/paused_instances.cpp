// Instances that stand still, booted and nobody yet: copies of a frozen machine, restored in advance. Where a
// machine was booted once per flavour and image, the next is there within a fraction of a second, and goes on
// within tens of milliseconds when somebody needs it. Part of LibvirtHypervisor.
#include "manager/adapters/hypervisor/libvirt_hypervisor.hpp"

#include <filesystem>

#include <libvirt/virterror.h>
#include <sodium.h>
#include <unistd.h>

#include "manager/adapters/hypervisor/overlay_disk.hpp"
#include "manager/adapters/hypervisor/saved_domain.hpp"
#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

/// As the settings' boot_limit: emulated on a busy machine.
constexpr int kBootPatienceMs = 120'000;
/// What a held agent says when it has done everything that copies share.
constexpr const char* kHeld = "held: waiting for a seed";

std::string random_uuid() {
    std::string digits(33, '\0');
    unsigned char bytes[16];
    ::randombytes_buf(bytes, sizeof bytes);
    ::sodium_bin2hex(digits.data(), digits.size(), bytes, sizeof bytes);
    digits.pop_back();
    digits[12] = '4';
    digits[16] = '8';
    for (const std::size_t dash : {8U, 13U, 18U, 23U}) digits.insert(dash, "-");
    return digits;
}

}  // namespace

Result<std::string> LibvirtHypervisor::template_key(const InstanceSpec& spec, const Parts& parts) {
    const auto bytes = files_.disk_bytes(spec, parts.base);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto command_line = files_.image().command_line();
    if (!command_line) return tl::unexpected(command_line.error());
    const std::string all = parts.kernel.digest + parts.initrd.digest + parts.base.digest + parts.agent.digest + "|" + std::to_string(spec.vcpus) + "|" +
                            std::to_string(spec.memory_mib) + "|" + std::to_string(*bytes) + "|" + acceleration().acceleration + "|" + *command_line +
                            (rights_ == QemuRights::own_account ? "|readable by accounts" : "");
    unsigned char sum[8];
    ::crypto_generichash(sum, sizeof sum, reinterpret_cast<const unsigned char*>(all.data()), all.size(), nullptr, 0);
    std::string key(2 * sizeof sum + 1, '\0');
    ::sodium_bin2hex(key.data(), key.size(), sum, sizeof sum);
    key.pop_back();
    return key;
}

Result<> LibvirtHypervisor::boot_and_freeze(virConnectPtr connection, const InstanceSpec& spec, const Parts& parts, const std::string& key) {
    const auto bytes = files_.disk_bytes(spec, parts.base);
    if (!bytes) return tl::unexpected(bytes.error());
    const Disks disks{parts.kernel.path, parts.initrd.path, parts.base.path, parts.agent.path, templates_.path(key, "disk.qcow2"),
                      templates_.path(key, "seed.img"), templates_.path(key, "console.log")};
    auto plan = plan_for(spec, 0, disks);
    if (!plan) return tl::unexpected(plan.error());
    plan->name = template_name(key);
    plan->door_address.clear();  // nobody comes in
    auto made = write_file(disks.seed, InstanceFiles::held_seed()).and_then([&] {
        return make_overlay({disks.base, "raw"}, disks.disk, *bytes);
    });
    if (made) made = write_file(disks.console, {}).and_then([&] { return hand_over(*plan, disks); });
    if (!made) return made;
    const Domain domain(virDomainCreateXML(connection, domain_xml(*plan).c_str(), 0));
    if (!domain) return failure(ErrorCode::failed, "cannot start the machine that others would be copies of: " + libvirt_words());
    if (!wait_for_text(disks.console, kHeld, kBootPatienceMs)) {
        virDomainDestroy(domain.get());
        return failure(ErrorCode::failed, "the machine that others would be copies of did not boot within " + std::to_string(kBootPatienceMs / 1000) +
                                              " s; nodes/image/try-boot shows what it says");
    }
    if (virDomainSaveFlags(domain.get(), templates_.path(key, "memory.save").c_str(), nullptr, 0) == 0) return {};
    const std::string words = libvirt_words();
    virDomainDestroy(domain.get());
    return failure(ErrorCode::failed, "cannot save the memory of the machine that others would be copies of: " + words);
}

Result<> LibvirtHypervisor::make_template(virConnectPtr connection, const InstanceSpec& spec, const Parts& parts, const std::string& key) {
    const Domain earlier(virDomainLookupByName(connection, template_name(key).c_str()));
    if (earlier) virDomainDestroy(earlier.get());
    auto made = templates_.begin(key)
                    .and_then([&] { return boot_and_freeze(connection, spec, parts, key); })
                    .and_then([&] { return templates_.finish(key); });
    if (!made) {
        templates_.give_up(key);
        return made;
    }
    // Copies write elsewhere, and read what it wrote.
    if (auto kept = give_file(templates_.path(key, "disk.qcow2"), ::geteuid(), ::getegid(), 0444); !kept) {
        templates_.give_up(key);
        return kept;
    }
    std::set<std::string> used{key};
    std::vector<std::string> problems;
    for (const InstanceFile& file : files_.load_all(problems)) used.insert(file.template_key);
    if (problems.empty()) templates_.keep_only(used);
    return {};
}

Result<> LibvirtHypervisor::restore_copy(virConnectPtr connection, const InstanceFile& file, const Parts& parts) {
    const std::string& key = file.template_key;
    Disks disks = disks_here(file.spec.id, parts);
    disks.base = templates_.path(key, "disk.qcow2");
    auto plan = plan_for(file.spec, file.door_port, disks);
    if (!plan) return tl::unexpected(plan.error());
    plan->uuid = random_uuid();
    plan->disks.front().backing_format = "qcow2";
    const std::string memory = templates_.path(key, "memory.save");
    std::error_code ignored;
    std::filesystem::remove(disks.disk, ignored);
    auto ready = make_overlay({disks.base, "qcow2"}, disks.disk).and_then([&] {
        return hand_over(*plan, disks).and_then([&] { return rename_saved_domain(memory, domain_xml(*plan)); });
    });
    if (!ready) return ready;
    if (virDomainRestoreFlags(connection, memory.c_str(), nullptr, VIR_DOMAIN_SAVE_PAUSED) == 0) return {};
    return failure(ErrorCode::failed, "cannot restore " + plan->name + " from the frozen machine: " + libvirt_words());
}

Result<Done> LibvirtHypervisor::start_paused(virConnectPtr connection, const InstanceSpec& spec, std::uint16_t port) {
    if (connection_.driver() == Driver::remote) {
        return failure(ErrorCode::refused, "host " + spec.host + " is reached over the network: machines that stand still are kept on this machine only");
    }
    const auto parts = parts_of(spec);
    if (!parts) return tl::unexpected(parts.error());
    const auto key = template_key(spec, *parts);
    if (!key) return tl::unexpected(key.error());
    const InstanceMark mark{options_.cluster, spec.host, port};
    if (connection_.driver() == Driver::test) {  // it has no memory that could be saved, and no flag for this
        const auto file = files_.prepare_held(spec, port, *key);
        if (!file) return tl::unexpected(file.error());
        const auto plan = plan_for(spec, port, disks_here(spec.id, *parts));
        if (!plan) return tl::unexpected(plan.error());
        const Domain domain(virDomainCreateXML(connection, domain_xml(*plan).c_str(), 0));
        if (!domain || virDomainSuspend(domain.get()) != 0) return failure(ErrorCode::failed, "cannot make " + plan->name + ": " + libvirt_words());
        watch(spec.id);
        return Done{door_of(mark), {}};
    }
    const auto use = templates_.use(*key);
    if (!use.ready) {
        if (auto made = make_template(connection, spec, *parts, *key); !made) return tl::unexpected(made.error());
    }
    const auto file = files_.prepare_held(spec, port, *key);
    if (!file) return tl::unexpected(file.error());
    if (auto restored = restore_copy(connection, *file, *parts); !restored) return tl::unexpected(restored.error());
    bound_files(spec, parts->base, port);
    watch(spec.id);
    return Done{door_of(mark), {}};
}

Result<Endpoint> LibvirtHypervisor::resume(NodeId id) {
    const auto connection = connection_.get();
    if (!connection) return tl::unexpected(connection.error());
    const auto found = find(connection->get(), id);
    if (!found) return tl::unexpected(found.error());
    if (!*found || !(*found)->running) return failure(ErrorCode::not_found, domain_name(id) + " is not there to go on");
    int state = VIR_DOMAIN_NOSTATE;
    if (virDomainGetState((*found)->domain.get(), &state, nullptr, 0) != 0) return failure(ErrorCode::unavailable, "cannot look at " + domain_name(id) + ": " + libvirt_words());
    if (state != VIR_DOMAIN_PAUSED) return door_of((*found)->mark);
    const auto file = files_.awaken(id);
    if (!file) return tl::unexpected(file.error());
    sink_(IdentityIssued{id, file->public_key, file->one_time});
    if (virDomainResume((*found)->domain.get()) == 0) return door_of((*found)->mark);
    const std::string words = libvirt_words();
    sink_(IdentityRevoked{id});
    return failure(ErrorCode::failed, "cannot let " + domain_name(id) + " go on: " + words);
}

void LibvirtHypervisor::end_forgotten_template(Domain domain, const std::string& key) {
    if (templates_.being_made(key)) return;
    virDomainRef(domain.get());
    if (look_at(Domain(domain.get()))) virDomainDestroy(domain.get());  // it carries our mark
}

}  // namespace understudy::manager
