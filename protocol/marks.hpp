// Coverage marks: a line such as UNDERSTUDY_MARK("failover.promote_newest") counts how often a decision was
// taken, so that a batch of simulations can show that every branch was reached. Without UNDERSTUDY_MARKS
// (that is, in everything that ships) a mark is nothing. The counters belong to the thread that hits them.
#pragma once

#ifdef UNDERSTUDY_MARKS

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace understudy::marks {

/// This thread's counters, by name.
inline std::map<std::string, std::uint64_t, std::less<>>& counters() {
    thread_local std::map<std::string, std::uint64_t, std::less<>> table;
    return table;
}

/// The counter of one mark; it stays where it is as long as the thread lives.
inline std::uint64_t& counter(std::string_view name) {
    auto& table = counters();
    const auto at = table.find(name);
    return at != table.end() ? at->second : table.emplace(std::string(name), 0).first->second;
}

}  // namespace understudy::marks

#define UNDERSTUDY_MARK(name)                                                                     \
    do {                                                                                          \
        thread_local std::uint64_t& understudy_mark_counter = ::understudy::marks::counter(name); \
        ++understudy_mark_counter;                                                                \
    } while (false)

#else
#define UNDERSTUDY_MARK(name) \
    do {                      \
    } while (false)
#endif
