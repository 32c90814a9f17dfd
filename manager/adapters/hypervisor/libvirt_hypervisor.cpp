// See libvirt_hypervisor.hpp.
#include "manager/adapters/hypervisor/libvirt_hypervisor.hpp"

#include <chrono>
#include <thread>

#include <libvirt/virterror.h>
#include <unistd.h>

#include "manager/adapters/hypervisor/acceleration.hpp"
#include "manager/adapters/hypervisor/host_clock.hpp"
#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr std::chrono::milliseconds kKillPatience{5000};
constexpr std::chrono::milliseconds kForgetPatience{10000};
constexpr int kStartAttempts = 3;
/// A qcow2 file is larger than what is in it.
constexpr std::uint64_t kDiskOverhead = 64 << 20U;
/// A virtio disk's serial number has room for so many.
constexpr std::size_t kSerialDigits = 20;

/// What a port that somebody took meanwhile looks like in QEMU's words.
bool says_port_in_use(const std::string& words) {
    return words.find("host forwarding rule") != std::string::npos || words.find("Address already in use") != std::string::npos;
}

}  // namespace

LibvirtHypervisor::LibvirtHypervisor(LibvirtOptions options, LibvirtLibrary&, InstanceFiles& files, DoorPorts& ports, ArrivalSink sink)
    : options_(std::move(options)), files_(files), ports_(ports), sink_(std::move(sink)),
      accounts_(accounts_of(options_.cluster)), rights_(rights_here()),
      connection_(options_.uri, rights_, [this](virDomainPtr domain, int event, int detail) { on_lifecycle(domain, event, detail); }),
      volumes_(options_.cluster), templates_(files_.beside("templates")) {}

QemuRights LibvirtHypervisor::rights_here() {
    if (LibvirtConnection::driver_of(options_.uri) != Driver::embedded || ::geteuid() != 0) return QemuRights::as_the_manager;
    const std::string root = LibvirtConnection::root_of(options_.uri);
    // Ours, so they are opened; what is above them is somebody else's to open.
    for (const std::string& place : {root, files_.beside("instances"), files_.beside("templates")}) static_cast<void>(make_passable_directory(place));
    const std::string image = files_.image().file("vmlinuz").value_or(files_.options().image_dir);  // links lead elsewhere
    const std::string why = why_not_without_rights(accounts_, {root, files_.beside("instances"), image, files_.options().agent_image});
    if (why.empty()) return QemuRights::own_account;
    sink_(Remark{false, "QEMU runs with root's rights, so that no packet filter can keep guests from this machine's loopback, because " + why});
    return QemuRights::as_the_manager;
}

void LibvirtHypervisor::on_lifecycle(virDomainPtr domain, int event, int detail) {
    const auto id = node_of_domain(virDomainGetName(domain));
    if (!id || event != VIR_DOMAIN_EVENT_STOPPED) return;
    const std::lock_guard lock(watching_);
    const auto watched = watched_.find(*id);
    // Where the process is watched this comes too late to be of use, and may be about an earlier one.
    if (watched == watched_.end() || watched->second != 0 || stopping_.contains(*id)) return;
    watched_.erase(watched);
    sink_(InstanceStopped{*id, "libvirt says that " + domain_name(*id) + " stopped (detail " + std::to_string(detail) + ")",
                          detail == VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN || detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED});
}

// ---- looking

Result<LibvirtHypervisor::Found> LibvirtHypervisor::look_at(Domain domain) const {
    const std::string name = virDomainGetName(domain.get());
    const std::string element =
        take_text(virDomainGetMetadata(domain.get(), VIR_DOMAIN_METADATA_ELEMENT, kMarkUri, VIR_DOMAIN_AFFECT_CURRENT));
    // While its process is being taken away libvirt answers neither yes nor no.
    if (element.empty() && libvirt_code() == VIR_ERR_NO_DOMAIN) return failure(ErrorCode::not_found, name + " has just ended");
    if (element.empty() && libvirt_code() != VIR_ERR_NO_DOMAIN_METADATA) {
        return failure(ErrorCode::failed, "cannot look at " + name + " at " + options_.uri + ": " + libvirt_words());
    }
    const auto mark = read_mark(element);
    if (!mark || mark->cluster != options_.cluster) {
        return failure(ErrorCode::refused, "the domain " + name + " at " + options_.uri +
                                               " belongs to somebody else: it carries no mark of this manager, and is left alone");
    }
    int state = VIR_DOMAIN_NOSTATE;
    int reason = 0;
    virDomainGetState(domain.get(), &state, &reason, 0);
    const bool running = state != VIR_DOMAIN_SHUTOFF && state != VIR_DOMAIN_CRASHED;
    return Found{std::move(domain), *mark, running};
}

