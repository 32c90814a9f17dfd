// The gateway's conversation with the manager on behalf of operators: one subscription to the view for
// all browsers, and a book of open acts. Owns one Link; belongs to the gateway's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/gateway/event_socket.hpp"
#include "client/gateway/network.hpp"
#include "client/link/link.hpp"
#include "client/view/difference.hpp"
#include "client/view/parts.hpp"
#include "protocol/result.hpp"

namespace understudy::gateway {

class AdminDesk {
public:
    explicit AdminDesk(asio::io_context& context);
    AdminDesk(const AdminDesk&) = delete;
    AdminDesk& operator=(const AdminDesk&) = delete;
    ~AdminDesk();

    /// Starts the link. Errors: as Link::open().
    [[nodiscard]] Result<> open(const client::Configuration& configuration);

    /// Asks the manager and waits for its answer. Sent again after a reconnection; the manager answers a
    /// repeated request like the first. Errors: `unavailable` (never reached a manager), `unknown_outcome`
    /// (sent, no answer in time), `limit` (too many open calls).
    [[nodiscard]] asio::awaitable<Result<AdminReply>> call(std::string verb, std::vector<std::string> arguments);

    /// A page that wants every view from now on. It gets the last one at once, whole.
    void add_watcher(std::shared_ptr<EventSocket> page);
    void remove_watcher(const std::shared_ptr<EventSocket>& page);

    [[nodiscard]] bool connected() const { return connected_; }
    /// Why there is no connection, for people; since when, in Unix milliseconds.
    [[nodiscard]] const std::string& reason() const { return reason_; }
    [[nodiscard]] std::int64_t since_wall_ms() const { return since_wall_ms_; }
    /// The last view that came, empty if none ever did; when it came, in Unix milliseconds.
    [[nodiscard]] std::string last_view() const { return client::merged(view_); }
    [[nodiscard]] std::int64_t view_wall_ms() const { return view_wall_ms_; }

    /// Ends everything; open calls are answered.
    void stop();

private:
    struct OpenCall;
    void take(client::LinkEvent event);
    void take(const Message& message);
    void set_view(std::string part);
    /// `changes`: of the view since the last call, as IndexedView says them; empty: they are not known.
    void tell_watchers(const std::string& changes);
    [[nodiscard]] std::string head() const;
    void subscribe();
    [[nodiscard]] asio::awaitable<void> keep_subscribed();

    asio::io_context& context_;
    std::unique_ptr<client::Link> link_;
    bool connected_ = false;
    bool stopped_ = false;
    std::string reason_ = "the manager has not answered yet";
    std::int64_t since_wall_ms_;
    client::ViewParts parts_;
    client::ViewTexts view_;  ///< passed on as it came
    std::optional<client::IndexedView> indexed_;  ///< the same, to be compared; while somebody watches
    std::int64_t view_wall_ms_ = 0;
    Offer newest_;
    std::uint64_t watch_request_ = 0;
    std::string watch_refusal_;
    Wakeup renewal_;
    // Pages are shared with their connections, which may end at any time.
    std::set<std::shared_ptr<EventSocket>> watchers_;
    std::map<std::uint64_t, OpenCall*> calls_;  ///< each lives in the frame of its call()
};

/// Unix milliseconds now.
[[nodiscard]] std::int64_t wall_ms_now();

}  // namespace understudy::gateway
