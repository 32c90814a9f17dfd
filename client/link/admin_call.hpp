// One question or act of an administrator, asked and waited for. For programs that do one thing at a
// time (the command line); the gateway keeps many calls open and has its own book of them.
// Used by the thread that owns the inbox.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "client/link/inbox.hpp"
#include "client/link/link.hpp"
#include "protocol/result.hpp"

namespace understudy::client {

/// A random number that names one request of ours; never 0.
[[nodiscard]] std::uint64_t new_request_id();

/// How a call that got no answer ended.
struct NoAnswer {
    bool sent = false;   ///< it reached a connection: the manager may have carried it out
    bool denied = false;
    std::string reason;  ///< for people, with the next step
};

/// Sends the request as soon as there is a connection, again after every reconnection (the manager
/// answers a repeated request like the first), until it is answered or `timeout` is over.
[[nodiscard]] tl::expected<AdminReply, NoAnswer> call(Link& link, Inbox& inbox, const AdminRequest& request,
                                                      std::chrono::milliseconds timeout);

}  // namespace understudy::client
