// Notices within microseconds that a process ended: one descriptor covers all of them. Owned by the
// loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "manager/runtime/unique_fd.hpp"
#include "protocol/ids.hpp"
#include "protocol/time.hpp"

namespace understudy::manager {

class ProcessWatch {
  public:
    ProcessWatch();

    /// Watches the process behind a pidfd for this node; replaces what was watched for it before.
    void add(NodeId node, std::int64_t pid, UniqueFd process);
    void remove(NodeId node);

    /// Readable while a watched process has ended and was not taken yet.
    [[nodiscard]] int descriptor() const { return watch_.get(); }

    /// What has ended: candidates only. The caller first takes in everything that may call remove(), then
    /// confirms each; so a process stopped on purpose is never reported.
    struct Ended {
        NodeId node;
        std::uint64_t ticket = 0;
    };
    [[nodiscard]] std::vector<Ended> look();

    /// How a process ended.
    struct Ending {
        std::string cause;       ///< for people
        bool by_itself = false;  ///< it was ours to reap, and no signal ended it
    };

    /// A value, once, when the candidate is still watched. Reaps the process if it is ours.
    [[nodiscard]] std::optional<Ending> confirm(const Ended& ended);

    /// Reaps orphans that became ours and that nobody waits for. Cheap; call when a child ended, and now
    /// and then.
    void reap_orphans(TimePoint now);

  private:
    struct Watched {
        std::uint64_t ticket = 0;
        std::int64_t pid = 0;
        UniqueFd process;
    };
    UniqueFd watch_;
    std::map<NodeId, Watched> watched_;
    std::map<std::uint64_t, NodeId> tickets_;
    std::uint64_t next_ticket_ = 1;
    std::int64_t zombie_ = 0;
    TimePoint zombie_since_{};
};

/// Reaps the QEMU processes that libvirt started as daemons, became ours and have ended, at once: libvirt
/// waits until they are gone from the process table. What libvirt itself waits for is left to it.
/// Any thread.
void reap_ended_daemons();

}  // namespace understudy::manager
