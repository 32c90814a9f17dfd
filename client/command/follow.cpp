// See follow.hpp.
#include "client/command/follow.hpp"

#include <chrono>
#include <csignal>
#include <iostream>

#include "client/command/exit_codes.hpp"
#include "client/command/table.hpp"
#include "client/link/admin_call.hpp"
#include "client/view/parts.hpp"

namespace understudy::client {
namespace {

volatile std::sig_atomic_t interrupted = 0;

class Follower {
public:
    Follower(const Common& common, Patience patience, const std::function<bool(const std::string&)>& seen)
        : common_(common), patience_(patience), seen_by_(seen) {}

    int run() {
        const auto configuration = configuration_of(common_);
        if (!configuration) return tell(configuration.error(), kExitUsage);
        auto link = Link::open(*configuration, inbox_.sink());
        if (!link) return tell(link.error(), kExitUsage);
        link_ = std::move(*link);
        std::signal(SIGINT, [](int) { interrupted = 1; });
        std::signal(SIGTERM, [](int) { interrupted = 1; });
        const auto give_up = std::chrono::steady_clock::now() + common_.timeout();
        while (interrupted == 0 && !ended_) {
            const auto now = std::chrono::steady_clock::now();
            if (up_ && now >= renew_at_) subscribe(now);
            if (auto event = inbox_.take_until(now + std::chrono::milliseconds(250))) take(*event);
            if (patience_ == Patience::until_first_view && !seen_ && now > give_up) return tell({ErrorCode::unavailable, reason_}, kExitUnreachable);
        }
        return exit_code_;
    }

private:
    static constexpr std::chrono::seconds kRenew{30};

    void subscribe(std::chrono::steady_clock::time_point now) {
        request_ = new_request_id();
        link_->send(AdminRequest{request_, "watch", {}});
        renew_at_ = now + kRenew;
    }

    void take(const LinkEvent& event) {
        if (std::holds_alternative<LinkUp>(event)) {
            up_ = true;
            subscribe(std::chrono::steady_clock::now());
        } else if (const auto* down = std::get_if<LinkDown>(&event)) {
            up_ = false;
            reason_ = down->reason;
            if (down->denied) {
                ended_ = true;
                exit_code_ = tell({ErrorCode::refused, reason_}, kExitUnreachable);
            } else if (seen_ || patience_ == Patience::for_ever) {
                std::cerr << "understudy: " << printable(reason_) << "; waiting for it to come back\n";
            }
        } else if (const auto* received = std::get_if<Received>(&event)) {
            take(received->message);
        }
    }

    void take(const Message& message) {
        if (const auto* reply = std::get_if<AdminReply>(&message); reply != nullptr && reply->request == request_) {
            if (reply->code != 0) {
                ended_ = true;
                const auto code = static_cast<ErrorCode>(reply->code);
                exit_code_ = tell({code, reply->text}, exit_code_of(code));
            } else if (!seen_) {
                show(reply->json);
            }
        } else if (const auto* update = std::get_if<AdminUpdate>(&message)) {
            show(update->json);
        }
    }

    void show(std::string part) {
        if (ended_) return;
        const ViewTexts whole = parts_.take(std::move(part));
        if (whole.empty()) return;
        seen_ = true;
        ended_ = !seen_by_(merged(whole));
    }

    const Common& common_;
    const Patience patience_;
    const std::function<bool(const std::string&)>& seen_by_;
    ViewParts parts_;
    Inbox inbox_;
    std::unique_ptr<Link> link_;
    std::uint64_t request_ = 0;
    std::chrono::steady_clock::time_point renew_at_;
    std::string reason_ = "no manager answered";
    bool up_ = false;
    bool seen_ = false;
    bool ended_ = false;
    int exit_code_ = kExitDone;
};

}  // namespace

int follow(const Common& common, Patience patience, const std::function<bool(const std::string&)>& seen) {
    return Follower(common, patience, seen).run();
}

}  // namespace understudy::client
