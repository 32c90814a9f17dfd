// What files contain, as SHA-256. Reading gigabytes takes a second or more, so a digest is computed once per
// file identity (path, inode, size, time of change) and remembered, over restarts too. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "protocol/result.hpp"

namespace understudy::manager {

class ContentDigests {
  public:
    /// `memory`: a file to remember in; empty: only as long as this lives. What cannot be read there is
    /// computed again.
    explicit ContentDigests(std::string memory = {});

    /// 64 hexadecimal digits. Whoever asks for one that is being computed waits for it.
    /// Errors: `not_found`, `failed` (the file changed while it was read, and what the system says).
    [[nodiscard]] Result<std::string> of(const std::string& path);

  private:
    struct Known {
        std::string identity;
        std::string digest;
    };
    void remember(const std::string& path, const Known& known);

    std::mutex mutex_;
    std::string memory_;
    std::map<std::string, Known> known_;  ///< by path; bounded
};

}  // namespace understudy::manager
