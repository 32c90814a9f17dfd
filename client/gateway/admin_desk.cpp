// See admin_desk.hpp.
#include "client/gateway/admin_desk.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "client/gateway/limits.hpp"
#include "client/link/admin_call.hpp"

namespace understudy::gateway {
namespace {

constexpr std::chrono::seconds kRenew{30};
constexpr const char* kNothing = "{}";  ///< changed in the view

}  // namespace

std::int64_t wall_ms_now() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct AdminDesk::OpenCall {
    explicit OpenCall(asio::io_context& context) : wakeup(context) {}
    AdminRequest request;
    bool sent = false;
    std::optional<AdminReply> reply;
    Wakeup wakeup;
};

AdminDesk::AdminDesk(asio::io_context& context) : context_(context), since_wall_ms_(wall_ms_now()), renewal_(context) {}
AdminDesk::~AdminDesk() = default;

Result<> AdminDesk::open(const client::Configuration& configuration) {
    auto link = client::Link::open(configuration, [this](client::LinkEvent event) {
        asio::post(context_, [this, event = std::move(event)]() mutable { take(std::move(event)); });
    });
    if (!link) return tl::unexpected(link.error());
    link_ = std::move(*link);
    asio::co_spawn(context_, keep_subscribed(), asio::detached);
    return {};
}

void AdminDesk::stop() {
    stopped_ = true;
    link_.reset();
    renewal_.wake();
    for (const auto& [id, open] : calls_) open->wakeup.wake();
    for (const auto& watcher : watchers_) watcher->close();
}

void AdminDesk::take(client::LinkEvent event) {
    if (stopped_) return;
    if (std::holds_alternative<client::LinkUp>(event)) {
        spdlog::info("connected to the manager");
        connected_ = true;
        reason_.clear();
        since_wall_ms_ = wall_ms_now();
        for (const auto& [id, open] : calls_) {
            link_->send(open->request);
            open->sent = true;
        }
        if (!watchers_.empty()) subscribe();
        tell_watchers(kNothing);
    } else if (auto* down = std::get_if<client::LinkDown>(&event)) {
        spdlog::warn("no connection to the manager: {}", down->reason);
        if (connected_) since_wall_ms_ = wall_ms_now();
        connected_ = false;
        reason_ = down->reason;
        tell_watchers(kNothing);
    } else if (auto* unreadable = std::get_if<client::Unreadable>(&event)) {
        spdlog::warn("{}", unreadable->reason);
    } else {
        take(std::get<client::Received>(event).message);
    }
}

void AdminDesk::take(const Message& message) {
    if (const auto* update = std::get_if<AdminUpdate>(&message)) {
        return set_view(update->json);
    }
    const auto* reply = std::get_if<AdminReply>(&message);
    if (reply == nullptr) return;
    if (reply->request == watch_request_) {
        watch_refusal_ = reply->code == 0 ? "" : reply->text;
        if (reply->code == 0) return set_view(reply->json);
        spdlog::warn("the manager refuses the view: {}", reply->text);
        return tell_watchers(kNothing);
    }
    const auto open = calls_.find(reply->request);
    if (open == calls_.end()) return;
    open->second->reply = *reply;
    // The other parts of a view came before its answer.
    if (open->second->request.verb == "view" && reply->code == 0) {
        const client::ViewTexts whole = parts_.take(reply->json);
        if (!whole.empty()) open->second->reply->json = client::merged(whole);
    }
    open->second->wakeup.wake();
}

void AdminDesk::set_view(std::string part) {
    client::ViewTexts whole = parts_.take(std::move(part));
    if (whole.empty()) return;
    view_ = std::move(whole);
    view_wall_ms_ = wall_ms_now();
    auto fresh = watchers_.empty() ? std::nullopt : client::IndexedView::read(view_);
    const std::string changes = fresh && indexed_ ? fresh->changes_since(*indexed_) : std::string();
    indexed_ = std::move(fresh);
    tell_watchers(changes);
}

std::string AdminDesk::head() const {
    const nlohmann::json head = {{"connected", connected_},
                                 {"number", newest_.number},
                                 {"reason", watch_refusal_.empty() ? reason_ : watch_refusal_},
                                 {"since_wall_ms", since_wall_ms_},
                                 {"view_wall_ms", view_wall_ms_}};
    std::string text = head.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    text.pop_back();
    return text;
}

void AdminDesk::tell_watchers(const std::string& changes) {
    if (watchers_.empty()) return;
    ++newest_.number;
    // The view is passed on as it came, without being parsed: it is the largest text here.
    std::string text = head() + ",\"view\":" + (view_.empty() ? "null" : view_.front()) + ",\"more\":[";
    for (std::size_t i = 1; i < view_.size(); ++i) text += (i > 1 ? "," : "") + view_[i];
    newest_.whole = std::make_shared<const std::string>(text + "]}");
    newest_.change = changes.empty() ? nullptr : std::make_shared<const std::string>(head() + ",\"changes\":" + changes + "}");
    for (const auto& watcher : watchers_) watcher->offer(newest_);
}

void AdminDesk::add_watcher(std::shared_ptr<EventSocket> page) {
    watchers_.insert(std::move(page));
    if (watchers_.size() == 1 && connected_) subscribe();
    tell_watchers(kNothing);
}

void AdminDesk::remove_watcher(const std::shared_ptr<EventSocket>& page) { watchers_.erase(page); }

void AdminDesk::subscribe() {
    watch_request_ = client::new_request_id();
    link_->send(AdminRequest{watch_request_, "watch", {}});
}

asio::awaitable<void> AdminDesk::keep_subscribed() {
    while (!stopped_) {
        co_await renewal_.wait_until(Clock::now() + kRenew);
        if (!stopped_ && connected_ && !watchers_.empty()) subscribe();
    }
}

asio::awaitable<Result<AdminReply>> AdminDesk::call(std::string verb, std::vector<std::string> arguments) {
    if (calls_.size() >= limits::kOpenCalls) {
        co_return failure(ErrorCode::limit, "too many acts are waiting for the manager; try again in a moment");
    }
    if (!connected_) co_return failure(ErrorCode::unavailable, "not sent: " + reason_);
    OpenCall open(context_);
    open.request = {client::new_request_id(), std::move(verb), std::move(arguments)};
    open.sent = true;
    calls_[open.request.request] = &open;
    link_->send(open.request);
    const auto deadline = Clock::now() + limits::kCallTime;
    while (!open.reply && !stopped_ && Clock::now() < deadline) co_await open.wakeup.wait_until(deadline);
    calls_.erase(open.request.request);
    if (open.reply) co_return std::move(*open.reply);
    co_return failure(ErrorCode::unknown_outcome,
                      "the manager did not answer; \"" + open.request.verb + "\" may or may not have happened: look at the view");
}

}  // namespace understudy::gateway
