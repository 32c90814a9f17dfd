// See log_in_guard.hpp.
#include "client/gateway/log_in_guard.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace understudy::gateway {
namespace {

std::chrono::seconds delay_after(int failures, const Patience& patience) {
    const int beyond = failures - patience.free_attempts;
    if (beyond < 0) return std::chrono::seconds(0);
    constexpr int kLargestShift = 20;
    return std::min(patience.longest, std::chrono::seconds(std::int64_t{1} << std::min(beyond, kLargestShift)));
}

}  // namespace

std::chrono::seconds LogInGuard::wait_of(const Book& book, const std::string& name, Time now) {
    const auto found = book.find(name);
    if (found == book.end() || found->second.until <= now) return std::chrono::seconds(0);
    return std::chrono::ceil<std::chrono::seconds>(found->second.until - now);
}

void LogInGuard::count(Book& book, const std::string& name, const Patience& patience, Time now) {
    if (!book.contains(name) && book.size() >= kRemembered) {
        std::erase_if(book, [&](const auto& one) { return now - one.second.last >= kForgotten; });
        // Whoever is not locked out is forgotten first.
        if (book.size() >= kRemembered) {
            book.erase(std::min_element(book.begin(), book.end(), [](const auto& a, const auto& b) {
                return std::pair(a.second.until, a.second.last) < std::pair(b.second.until, b.second.last);
            }));
        }
    }
    Record& record = book[name];
    if (now - record.last >= kForgotten) record.failures = 0;
    ++record.failures;
    record.last = now;
    record.until = now + delay_after(record.failures, patience);
}

std::optional<std::chrono::seconds> LogInGuard::attempt(const std::string& account, const std::string& address, Time now) {
    const auto wait = std::max(wait_of(accounts_, account, now), wait_of(addresses_, address, now));
    if (wait.count() > 0) return wait;
    count(accounts_, account, kAccount, now);
    count(addresses_, address, kAddress, now);
    return std::nullopt;
}

void LogInGuard::succeeded(const std::string& account, const std::string& address) {
    accounts_.erase(account);
    const auto found = addresses_.find(address);
    if (found == addresses_.end()) return;
    if (--found->second.failures <= 0) addresses_.erase(found);
    else found->second.until = found->second.last;
}

bool LogInGuard::locks(const std::string& account, const std::string& address, Time now) const {
    return wait_of(accounts_, account, now).count() > 0 || wait_of(addresses_, address, now).count() > 0;
}

}  // namespace understudy::gateway
