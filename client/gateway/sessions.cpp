// See sessions.hpp.
#include "client/gateway/sessions.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "client/gateway/accounts.hpp"

namespace understudy::gateway {
namespace {

using Json = nlohmann::json;

constexpr int kSessionsFormat = 1;
constexpr std::int64_t kNoted = 60;  ///< seconds: how exactly the last use is kept

bool has_run_out(const Session& session, std::int64_t now_s) {
    return now_s >= session.began_s + kSessionSeconds || now_s >= session.used_s + kSessionRestSeconds;
}

}  // namespace

std::string Sessions::begin(const std::string& account, const std::string& stamp, std::int64_t now_s) {
    make_room(account);
    std::string token = make_key();
    sessions_[hash_key(token)] = Session{account, stamp, now_s, now_s};
    changed_ = true;
    return token;
}

void Sessions::make_room(const std::string& account) {
    const auto older = [](const auto& a, const auto& b) { return a.second.used_s < b.second.used_s; };
    const auto own = [&](const auto& one) { return one.second.account == account; };
    if (static_cast<std::size_t>(std::count_if(sessions_.begin(), sessions_.end(), own)) >= kSessionsPerAccount) {
        auto oldest = std::find_if(sessions_.begin(), sessions_.end(), own);
        for (auto one = oldest; one != sessions_.end(); ++one) {
            if (own(*one) && older(*one, *oldest)) oldest = one;
        }
        sessions_.erase(oldest);
    }
    if (sessions_.size() >= kSessionsInAll) sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(), older));
}

const Session* Sessions::look(const std::string& hash, std::int64_t now_s) const {
    const auto found = sessions_.find(hash);
    return found == sessions_.end() || has_run_out(found->second, now_s) ? nullptr : &found->second;
}

const Session* Sessions::use(const std::string& hash, std::int64_t now_s) {
    const auto found = sessions_.find(hash);
    if (found == sessions_.end() || has_run_out(found->second, now_s)) return nullptr;
    if (now_s >= found->second.used_s + kNoted) {
        found->second.used_s = now_s;
        changed_ = true;
    }
    return &found->second;
}

void Sessions::forget(std::int64_t now_s) {
    if (std::erase_if(sessions_, [&](const auto& one) { return has_run_out(one.second, now_s); }) > 0) changed_ = true;
}

std::string Sessions::text() const {
    Json list = Json::array();
    for (const auto& [hash, one] : sessions_) {
        list.push_back({{"hash", hash}, {"account", one.account}, {"stamp", one.stamp}, {"began_s", one.began_s}, {"used_s", one.used_s}});
    }
    return Json{{"format", kSessionsFormat}, {"sessions", list}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Sessions> Sessions::parse(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    const auto damaged = [] { return failure(ErrorCode::damaged, "this is no list of sessions that this program can read"); };
    if (!json.is_object() || json.value("format", Json()) != kSessionsFormat || !json.contains("sessions") || !json["sessions"].is_array()) return damaged();
    Sessions sessions;
    for (const Json& one : json["sessions"]) {
        if (!one.is_object()) return damaged();
        for (const char* field : {"hash", "account", "stamp"}) {
            if (!one.contains(field) || !one[field].is_string()) return damaged();
        }
        for (const char* field : {"began_s", "used_s"}) {
            if (!one.contains(field) || !one[field].is_number_integer()) return damaged();
        }
        sessions.sessions_[one["hash"]] = Session{one["account"], one["stamp"], one["began_s"], one["used_s"]};
    }
    return sessions;
}

}  // namespace understudy::gateway