Result<std::optional<LibvirtHypervisor::Found>> LibvirtHypervisor::find(virConnectPtr connection, NodeId id) const {
    Domain domain(virDomainLookupByName(connection, domain_name(id).c_str()));
    if (!domain && libvirt_code() == VIR_ERR_NO_DOMAIN) return std::optional<Found>();
    if (!domain) return failure(ErrorCode::unavailable, "cannot look for " + domain_name(id) + " at " + options_.uri + ": " + libvirt_words());
    auto found = look_at(std::move(domain));
    if (!found && found.error().code == ErrorCode::not_found) return std::optional<Found>();
    if (!found) return tl::unexpected(found.error());
    if (connection_.driver() == Driver::embedded && has_ended(process_of(id).process)) found->running = false;
    return std::optional<Found>(std::move(*found));
}

std::string LibvirtHypervisor::pid_file(NodeId id) const {
    if (connection_.driver() == Driver::embedded) return connection_.root() + "/run/qemu/" + domain_name(id) + ".pid";
    if (options_.uri == "qemu:///system") return "/run/libvirt/qemu/" + domain_name(id) + ".pid";
    return {};
}

QemuProcess LibvirtHypervisor::process_of(NodeId id) const {
    const std::string file = pid_file(id);
    return file.empty() ? QemuProcess{} : open_qemu_process(file, domain_name(id));
}

Endpoint LibvirtHypervisor::door_of(const InstanceMark& mark) const {
    const auto address = options_.door_addresses.find(mark.host);
    return {address == options_.door_addresses.end() ? "127.0.0.1" : address->second, mark.door_port};
}

// ---- watching

void LibvirtHypervisor::watch(NodeId id) {
    QemuProcess process = process_of(id);
    const std::lock_guard lock(watching_);
    stopping_.erase(id);
    const auto [entry, added] = watched_.insert_or_assign(id, process.pid);
    static_cast<void>(entry);
    static_cast<void>(added);
    if (process.process) sink_(ProcessStarted{id, process.pid, std::move(process.process)});
}

void LibvirtHypervisor::unwatch(NodeId id) {
    const std::lock_guard lock(watching_);
    stopping_.insert(id);
    watched_.erase(id);
    sink_(ProcessForgotten{id});
}

// ---- acting

AccelerationVerdict LibvirtHypervisor::acceleration() {
    const std::lock_guard lock(judging_);
    if (!verdict_) {
        if (connection_.driver() == Driver::test) {
            verdict_ = {"none", "libvirt's test driver runs nothing"};
        } else if (connection_.driver() == Driver::remote && files_.options().acceleration == Acceleration::automatic) {
            verdict_ = {"tcg", "KVM cannot be proven from here on a remote host; set acceleration = \"kvm\" where it is known to work"};
        } else {
            verdict_ = judge_acceleration(files_, options_.acceleration_file);
        }
    }
    return *verdict_;
}

Result<LibvirtHypervisor::Parts> LibvirtHypervisor::parts_of(const InstanceSpec& spec) {
    Parts parts;
    const auto into = [](KnownFile& part) { return [&part](KnownFile file) { part = std::move(file); }; };
    auto found = files_.image().verified("vmlinuz").map(into(parts.kernel))
                     .and_then([&] { return files_.image().verified("initramfs.img").map(into(parts.initrd)); })
                     .and_then([&] { return files_.image().verified(spec.image + ".img").map(into(parts.base)); })
                     .and_then([&] { return files_.agent_disk().map(into(parts.agent)); });
    if (!found) return tl::unexpected(found.error());
    return parts;
}

LibvirtHypervisor::Disks LibvirtHypervisor::disks_here(NodeId id, const Parts& parts) const {
    return {parts.kernel.path, parts.initrd.path, parts.base.path, parts.agent.path, files_.path(id, "disk.qcow2"),
            files_.path(id, "seed.img"), files_.path(id, "console.log")};
}

