// See admin_call.hpp.
#include "client/link/admin_call.hpp"

#include <sodium.h>

#include <utility>

#include "client/view/parts.hpp"

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
    ViewParts parts;  // of a view that is larger than a message: they come before the answer
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
            if (auto* update = std::get_if<AdminUpdate>(&received->message)) static_cast<void>(parts.take(std::move(update->json)));
            auto* reply = std::get_if<AdminReply>(&received->message);
            if (reply == nullptr || reply->request != request.request) continue;
            if (request.verb == "view" && reply->code == 0) {
                if (const ViewTexts whole = parts.take(reply->json); !whole.empty()) reply->json = merged(whole);
            }
            return std::move(*reply);
        }
    }
    if (outcome.reason.empty()) {
        outcome.reason = outcome.sent ? "the manager did not answer within " + std::to_string(timeout.count()) + " ms"
                                      : "no manager answered within " + std::to_string(timeout.count()) + " ms";
    }
    return tl::unexpected(std::move(outcome));
}

}  // namespace understudy::client
