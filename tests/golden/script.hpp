// The language of golden scripts: one statement per line, "at 1.5s verb words… key=value", '#' starts a
// comment. Statements without "at" stand before the clock runs (settings, hosts, pools, …). Pure values.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "protocol/time.hpp"

namespace understudy::golden {

/// A script that makes no sense; what() names line and reason. Ends at main().
struct ScriptError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Statement {
    int line = 0;
    bool timed = false;
    Duration at{0};
    std::vector<std::string> words;              ///< the verb first; a "quoted text" is one word
    std::map<std::string, std::string> options;  ///< key=value
    std::string text;                            ///< as written, behind the time

    /// The word at `index`. Throws ScriptError, naming `what`, when it is missing.
    [[nodiscard]] const std::string& word(std::size_t index, const char* what) const;
    [[nodiscard]] std::string option(const std::string& key, const std::string& fallback) const;
    [[nodiscard]] std::uint64_t number(const std::string& key, std::uint64_t fallback) const;
    [[nodiscard]] Duration duration(const std::string& key, Duration fallback) const;
    [[noreturn]] void fail(const std::string& why) const;
};

/// Throws ScriptError: unreadable line, times that fall.
[[nodiscard]] std::vector<Statement> parse_script(const std::string& content);

/// "1.5s", "300ms", "2m", "1h". Throws ScriptError.
[[nodiscard]] Duration parse_duration(const std::string& text);
[[nodiscard]] std::uint64_t parse_number(const std::string& text);
[[nodiscard]] std::vector<std::string> split(const std::string& text, char separator);

}  // namespace understudy::golden