Result<LibvirtHypervisor::Disks> LibvirtHypervisor::make_disks(virConnectPtr connection, const InstanceSpec& spec, const Parts& parts) {
    if (connection_.driver() != Driver::remote) {
        if (auto made = files_.make_disk(spec, parts.base); !made) return tl::unexpected(made.error());
        return disks_here(spec.id, parts);
    }
    Disks disks;
    const auto bytes = files_.disk_bytes(spec, parts.base);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto seed = read_file(files_.path(spec.id, "seed.img"));
    if (!seed) return tl::unexpected(seed.error());
    const auto into = [](std::string& place) { return [&place](std::string path) { place = std::move(path); }; };
    auto done = volumes_.bring(connection, parts.kernel, "vmlinuz").map(into(disks.kernel))
                    .and_then([&] { return volumes_.bring(connection, parts.initrd, "initramfs.img").map(into(disks.initrd)); })
                    .and_then([&] { return volumes_.bring(connection, parts.base, spec.image + ".img").map(into(disks.base)); })
                    .and_then([&] { return volumes_.bring(connection, parts.agent, "agent.img").map(into(disks.agent)); })
                    .and_then([&] { return volumes_.make_overlay(connection, spec.id, disks.base, *bytes).map(into(disks.disk)); })
                    .and_then([&] { return volumes_.make_seed(connection, spec.id, *seed).map(into(disks.seed)); })
                    .and_then([&] { return volumes_.make_console(connection, spec.id).map(into(disks.console)); });
    if (!done) return tl::unexpected(done.error());
    return disks;
}

Result<> LibvirtHypervisor::remove_files(virConnectPtr connection, NodeId id) {
    auto there = connection_.driver() == Driver::remote ? volumes_.remove(connection, id) : Result<>();
    auto here = files_.remove(id);
    return there ? here : there;
}

Result<DomainPlan> LibvirtHypervisor::plan_for(const InstanceSpec& spec, std::uint16_t port, const Disks& disks) {
    const auto command_line = files_.image().command_line();
    if (!command_line) return tl::unexpected(command_line.error());
    const std::string type = acceleration().acceleration;
    DomainPlan plan;
    plan.name = domain_name(spec.id);
    plan.type = connection_.driver() == Driver::test ? "test" : (type == "kvm" ? "kvm" : "qemu");
    plan.vcpus = spec.vcpus;
    plan.memory_mib = spec.memory_mib;
    plan.kernel = disks.kernel;
    plan.initrd = disks.initrd;
    plan.command_line = *command_line + " understudy.hostname=" + domain_name(spec.id);
    const std::uint64_t counter_khz = plan.type == "qemu" && connection_.on_this_machine() ? time_stamp_counter_khz() : 0;
    if (counter_khz != 0) plan.command_line += " tsc_early_khz=" + std::to_string(counter_khz);
    plan.disks = {{disks.disk, "qcow2", disks.base, false}, {disks.agent, "raw", {}, true}, {disks.seed, "raw", {}, true}};
    plan.console_file = disks.console;
    plan.mark = {options_.cluster, spec.host, port};
    plan.account = account_of(port);
    plan.door_address = door_of(plan.mark).host;
    return plan;
}

std::optional<QemuAccount> LibvirtHypervisor::account_of(std::uint16_t port) {
    if (rights_ != QemuRights::own_account) return std::nullopt;
    const std::uint32_t user = account_of_door(accounts_, port);
    const std::uint32_t group = acceleration().acceleration == "kvm" ? processor_group() : 0;
    return QemuAccount{user, group == 0 ? user : group};
}

void LibvirtHypervisor::bound_files(const InstanceSpec& spec, const KnownFile& base, std::uint16_t port) {
    if (connection_.driver() != Driver::embedded) return;
    const QemuProcess qemu = process_of(spec.id);
    const auto disk = files_.disk_bytes(spec, base);
    if (!disk || !qemu.process) return;
    const auto bound = limit_files(qemu, account_of(port), *disk + *disk / 8 + kDiskOverhead);
    if (!bound) sink_(Remark{false, "nothing bounds what " + domain_name(spec.id) + " writes to its console: " + bound.error().message});
}

Result<> LibvirtHypervisor::hand_over(const DomainPlan& plan, const Disks& disks) const {
    if (!plan.account) return {};
    const QemuAccount& account = *plan.account;
    return give_file(disks.disk, account.user, account.group, 0600)
        .and_then([&] { return give_file(disks.seed, account.user, account.group, 0400); })
        .and_then([&] { return give_file(disks.console, account.user, account.group, 0600); });
}

