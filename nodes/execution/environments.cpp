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

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "nodes/execution/os_failure.hpp"
#include "protocol/limits.hpp"

namespace understudy::node {
namespace {

constexpr std::size_t kLabelBytes = 4096;
constexpr std::size_t kPartBytes = 1 << 20;
constexpr std::size_t kSerialDigits = 20;
constexpr Duration kPatience = std::chrono::seconds(10);
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

/// On the worker. Returns the environment's name, which leads to it from now on.
Result<std::string> mount_bundle(const std::string& device, const std::string& serial, const std::string& folder) {
    const auto label = verify_bundle(device, serial);
    if (!label) return tl::unexpected(label.error());
    const std::string place = folder + "/.disks/" + serial;
    std::error_code wrong;
    std::filesystem::create_directories(place, wrong);
    const bool mounted = ::mount(device.c_str(), place.c_str(), label->filesystem.c_str(), MS_RDONLY | MS_NODEV | MS_NOSUID, nullptr) == 0;
    if (!mounted && errno != EBUSY) return os_failure("mount the environment " + label->name);
    // The name appears in one move: nobody finds it before the files are there.
    const std::string name = folder + "/" + label->name;
    const std::string draft = folder + "/.disks/" + label->name + ".new";
    ::unlink(draft.c_str());
    if (::symlink(place.c_str(), draft.c_str()) != 0 || ::rename(draft.c_str(), name.c_str()) != 0) return os_failure("name the environment " + label->name);
    return label->name;
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

Result<BundleLabel> verify_bundle(const std::string& path, const std::string& serial) {
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
    std::error_code wrong;
    std::vector<std::string> disks;
    for (const auto& entry : std::filesystem::directory_iterator(kDisks, wrong)) disks.push_back(entry.path().filename());
    std::sort(disks.begin(), disks.end());
    for (const std::string& disk : disks) consider(disk);
}

Environments::~Environments() {
    if (watch_ != 0) loop_.unwatch(watch_);
    for (const auto& [name, waiting] : waiting_) loop_.cancel(waiting.timer);
}

// The kernel tells of new disks; where it does not let us listen, those that are there are all there are.
void Environments::listen() {
    events_ = Descriptor(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1;
    if (!events_ || ::bind(events_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    watch_ = loop_.watch(events_.get(), EPOLLIN, [this](std::uint32_t) { hear(); });
}

void Environments::hear() {
    std::array<char, 8192> message{};
    for (ssize_t got = 0; (got = ::recv(events_.get(), message.data(), message.size() - 1, 0)) > 0;) {
        message[static_cast<std::size_t>(got)] = '\0';
        const std::string_view head(message.data());  // "add@/devices/.../block/vdd"
        const auto disk = head.rfind("/block/");
        if (!head.starts_with("add@") || disk == std::string_view::npos || head.find('/', disk + 7) != std::string_view::npos) continue;
        consider(std::string(head.substr(disk + 7)));
    }
}

void Environments::consider(const std::string& disk) {
    const std::string serial = serial_of(disk);
    if (!is_serial(serial)) return;
    const auto began = loop_.now();
    std::function<void(Result<std::string>)> done = lifeline_.bind([this, disk, began](const Result<std::string>& name) {
        if (name) log_("info", "environment=" + *name + " verified and mounted in_ms=" + std::to_string(to_ms(loop_.now() - began)));
        note_mounted(disk, name);
    });
    worker_.run([&loop = loop_, device = "/dev/" + disk, serial, folder = folder_, done] {
        auto name = mount_bundle(device, serial, folder);
        loop.post([done, name = std::move(name)]() mutable { done(std::move(name)); });
    });
}

void Environments::note_mounted(const std::string& disk, const Result<std::string>& name) {
    if (name) go_on(*name);
    else log_("warning", "the environment on disk " + disk + " is not used: " + name.error().message);
}

bool Environments::there(const std::string& name) const {
    struct stat info{};
    return ::stat((folder_ + "/" + name).c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

void Environments::when_there(const std::string& name, std::function<void()> then) {
    if (name.empty() || there(name)) {
        then();
        return;
    }
    // Without events nothing will come.
    const auto patience = watch_ != 0 ? kPatience : Duration::zero();
    const auto entry = waiting_.emplace(name, Waiting{0, std::move(then)});
    entry->second.timer = loop_.after(patience, [this, entry] {
        const auto late = std::move(entry->second.then);
        waiting_.erase(entry);
        late();
    });
}

void Environments::go_on(const std::string& name) {
    std::vector<std::function<void()>> ready;
    for (auto entry = waiting_.find(name); entry != waiting_.end(); entry = waiting_.find(name)) {
        loop_.cancel(entry->second.timer);
        ready.push_back(std::move(entry->second.then));
        waiting_.erase(entry);
    }
    for (const auto& then : ready) then();
}

}  // namespace understudy::node
