// One table of a TOML file, read option by option; every complaint names file, line, option and what is
// allowed. Heavy: include it in .cpp files only. Not shared between threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "protocol/time.hpp"

namespace understudy::manager {

/// Where complaints gather, in the order they were found.
struct Complaints {
    std::string file;
    std::vector<std::string> lines;
    /// `line` 0: not known.
    void add(std::uint32_t line, const std::string& what);
};

class OptionTable {
  public:
    /// `name` as people write it: "[timing]" or "[[host]] alpha". The table and the complaints outlive this.
    OptionTable(const toml::table& table, std::string name, Complaints& complaints);

    /// Each returns what is there, or `otherwise` when it is absent or wrong (and then complains).
    std::string text(std::string_view option, std::string otherwise);
    /// Complains when it is absent or empty.
    std::string required_text(std::string_view option);
    std::uint32_t number(std::string_view option, std::uint32_t lowest, std::uint32_t highest, std::uint32_t otherwise);
    std::uint64_t long_number(std::string_view option, std::uint64_t lowest, std::uint64_t highest, std::uint64_t otherwise);
    Duration duration_ms(std::string_view option, std::uint32_t lowest, std::uint32_t highest, Duration otherwise);
    /// A moment such as 2026-12-24T18:00:00Z, with its offset; in Unix milliseconds. Complains when it is absent.
    std::int64_t required_moment(std::string_view option);
    std::vector<std::string> texts(std::string_view option);
    std::vector<std::uint32_t> numbers(std::string_view option, std::uint32_t lowest, std::uint32_t highest);

    /// One of a few words; gives the value that belongs to it.
    template <class Value>
    Value choice(std::string_view option, std::initializer_list<std::pair<std::string_view, Value>> words, Value otherwise) {
        const std::string word = text(option, {});
        if (!has(option)) return otherwise;
        std::string allowed;
        for (const auto& [name, value] : words) {
            if (name == word) return value;
            allowed += (allowed.empty() ? "" : ", ") + std::string(name);
        }
        complain(option, "must be one of: " + allowed);
        return otherwise;
    }

    /// Calls `body` for each table of an array of tables such as [[profile.application]].
    void each(std::string_view option, const std::function<void(const toml::table&)>& body);

    [[nodiscard]] bool has(std::string_view option) const { return table_.contains(option); }
    [[nodiscard]] const toml::table& table() const { return table_; }
    /// The option exists and is read elsewhere.
    void note(std::string_view option) { known_.emplace(option); }
    void complain(std::string_view option, const std::string& what);
    /// Complains about every option that nobody asked for; lists those that exist.
    void finish();

  private:
    const toml::node* find(std::string_view option);

    const toml::table& table_;
    std::string name_;
    Complaints& complaints_;
    std::set<std::string, std::less<>> known_;
};

}  // namespace understudy::manager
