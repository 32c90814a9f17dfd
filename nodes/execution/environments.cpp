// See environments.hpp.
#include "nodes/execution/environments.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "nodes/execution/os_failure.hpp"
#include "protocol/limits.hpp"

namespace understudy::node {
namespace {

constexpr std::size_t kLabelBytes = 4096;
constexpr std::size_t kPartBytes = 1 << 20;
constexpr std::size_t kSerialDigits = 20;
constexpr Duration kPatience = std::chrono::seconds(10);  ///< without any progress
constexpr Duration kLookAgain = std::chrono::seconds(1);
constexpr const char* kDisks = "/sys/block";

bool is_serial(const std::string& text) {
    return text.size() == kSerialDigits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string serial_of(const std::string& disk) {
    std::ifstream file(std::string(kDisks) + "/" + disk + "/serial");
    std::string serial;
    file >> serial;
    return serial;
}

std::vector<BundleDisk> list_disks() {
    std::error_code wrong;
    std::vector<BundleDisk> disks;
    for (const auto& entry : std::filesystem::directory_iterator(kDisks, wrong)) {
        const std::string name = entry.path().filename();
        if (const std::string serial = serial_of(name); is_serial(serial)) disks.push_back({name, serial});
    }
    return disks;
}

/// The label of a disk that an earlier agent of this machine verified and mounted at `place`.
std::optional<BundleLabel> label_of_mounted(const std::string& device, const std::string& place) {
    struct stat disk{};
    struct stat mounted{};
    if (::stat(device.c_str(), &disk) != 0 || ::stat(place.c_str(), &mounted) != 0 || disk.st_rdev != mounted.st_dev) return std::nullopt;
    const Descriptor file(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
    const off_t end = ::lseek(file.get(), 0, SEEK_END);
    std::string last(kLabelBytes, '\0');
    if (end < static_cast<off_t>(kLabelBytes) || ::pread(file.get(), last.data(), last.size(), end - static_cast<off_t>(kLabelBytes)) != static_cast<ssize_t>(kLabelBytes)) {
        return std::nullopt;
    }
    auto label = read_label(last);
    if (!label) return std::nullopt;
    return std::move(*label);
}

/// On the worker.
Result<MountedBundle> mount_bundle(const BundleDisk& disk, const std::string& folder, std::atomic<std::uint64_t>& progress) {
    const std::string device = "/dev/" + disk.name;
    const std::string place = folder + "/.disks/" + disk.serial;
    if (const auto label = label_of_mounted(device, place)) return MountedBundle{label->name, place};
    const auto label = verify_bundle(device, disk.serial, progress);
    if (!label) return tl::unexpected(label.error());
    std::error_code wrong;
    std::filesystem::create_directories(place, wrong);
    if (::mount(device.c_str(), place.c_str(), label->filesystem.c_str(), MS_RDONLY | MS_NODEV | MS_NOSUID, nullptr) != 0) {
        return os_failure("mount the environment " + label->name);
    }
    return MountedBundle{label->name, place};
}

}  // namespace

Result<BundleLabel> read_label(std::string_view block) {
    std::istringstream lines(std::string(block.substr(0, block.find('\0'))));
    std::string word;
    int version = 0;
    BundleLabel label;
    lines >> word >> version;
    if (word != "understudy-environment" || version != 1) return failure(ErrorCode::damaged, "it is no bundle of an environment: its last block has no label");
    for (std::string key, value; lines >> key >> value;) {
        if (key == "name") label.name = value;
        if (key == "filesystem") label.filesystem = value;
    }
    const bool sound = !label.name.empty() && label.name.size() <= limits::kNameBytes && label.name.find('/') == std::string::npos &&
                       label.name != "." && label.name != ".." && (label.filesystem == "erofs" || label.filesystem == "squashfs");
    if (!sound) return failure(ErrorCode::damaged, "its label names no environment or no file system that is known");
    return label;
}

Result<BundleLabel> verify_bundle(const std::string& path, const std::string& serial, std::atomic<std::uint64_t>& progress) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return os_failure("open " + path);
    ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    crypto_hash_sha256_state sum;
    crypto_hash_sha256_init(&sum);
    std::vector<unsigned char> part(kPartBytes);
    std::string last;
    for (ssize_t got = 0; (got = ::read(file.get(), part.data(), part.size())) != 0;) {
        if (got < 0) return os_failure("read " + path);
        const auto count = static_cast<std::size_t>(got);
        crypto_hash_sha256_update(&sum, part.data(), count);
        progress += count;
        last.append(reinterpret_cast<const char*>(part.data()), count);
        if (last.size() > kLabelBytes) last.erase(0, last.size() - kLabelBytes);
    }
    std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
    crypto_hash_sha256_final(&sum, digest.data());
    std::array<char, 2 * crypto_hash_sha256_BYTES + 1> text{};
    ::sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
    if (!std::string_view(text.data()).starts_with(serial)) {
        return failure(ErrorCode::damaged, "its content has sha256 " + std::string(text.data()) + " and its disk promises " + serial + "...");
    }
    return read_label(last);
}

Environments::Environments(Loop& loop, std::string folder, Log log) : loop_(loop), folder_(std::move(folder)), log_(std::move(log)) {
    listen();
    look();
}

Environments::~Environments() {
    if (watch_ != 0) loop_.unwatch(watch_);
    if (next_look_ != 0) loop_.cancel(next_look_);
}

// The kernel tells of new disks; where it does not let us listen, they are found when somebody waits.
void Environments::listen() {
    events_ = Descriptor(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1;
    if (!events_ || ::bind(events_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    watch_ = loop_.watch(events_.get(), EPOLLIN, [this](std::uint32_t) { hear(); });
}

// What a message says does not matter, nor does one that was lost: it is a reason to look.
void Environments::hear() {
    bool of_a_disk = false;
    std::array<char, 8192> message{};
    for (ssize_t got = 0; (got = ::recv(events_.get(), message.data(), message.size() - 1, 0)) > 0 || (got < 0 && errno == ENOBUFS);) {
        message[got < 0 ? 0 : static_cast<std::size_t>(got)] = '\0';
        of_a_disk = of_a_disk || got < 0 || std::string_view(message.data()).find("/block/") != std::string_view::npos;
    }
    if (of_a_disk) look();
}

void Environments::look() {
    for (const BundleDisk& disk : disks_.compare(list_disks())) verify(disk);
}

void Environments::verify(const BundleDisk& disk) {
    const auto began = loop_.now();
    std::function<void(Result<MountedBundle>)> done = lifeline_.bind(
        [this, disk, began](const Result<MountedBundle>& outcome) { note(disk, outcome, loop_.now() - began); });
    worker_.run([&loop = loop_, disk, folder = folder_, progress = progress_, done] {
        auto outcome = mount_bundle(disk, folder, *progress);
        loop.post([done, outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
    });
}

void Environments::note(const BundleDisk& disk, const Result<MountedBundle>& outcome, Duration took) {
    ++*progress_;
    disks_.note(disk, outcome);
    if (outcome) log_("info", "environment=" + outcome->environment + " verified and mounted in_ms=" + std::to_string(to_ms(took)));
    else log_("warning", "the environment on disk " + disk.name + " is not used: " + outcome.error().message);
    go_on();
}

void Environments::when_there(const std::string& name, std::function<void()> then) {
    if (name.empty() || folder_of(name)) {
        then();
        return;
    }
    look();
    waiting_.push_back({name, std::move(then), ProgressWait(loop_.now(), *progress_, kPatience)});
    look_later();
}

void Environments::look_later() {
    if (next_look_ != 0) return;
    next_look_ = loop_.after(kLookAgain, [this] {
        next_look_ = 0;
        look();
        go_on();
        if (!waiting_.empty()) look_later();
    });
}

void Environments::go_on() {
    std::vector<std::function<void()>> ready;
    for (auto entry = waiting_.begin(); entry != waiting_.end();) {
        const bool over = entry->wait.is_over(loop_.now(), *progress_);
        if (!over && !folder_of(entry->name)) {
            ++entry;
            continue;
        }
        ready.push_back(std::move(entry->then));
        entry = waiting_.erase(entry);
    }
    for (const auto& then : ready) then();
}

}  // namespace understudy::node
