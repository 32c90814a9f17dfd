// Where it is written down who did what. The loop asks, a worker writes, and answers come as arrivals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/ids.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// One act, before it is carried out.
struct AuditEntry {
    std::string id;           ///< unique for ever: the manager's incarnation and a counter
    std::int64_t wall_ms = 0;
    std::string who;          ///< name of the peer; "configuration"
    std::string role;
    std::string by;           ///< the person for whom a gateway asks; empty: none named
    std::string verb;
    std::vector<std::string> arguments;  ///< without the reason
    std::string reason;
};

/// What became of it.
struct AuditResult {
    std::string id;
    std::int64_t wall_ms = 0;
    std::uint32_t code = 0;  ///< 0: done; else an ErrorCode
    std::string text;
};

/// An entry is on the disk, or could not be written.
struct AuditWritten {
    std::string id;
    Result<> outcome;
};

/// The answer to AuditPort::read.
struct AuditRead {
    ClientId client;
    std::uint64_t request = 0;
    Result<std::string> json;
};

class AuditPort {
  public:
    virtual ~AuditPort() = default;

    /// Answered once by AuditWritten: when that says yes, the entry survives the loss of this machine's power.
    virtual void begin(const AuditEntry& entry) = 0;
    /// Not answered. What cannot be written is remarked upon.
    virtual void end(const AuditResult& result) = 0;
    /// Answered once by AuditRead: the newest `count` acts, newest first.
    virtual void read(ClientId client, std::uint64_t request, std::size_t count) = 0;
};

}  // namespace understudy::manager
