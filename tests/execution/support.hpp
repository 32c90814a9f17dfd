// What the tests of the agent share: scratch folders, pairs of sockets, and running a loop until
// something has happened. One thread.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/loop.hpp"

namespace understudy::node::test {

/// A new folder that goes away with the object.
class Scratch {
  public:
    Scratch() {
        std::string pattern = (std::filesystem::temp_directory_path() / "understudy-test-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~Scratch() {
        std::error_code wrong;
        std::filesystem::remove_all(path_, wrong);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

inline void write_file(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

inline std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline std::pair<Descriptor, Descriptor> socket_pair(int flags = 0) {
    int ends[2];
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, ends);
    return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// Runs the loop until `done`; false when that took longer than `limit_ms`.
inline bool run_until(Loop& loop, const std::function<bool()>& done, int limit_ms = 20'000) {
    const auto until = loop.now() + std::chrono::milliseconds(limit_ms);
    while (!done()) {
        if (loop.now() >= until) return false;
        pollfd ready{loop.descriptor(), POLLIN, 0};
        const int timer_ms = loop.timeout_ms();
        ::poll(&ready, 1, timer_ms < 0 ? 100 : std::min(timer_ms, 100));
        loop.dispatch();
    }
    return true;
}

}  // namespace understudy::node::test
