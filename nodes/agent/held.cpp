// See held.hpp.
#include "nodes/agent/held.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/machine_identity.hpp"

namespace understudy::node {
namespace {

/// The hypervisor has no way of telling a guest that its disk has changed; one small read tells. A machine
/// that stands still looks at nothing, one that goes on has its answer within this time.
constexpr int kLookEveryMs = 4;
constexpr std::size_t kSeedBytes = 65536;

struct FreeMemory {
    void operator()(char* memory) const { std::free(memory); }
};

/// Reads the disk itself, not what the kernel remembers of it.
Result<std::string> read_seed(int disk, char* memory) {
    const ssize_t got = ::pread(disk, memory, kSeedBytes, 0);
    if (got < 0) return failure(ErrorCode::failed, std::string("can't read the seed disk: ") + std::strerror(errno));
    return std::string(memory, ::strnlen(memory, static_cast<std::size_t>(got)));
}

Result<> replace_file(const std::string& file, const std::string& text) {
    const std::string draft = file + ".new";
    const Descriptor to(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!to || ::write(to.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::rename(draft.c_str(), file.c_str()) != 0) {
        return failure(ErrorCode::failed, "can't write " + file + ": " + std::strerror(errno));
    }
    return {};
}

}  // namespace

Result<Config> wait_for_seed(const Config& held, const std::string& config_file, int stop) {
    const Descriptor disk(::open(held.seed_disk.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (!disk) return failure(ErrorCode::failed, "can't open the seed disk " + held.seed_disk + ": " + std::strerror(errno));
    const std::unique_ptr<char, FreeMemory> memory(static_cast<char*>(std::aligned_alloc(4096, kSeedBytes)));
    for (;;) {
        const auto text = read_seed(disk.get(), memory.get());
        if (!text) return tl::unexpected(text.error());
        // A seed that is just being written ends early, and is looked at again.
        auto config = parse_config(*text, held.seed_disk);
        if (config && !config->held) {
            if (const auto set = set_clock(config->wall_ms); config->wall_ms != 0 && !set) return tl::unexpected(set.error());
            if (const auto kept = replace_file(config_file, *text); !kept) return tl::unexpected(kept.error());
            return config;
        }
        pollfd waiting{stop, POLLIN, 0};
        if (::poll(&waiting, 1, kLookEveryMs) > 0) return failure(ErrorCode::unavailable, "asked to end while being held");
    }
}

}  // namespace understudy::node