Result<Done> LibvirtHypervisor::start(virConnectPtr connection, const InstanceSpec& spec, std::uint16_t port) {
    const auto parts = parts_of(spec);
    if (!parts) return tl::unexpected(parts.error());
    const auto file = files_.prepare(spec, port);
    if (!file) return tl::unexpected(file.error());
    const auto disks = make_disks(connection, spec, *parts);
    if (!disks) return tl::unexpected(disks.error());
    auto plan = plan_for(spec, port, *disks);
    if (!plan) return tl::unexpected(plan.error());
    plan->mac = file->mac;
    if (auto given = hand_over(*plan, *disks); !given) return tl::unexpected(given.error());
    sink_(IdentityIssued{spec.id, file->public_key, file->one_time});
    const Domain domain(virDomainCreateXML(connection, domain_xml(*plan).c_str(), 0));
    if (!domain) {
        const std::string words = libvirt_words();
        return failure(ErrorCode::failed, "cannot start " + domain_name(spec.id) + " on host " + spec.host + ": " + words);
    }
    bound_files(spec, parts->base, port);
    watch(spec.id);
    return Done{door_of(plan->mark), "its disk was made anew over " + spec.image + ".img, sha256 " + parts->base.digest +
                                         " as the image's manifest says; new are its key, its machine id and its network address " + file->mac};
}

Result<Endpoint> LibvirtHypervisor::create(const InstanceSpec& spec) {
    const auto connection = connection_.get();
    if (!connection) return tl::unexpected(connection.error());
    auto found = find(connection->get(), spec.id);
    if (!found) return tl::unexpected(found.error());
    if (*found && (*found)->running) {
        watch(spec.id);
        return door_of((*found)->mark);
    }
    if (*found && !forgotten_by_libvirt(spec.id)) {
        return failure(ErrorCode::failed, "libvirt does not let go of the ended " + domain_name(spec.id) + "; tried again later");
    }
    for (int attempt = 1;; ++attempt) {
        const auto address = options_.door_addresses.find(spec.host);
        const auto port = ports_.take(address == options_.door_addresses.end() ? "127.0.0.1" : address->second);
        if (!port) return tl::unexpected(port.error());
        auto done = spec.tier == Tier::paused ? start_paused(connection->get(), spec, *port) : start(connection->get(), spec, *port);
        if (done) return done->door;
        ports_.give_back(*port);
        sink_(IdentityRevoked{spec.id});
        static_cast<void>(remove_files(connection->get(), spec.id));
        if (attempt == kStartAttempts || !says_port_in_use(done.error().message)) return tl::unexpected(done.error());
    }
}

Result<> LibvirtHypervisor::stop(NodeId id, const Found& found) {
    const QemuProcess qemu = process_of(id);
    if (qemu.process) {
        if (end_process(qemu.process, kKillPatience)) return {};
        return failure(ErrorCode::failed, "process " + std::to_string(qemu.pid) + " of " + domain_name(id) +
                                              " was killed and does not end (is its disk or host stuck?)");
    }
    if (virDomainDestroy(found.domain.get()) == 0 || libvirt_code() == VIR_ERR_NO_DOMAIN ||
        libvirt_code() == VIR_ERR_OPERATION_INVALID) {
        return {};
    }
    return failure(ErrorCode::failed, "cannot stop " + domain_name(id) + ": " + libvirt_words());
}

