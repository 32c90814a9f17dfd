// Speaks to one `criu swrk` process: a request in CRIU's own protocol-buffer form over a packet socket,
// its questions in between, its answer. Nothing of protobuf is linked; the few fields are written by hand.
// Blocking; runs on a worker.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::node {

/// What is asked of CRIU. Field meanings are those of CRIU's manual page.
struct CriuOptions {
    int images_folder = -1;            ///< descriptor of ours
    int pid = 0;                       ///< dump: first process of the session
    std::string root;                  ///< restore: mount point that becomes "/"
    std::string parent_images;         ///< dump: relative to the images folder; empty: a full dump
    std::vector<std::string> external; ///< mounts and sockets that end outside
    std::map<std::string, int> inherited;  ///< restore: "socket:[inode]" → descriptor in CRIU's process
    bool track_memory = false;
    bool restore_as_our_child = false;
    bool external_sockets = false;
};

struct CriuAnswer {
    int pid = 0;  ///< restore: the restored first process, in our PID namespace
};

enum class CriuRequest : std::uint8_t { dump = 1, restore = 2, check = 3, pre_dump = 4 };

/// `on_stopped` is called after the memory was saved and before the processes go on (dump only); what it
/// returns false for makes the dump fail. Errors: `failed` with CRIU's own words when it gave any
/// (its log says more), `unavailable` when the process went away.
[[nodiscard]] Result<CriuAnswer> ask_criu(int socket, CriuRequest request, const CriuOptions& options,
                                          const std::function<bool()>& on_stopped);

/// The first errors of a CRIU log, joined; empty when there are none.
[[nodiscard]] std::string errors_of_log(const std::string& file);

/// Time a dumped session stood still, from the statistics CRIU leaves next to its images.
/// Microseconds; 0 when they can't be read.
[[nodiscard]] std::uint64_t stopped_us_of_dump(const std::string& images_folder);

}  // namespace understudy::node
