// See instance_files.hpp.
#include "manager/adapters/hypervisor/instance_files.hpp"

#include <charconv>
#include <chrono>
#include <filesystem>
#include <sstream>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/socket.h>
#include <toml++/toml.h>
#include <unistd.h>

#include "manager/adapters/config/state_directory.hpp"
#include "manager/adapters/hypervisor/domain_xml.hpp"
#include "manager/adapters/hypervisor/overlay_disk.hpp"
#include "manager/adapters/system/files.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kSeedBlock = 65536;

std::string text_of(const toml::table& table) {
    std::ostringstream text;
    text << table << "\n";
    return text.str();
}

Result<InstanceFile> parse_instance(const std::string& text, const std::string& path) {
    try {
        const toml::table table = toml::parse(text, path);
        InstanceFile file;
        const auto number = [&table](const char* name) { return table[name].value_or(std::int64_t{0}); };
        file.spec.id = NodeId(static_cast<std::uint64_t>(number("node")));
        file.spec.host = table["host"].value_or(std::string());
        file.spec.image = table["image"].value_or(std::string());
        file.spec.vcpus = static_cast<std::uint32_t>(number("vcpus"));
        file.spec.memory_mib = static_cast<std::uint32_t>(number("memory_mib"));
        file.spec.slots = static_cast<std::uint32_t>(number("slots"));
        file.spec.disk_mib = static_cast<std::uint64_t>(number("disk_mib"));
        file.door_port = static_cast<std::uint16_t>(number("door_port"));
        if (table["paused"].value_or(false)) file.spec.tier = Tier::paused;
        file.public_key = table["public_key"].value_or(std::string());
        file.one_time = table["one_time"].value_or(false);
        file.mac = table["mac"].value_or(std::string());
        file.template_key = table["template"].value_or(std::string());
        if (file.spec.id && file.public_key.size() == 40) return file;
    } catch (const toml::parse_error&) {
        // Said below.
    }
    return failure(ErrorCode::damaged, path + " cannot be read");
}

std::string padded(std::string text) {
    text.resize((text.size() / kSeedBlock + 1) * kSeedBlock, '\0');
    return text;
}

std::string random_hexadecimal(std::size_t bytes) {
    std::string random(bytes, '\0');
    ::randombytes_buf(random.data(), random.size());
    std::string text(2 * bytes + 1, '\0');
    ::sodium_bin2hex(text.data(), text.size(), reinterpret_cast<const unsigned char*>(random.data()), random.size());
    text.pop_back();
    return text;
}

/// In the range that QEMU's machines have.
std::string random_mac() {
    const std::string digits = random_hexadecimal(3);
    return "52:54:00:" + digits.substr(0, 2) + ":" + digits.substr(2, 2) + ":" + digits.substr(4, 2);
}

/// Whether somebody listens there already, as QEMU would find out.
bool is_free(const std::string& address, std::uint16_t port) {
    const UniqueFd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    // An address of another machine cannot be tried here; its own QEMU will tell.
    if (::inet_pton(AF_INET, address.c_str(), &where.sin_addr) != 1) return true;
    if (::bind(probe.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) return errno == EADDRNOTAVAIL;
    return ::listen(probe.get(), 1) == 0;
}

}  // namespace

InstanceFiles::InstanceFiles(std::string directory, InstanceOptions options, ManagerContact contact)
    : directory_(std::move(directory)), options_(std::move(options)), contact_(std::move(contact)),
      digests_(std::filesystem::path(directory_).parent_path().string() + "/digests.toml"), image_(options_.image_dir, digests_) {}

std::string InstanceFiles::path(NodeId id, const std::string& file) const {
    return directory_ + "/" + to_string(id) + (file.empty() ? "" : "/" + file);
}

std::string InstanceFiles::beside(const std::string& name) const { return std::filesystem::path(directory_).parent_path().string() + "/" + name; }

Result<KnownFile> InstanceFiles::agent_disk() {
    auto digest = digests_.of(options_.agent_image);
    if (digest) return KnownFile{options_.agent_image, std::move(*digest)};
    if (digest.error().code != ErrorCode::not_found) return tl::unexpected(digest.error());
    return failure(ErrorCode::not_found, "there is no disk with the agent at " + options_.agent_image + "; make it with nodes/image/pack-agent");
}

