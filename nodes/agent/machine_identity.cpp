// See machine_identity.hpp.
#include "nodes/agent/machine_identity.hpp"

#include <linux/random.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <vector>

#include "nodes/agent/base/descriptor.hpp"

namespace understudy::node {
namespace {

constexpr const char* kMachineIdFile = "/etc/machine-id";
constexpr const char* kCard = "eth0";
constexpr std::int64_t kClockToleranceMs = 20;

std::string problem(const std::string& what) { return what + ": " + std::strerror(errno); }

std::string write_machine_id(const std::string& id) {
    const std::string draft = std::string(kMachineIdFile) + ".new";
    const Descriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444));
    const std::string line = id + "\n";
    if (!file || ::write(file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::rename(draft.c_str(), kMachineIdFile) != 0) {
        return problem(std::string("write ") + kMachineIdFile);
    }
    return {};
}

std::string set_mac(const std::string& mac) {
    unsigned bytes[6];
    if (std::sscanf(mac.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5]) != 6) {
        return "'" + mac + "' is no network address";
    }
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, kCard, IFNAMSIZ - 1);
    if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) return problem(std::string("look at ") + kCard);
    char wanted[6];
    for (int i = 0; i < 6; ++i) wanted[i] = static_cast<char>(bytes[i]);
    if (std::memcmp(request.ifr_hwaddr.sa_data, wanted, sizeof wanted) == 0) return {};
    std::memcpy(request.ifr_hwaddr.sa_data, wanted, sizeof wanted);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    if (::ioctl(socket.get(), SIOCSIFHWADDR, &request) != 0) return problem(std::string("set the address of ") + kCard);
    return {};
}

/// The kernel's generator forgets what a copy of this machine could know.
std::string stir(const std::string& entropy) {
    std::vector<char> memory(sizeof(rand_pool_info) + entropy.size() / 2 + 4);
    auto* const pool = reinterpret_cast<rand_pool_info*>(memory.data());
    auto* const bytes = reinterpret_cast<unsigned char*>(pool->buf);
    std::size_t count = 0;
    for (std::size_t at = 0; at + 1 < entropy.size(); at += 2) {
        bytes[count++] = static_cast<unsigned char>(std::strtoul(entropy.substr(at, 2).c_str(), nullptr, 16));
    }
    pool->buf_size = static_cast<int>(count);
    pool->entropy_count = static_cast<int>(count * 8);
    const Descriptor random(::open("/dev/urandom", O_RDWR | O_CLOEXEC));
    if (!random || ::ioctl(random.get(), RNDADDENTROPY, pool) != 0 || ::ioctl(random.get(), RNDRESEEDCRNG) != 0) {
        return problem("stir the random numbers");
    }
    return {};
}

}  // namespace

Result<> take_on(const MachineIdentity& identity) {
    std::string problems;
    const auto note = [&problems](const std::string& words) {
        if (!words.empty()) problems += (problems.empty() ? "" : "; ") + words;
    };
    if (!identity.entropy.empty()) note(stir(identity.entropy));  // before anything else draws from them
    if (!identity.host_name.empty() && ::sethostname(identity.host_name.data(), identity.host_name.size()) != 0) note(problem("set the host name"));
    if (!identity.machine_id.empty()) note(write_machine_id(identity.machine_id));
    if (!identity.mac.empty()) note(set_mac(identity.mac));
    if (problems.empty()) return {};
    return failure(ErrorCode::failed, "this machine could not take on its identity: " + problems);
}

Result<> set_clock(std::int64_t wall_ms) {
    const std::int64_t present =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    if (std::llabs(present - wall_ms) <= kClockToleranceMs) return {};
    const timespec time{static_cast<time_t>(wall_ms / 1000), static_cast<long>(wall_ms % 1000) * 1'000'000};
    if (::clock_settime(CLOCK_REALTIME, &time) != 0) return failure(ErrorCode::failed, problem("set the clock"));
    return {};
}

}  // namespace understudy::node
