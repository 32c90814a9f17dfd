// See admin_call.hpp.
#include "client/link/admin_call.hpp"

#include <sodium.h>

#include <utility>

namespace understudy::client {

std::uint64_t new_request_id() {
    std::uint64_t id = 0;
    while (id == 0) randombytes_buf(&id, sizeof id);
    return id;
}

tl::expected<AdminReply, NoAnswer> call(Link& link, Inbox& inbox, const AdminRequest& request,
                                        std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    NoAnswer outcome;
    while (auto event = inbox.take_until(deadline)) {
        if (std::holds_alternative<LinkUp>(*event)) {
            link.send(request);
            outcome.sent = true;
        } else if (auto* down = std::get_if<LinkDown>(&*event)) {
            outcome.reason = down->reason;
            outcome.denied = down->denied;
            if (down->denied) break;  // waiting longer does not help
        } else if (auto* unreadable = std::get_if<Unreadable>(&*event)) {
            outcome.reason = unreadable->reason;
        } else if (auto* received = std::get_if<Received>(&*event)) {
            auto* reply = std::get_if<AdminReply>(&received->message);
            if (reply != nullptr && reply->request == request.request) return std::move(*reply);
        }
    }
    if (outcome.reason.empty()) {
        outcome.reason = outcome.sent ? "the manager did not answer within " + std::to_string(timeout.count()) + " ms"
                                      : "no manager answered within " + std::to_string(timeout.count()) + " ms";
    }
    return tl::unexpected(std::move(outcome));
}

}  // namespace understudy::client