Result<std::uint64_t> InstanceFiles::disk_bytes(const InstanceSpec& spec, const KnownFile& base) const {
    std::error_code problem;
    const std::uint64_t least = std::filesystem::file_size(base.path, problem);
    if (problem) return failure(ErrorCode::failed, "cannot look at " + base.path + ": " + problem.message());
    const std::uint64_t wanted = (spec.disk_mib != 0 ? spec.disk_mib : options_.disk_mib) << 20U;
    if (wanted == 0 || wanted >= least) return std::max(wanted, least);
    return failure(ErrorCode::invalid, "a disk of " + std::to_string(wanted >> 20U) + " MiB cannot hold the image " + spec.image + ", which has " +
                                           std::to_string(least >> 20U) + " MiB; raise disk_mib");
}

Result<> InstanceFiles::make_disk(const InstanceSpec& spec, const KnownFile& base) const {
    const auto bytes = disk_bytes(spec, base);
    if (!bytes) return tl::unexpected(bytes.error());
    const std::string disk = path(spec.id, "disk.qcow2");
    std::error_code problem;
    std::filesystem::remove(disk, problem);
    if (problem) return failure(ErrorCode::failed, "cannot remove " + disk + ": " + problem.message());
    return make_overlay({base.path, "raw"}, disk, *bytes);
}

std::string InstanceFiles::held_seed() { return padded("[held]\nheld = true\n"); }

std::string InstanceFiles::seed_of(const InstanceFile& file, const std::string& secret_key, std::int64_t wall_ms) const {
    const toml::table seed{
        {"node", toml::table{{"id", static_cast<std::int64_t>(file.spec.id.value)},
                             {"slots", static_cast<std::int64_t>(file.spec.slots)},
                             {"loopback_alias", options_.loopback_alias}}},
        {"manager", toml::table{{"endpoint", contact_.guest_endpoint}, {"public_key", contact_.public_key}}},
        {"keys", toml::table{{"public", file.public_key}, {"secret", secret_key}, {"one_time", file.one_time}}},
        {"machine", toml::table{{"host_name", domain_name(file.spec.id)},
                                {"id", random_hexadecimal(16)},
                                {"mac", file.mac},
                                {"entropy", random_hexadecimal(32)}}},
        {"held", toml::table{{"wall_ms", wall_ms}}},
    };
    return padded(text_of(seed));
}

/// An account without rights cannot make it. One that is there may be open.
Result<> InstanceFiles::make_console(NodeId id) const {
    const std::string console = path(id, "console.log");
    std::error_code ignored;
    return std::filesystem::exists(console, ignored) ? Result<>() : write_file(console, {});
}

Result<InstanceFile> InstanceFiles::record(InstanceFile file, const std::string& seed) {
    const InstanceSpec& spec = file.spec;
    const toml::table record{{"node", static_cast<std::int64_t>(spec.id.value)},
                             {"host", spec.host},
                             {"image", spec.image},
                             {"vcpus", static_cast<std::int64_t>(spec.vcpus)},
                             {"memory_mib", static_cast<std::int64_t>(spec.memory_mib)},
                             {"slots", static_cast<std::int64_t>(spec.slots)},
                             {"disk_mib", static_cast<std::int64_t>(spec.disk_mib)},
                             {"paused", spec.tier == Tier::paused},
                             {"door_port", static_cast<std::int64_t>(file.door_port)},
                             {"public_key", file.public_key},
                             {"one_time", file.one_time},
                             {"mac", file.mac},
                             {"template", file.template_key}};
    auto done = make_passable_directory(path(spec.id, {}))
                    .and_then([&] { return write_file(path(spec.id, "seed.img"), seed); })
                    .and_then([&] { return make_console(spec.id); })
                    .and_then([&] { return write_file(path(spec.id, "instance.toml"), text_of(record)); });
    if (done) return file;
    static_cast<void>(remove(spec.id));
    return tl::unexpected(done.error());
}

Result<InstanceFile> InstanceFiles::prepare(const InstanceSpec& spec, std::uint16_t door_port) {
    const CurveKeys keys = make_curve_keys();
    const InstanceFile file{spec, door_port, keys.public_key, true, random_mac(), {}};
    return record(file, seed_of(file, keys.secret_key, 0));
}