bool LibvirtHypervisor::forgotten_by_libvirt(NodeId id) {
    const auto connection = connection_.get();
    if (!connection) return false;
    const auto limit = std::chrono::steady_clock::now() + kForgetPatience;
    while (std::chrono::steady_clock::now() < limit) {
        const Domain domain(virDomainLookupByName(connection->get(), domain_name(id).c_str()));
        if (!domain) return libvirt_code() == VIR_ERR_NO_DOMAIN;
        virDomainDestroy(domain.get());
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
}

Result<Done> LibvirtHypervisor::scrub(NodeId id) {
    const auto connection = connection_.get();
    if (!connection) return tl::unexpected(connection.error());
    const auto file = files_.find(id);
    if (!file) return failure(ErrorCode::not_found, "nothing is known about " + domain_name(id) + " that it could be made anew from: " + file.error().message);
    auto found = find(connection->get(), id);
    if (!found) return tl::unexpected(found.error());
    unwatch(id);
    sink_(IdentityRevoked{id});
    if (*found) {
        if (auto stopped = stop(id, **found); !stopped) return tl::unexpected(stopped.error());
        if (!forgotten_by_libvirt(id)) return failure(ErrorCode::failed, "libvirt does not let go of " + domain_name(id) + " after it was stopped");
    }
    return start(connection->get(), file->spec, file->door_port);
}

Result<> LibvirtHypervisor::destroy(NodeId id) {
    const auto connection = connection_.get();
    if (!connection) return tl::unexpected(connection.error());
    auto found = find(connection->get(), id);
    if (!found) return tl::unexpected(found.error());
    if (*found) {
        if (auto stopped = stop(id, **found); !stopped) return stopped;
    }
    {
        const std::lock_guard lock(watching_);
        watched_.erase(id);
    }
    if (const auto file = files_.find(id)) ports_.give_back(file->door_port);
    sink_(IdentityRevoked{id});
    return remove_files(connection->get(), id);
}

Result<> LibvirtHypervisor::deploy(NodeId id, const Bundle& bundle) {
    const auto file = files_.bundle(bundle);
    if (!file) return tl::unexpected(file.error());
    const auto connection = connection_.get();
    if (!connection) return tl::unexpected(connection.error());
    const auto found = find(connection->get(), id);
    if (!found) return tl::unexpected(found.error());
    if (!*found || !(*found)->running) return failure(ErrorCode::not_found, domain_name(id) + " does not run, so no environment can be deployed on it");
    if (connection_.driver() == Driver::test) return {};  // nothing runs there that could look for it
    Result<std::string> place = file->path;
    if (connection_.driver() == Driver::remote) place = volumes_.bring(connection->get(), *file, "environment-" + file->digest);
    if (!place) return tl::unexpected(place.error());
    if (rights_ == QemuRights::own_account) {
        if (const std::string why = why_not_without_rights(accounts_, {*place}); !why.empty()) {
            return failure(ErrorCode::refused, "the environment " + bundle.name + " cannot be deployed: " + why);
        }
    }
    const std::string serial = file->digest.substr(0, kSerialDigits);
    const std::string present = take_text(virDomainGetXMLDesc((*found)->domain.get(), 0));
    if (has_disk(present, serial)) return {};
    const auto disk = further_disk_xml(present, *place, serial);
    if (!disk) return failure(ErrorCode::no_capacity, domain_name(id) + " has no room for another disk");
    if (virDomainAttachDeviceFlags((*found)->domain.get(), disk->c_str(), VIR_DOMAIN_AFFECT_LIVE) == 0) return {};
    return failure(ErrorCode::failed, "cannot attach the environment " + bundle.name + " to " + domain_name(id) + ": " + libvirt_words());
}

void LibvirtHypervisor::tidy(NodeId id) {
    if (!forgotten_by_libvirt(id)) sink_(Remark{false, "libvirt still lists " + domain_name(id) + ", which has ended"});
}

Result<std::vector<ListedInstance>> LibvirtHypervisor::list(const std::string& host) {
    const auto connection = connection_.get();
    if (!connection) return tl::unexpected(connection.error());
    virDomainPtr* handles = nullptr;
    const int count = virConnectListAllDomains(connection->get(), &handles, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    if (count < 0) return failure(ErrorCode::unavailable, "cannot list what runs at " + options_.uri + ": " + libvirt_words());
    std::vector<Domain> domains(handles, handles + count);
    std::free(handles);
    std::vector<ListedInstance> listed;
    for (Domain& domain : domains) {
        const std::string name = virDomainGetName(domain.get());
        if (const auto key = key_of_template(name)) end_forgotten_template(std::move(domain), *key);
        const auto id = node_of_domain(name);
        if (!id) continue;
        const auto found = look_at(std::move(domain));
        if (!found || found->mark.host != host || !found->running) continue;
        if (connection_.driver() == Driver::embedded) {
            // libvirt lists an ended process until it has cleaned up behind it.
            const QemuProcess qemu = process_of(*id);
            if (!qemu.process) continue;
            ports_.keep(found->mark.door_port);
            const std::lock_guard lock(watching_);
            const auto watched = watched_.find(*id);
            if ((watched == watched_.end() || watched->second != qemu.pid) && !stopping_.contains(*id)) {
                watched_.insert_or_assign(*id, qemu.pid);
                sink_(ProcessStarted{*id, qemu.pid, duplicate(qemu.process)});
            }
        } else {
            const std::lock_guard lock(watching_);
            if (!stopping_.contains(*id)) watched_.try_emplace(*id, 0);
        }
        listed.push_back({*id, true, door_of(found->mark), {}, 0, 0, 0});
        if (const auto file = files_.find(*id)) {
            listed.back().image = file->spec.image;
            listed.back().vcpus = file->spec.vcpus;
            listed.back().memory_mib = file->spec.memory_mib;
            listed.back().slots = file->spec.slots;
            listed.back().disk_mib = file->spec.disk_mib;
        }
    }
    return listed;
}

}  // namespace understudy::manager
