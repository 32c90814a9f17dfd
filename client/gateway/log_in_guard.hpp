// Slows down guessing of passwords: every failure makes the wait before the next attempt longer, for the account
// that is tried and for the address that tries. Names that do not exist are treated as those that do. Values; the
// time is given.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>

namespace understudy::gateway {

/// When waiting begins, and where it stops to grow.
struct Patience {
    int free_attempts;
    std::chrono::seconds longest;
};

class LogInGuard {
public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr Patience kAccount{5, std::chrono::seconds(300)};
    static constexpr Patience kAddress{20, std::chrono::seconds(900)};
    static constexpr std::chrono::minutes kForgotten{60};   ///< without a failure
    static constexpr std::size_t kRemembered = 4096;        ///< accounts, and as many addresses

    /// Asks whether an attempt may be looked at, and counts it as failed until succeeded() says otherwise: attempts
    /// that are made at the same time must not all be the first. The time still to wait if it may not.
    [[nodiscard]] std::optional<std::chrono::seconds> attempt(const std::string& account, const std::string& address, Time now);

    /// The attempt was right. The account starts afresh; the address only has this attempt taken back, or somebody
    /// with an account of his own could go on guessing others for ever.
    void succeeded(const std::string& account, const std::string& address);

    /// Whether the attempt just made was the one after which waiting begins, or grows: worth a line in a log.
    [[nodiscard]] bool locks(const std::string& account, const std::string& address, Time now) const;

private:
    struct Record {
        int failures = 0;
        Time last{};
        Time until{};
    };
    using Book = std::map<std::string, Record>;
    static std::chrono::seconds wait_of(const Book& book, const std::string& name, Time now);
    static void count(Book& book, const std::string& name, const Patience& patience, Time now);
    Book accounts_;
    Book addresses_;
};

}  // namespace understudy::gateway