Result<InstanceFile> InstanceFiles::prepare_held(const InstanceSpec& spec, std::uint16_t door_port, const std::string& template_key) {
    return record({spec, door_port, make_curve_keys().public_key, true, random_mac(), template_key}, held_seed());
}

Result<InstanceFile> InstanceFiles::awaken(NodeId id) {
    auto file = find(id);
    if (!file) return file;
    const CurveKeys keys = make_curve_keys();
    file->public_key = keys.public_key;
    file->one_time = true;
    const std::string seed_path = path(id, "seed.img");
    const auto wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    const std::string seed = seed_of(*file, keys.secret_key, wall_ms);
    // In place, because the machine has this very file open; the record first, because the machine may go on
    // although this manager does not.
    const std::string held = path(id, "seed.held");
    std::error_code problem;
    std::filesystem::create_hard_link(seed_path, held, problem);
    auto recorded = record(*file, seed);
    std::filesystem::rename(held, seed_path, problem);
    if (!recorded) return recorded;
    const UniqueFd disk(::open(seed_path.c_str(), O_WRONLY | O_CLOEXEC));
    if (problem || !disk || ::pwrite(disk.get(), seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) return system_failure("write " + seed_path);
    return recorded;
}

Result<KnownFile> InstanceFiles::bundle(const Bundle& bundle) {
    constexpr std::string_view kKind = "sha256:";
    const std::string digest = bundle.digest.starts_with(kKind) ? bundle.digest.substr(kKind.size()) : bundle.digest;
    if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string::npos) {
        return failure(ErrorCode::invalid, "the environment " + bundle.name + " has no digest of the form sha256:... but " + bundle.digest);
    }
    const auto known = bundles_.find(bundle.digest);
    const std::string file = known != bundles_.end() ? known->second : beside("environments/" + digest + ".env");
    auto content = digests_.of(file);
    if (!content && content.error().code == ErrorCode::not_found) {
        return failure(ErrorCode::not_found, "the bundle of the environment " + bundle.name + " is not at " + file + "; make it with nodes/image/make-environment");
    }
    if (!content) return tl::unexpected(content.error());
    if (*content != digest) return failure(ErrorCode::damaged, file + " has the content sha256 " + *content + "; put the right one there");
    return KnownFile{file, digest};
}

Result<> InstanceFiles::remove(NodeId id) {
    std::error_code problem;
    std::filesystem::remove_all(path(id, {}), problem);
    if (problem) return failure(ErrorCode::failed, "cannot remove " + path(id, {}) + ": " + problem.message());
    return {};
}

Result<InstanceFile> InstanceFiles::find(NodeId id) const {
    const std::string file = path(id, "instance.toml");
    auto text = read_file(file);
    if (!text) return tl::unexpected(text.error());
    return parse_instance(*text, file);
}

std::vector<InstanceFile> InstanceFiles::load_all(std::vector<std::string>& problems) const {
    std::vector<InstanceFile> files;
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, problem)) {
        const std::string name = entry.path().filename().string();
        std::uint64_t number = 0;
        const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (bad != std::errc() || end != name.data() + name.size()) continue;
        auto file = find(NodeId(number));
        if (file) {
            files.push_back(std::move(*file));
        } else if (file.error().code != ErrorCode::not_found) {
            problems.push_back(file.error().message);
        }
    }
    return files;
}

Result<std::uint16_t> DoorPorts::take(const std::string& address) {
    const std::lock_guard lock(mutex_);
    const unsigned count = static_cast<unsigned>(last_) - first_ + 1;
    for (unsigned tried = 0; tried < count; ++tried) {
        const std::uint16_t port = next_;
        next_ = next_ == last_ ? first_ : static_cast<std::uint16_t>(next_ + 1);
        if (taken_.contains(port) || !is_free(address, port)) continue;
        taken_.insert(port);
        return port;
    }
    return failure(ErrorCode::no_capacity, "no free port for a door from " + std::to_string(first_) + " to " +
                                               std::to_string(last_) + "; widen [instances] door_ports");
}

void DoorPorts::keep(std::uint16_t port) {
    const std::lock_guard lock(mutex_);
    taken_.insert(port);
}

std::size_t DoorPorts::taken() const {
    const std::lock_guard lock(mutex_);
    return taken_.size();
}

void DoorPorts::give_back(std::uint16_t port) {
    const std::lock_guard lock(mutex_);
    taken_.erase(port);
}

}  // namespace understudy::manager
