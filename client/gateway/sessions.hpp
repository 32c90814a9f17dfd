// Who is logged in. A session is a random token in a browser's cookie; here only its hash is kept, in memory and in
// a file, so that a restart of the gateway logs nobody out and a stolen file lets nobody in. Values; the time is given.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/result.hpp"

namespace understudy::gateway {

inline constexpr std::int64_t kSessionSeconds = 7 * 24 * 3600;   ///< from the log-in
inline constexpr std::int64_t kSessionRestSeconds = 12 * 3600;   ///< without any request
inline constexpr std::size_t kSessionsPerAccount = 32;           ///< the oldest ends when there are more
inline constexpr std::size_t kSessionsInAll = 10000;

struct Session {
    std::string account;
    std::string stamp;       ///< Account::stamp() when it began
    std::int64_t began_s = 0;
    std::int64_t used_s = 0;
    bool operator==(const Session&) const = default;
};

class Sessions {
public:
    /// Returns the token for the cookie.
    [[nodiscard]] std::string begin(const std::string& account, const std::string& stamp, std::int64_t now_s);

    /// By the hash of a token, as hash_key() makes it; nothing if it is unknown or has run out. Using it keeps it alive.
    [[nodiscard]] const Session* use(const std::string& hash, std::int64_t now_s);
    /// The same without keeping it alive.
    [[nodiscard]] const Session* look(const std::string& hash, std::int64_t now_s) const;

    void end(const std::string& hash) { changed_ = sessions_.erase(hash) > 0 || changed_; }
    /// Forgets what has run out.
    void forget(std::int64_t now_s);

    /// True once after every change that the file does not have yet.
    [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }
    [[nodiscard]] std::string text() const;
    /// Errors: `damaged`.
    [[nodiscard]] static Result<Sessions> parse(std::string_view text);

private:
    void make_room(const std::string& account);
    std::map<std::string, Session> sessions_;  ///< by hash of the token
    bool changed_ = false;
};

}  // namespace understudy::gateway
