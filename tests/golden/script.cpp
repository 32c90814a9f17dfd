// See script.hpp.
#include "tests/golden/script.hpp"

#include <charconv>
#include <sstream>

namespace understudy::golden {
namespace {

/// Words of one line; quotes keep spaces together, '#' outside of quotes ends the line.
std::vector<std::string> words_of(const std::string& line, int number) {
    std::vector<std::string> words;
    std::string word;
    bool quoted = false;
    bool begun = false;
    for (const char c : line) {
        if (c == '"') {
            quoted = !quoted;
            begun = true;
        } else if (!quoted && c == '#') {
            break;
        } else if (!quoted && (c == ' ' || c == '\t')) {
            if (begun) words.push_back(std::move(word));
            word.clear();
            begun = false;
        } else {
            word += c;
            begun = true;
        }
    }
    if (quoted) throw ScriptError("line " + std::to_string(number) + ": a quotation mark is not closed");
    if (begun) words.push_back(std::move(word));
    return words;
}

std::string trimmed(const std::string& line) {
    const auto first = line.find_first_not_of(" \t");
    if (first == std::string::npos) return {};
    const auto comment = line.find('#');
    const auto last = line.find_last_not_of(" \t", comment == std::string::npos ? std::string::npos : comment - 1);
    return line.substr(first, last - first + 1);
}

bool is_option(const std::string& word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) return false;
    return word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == equals;
}

}  // namespace

const std::string& Statement::word(std::size_t index, const char* what) const {
    if (index >= words.size()) fail(std::string("missing: ") + what);
    return words[index];
}

std::string Statement::option(const std::string& key, const std::string& fallback) const {
    const auto found = options.find(key);
    return found == options.end() ? fallback : found->second;
}

std::uint64_t Statement::number(const std::string& key, std::uint64_t fallback) const {
    const auto found = options.find(key);
    return found == options.end() ? fallback : parse_number(found->second);
}

Duration Statement::duration(const std::string& key, Duration fallback) const {
    const auto found = options.find(key);
    return found == options.end() ? fallback : parse_duration(found->second);
}

void Statement::fail(const std::string& why) const {
    throw ScriptError("line " + std::to_string(line) + " ('" + text + "'): " + why);
}

std::vector<Statement> parse_script(const std::string& content) {
    std::vector<Statement> statements;
    std::istringstream lines(content);
    std::string line;
    Duration latest{0};
    for (int number = 1; std::getline(lines, line); ++number) {
        std::vector<std::string> words = words_of(line, number);
        if (words.empty()) continue;
        Statement statement;
        statement.line = number;
        statement.text = trimmed(line);
        if (words[0] == "at") {
            if (words.size() < 3) throw ScriptError("line " + std::to_string(number) + ": 'at TIME verb …' is expected");
            statement.timed = true;
            statement.at = parse_duration(words[1]);
            if (statement.at < latest) throw ScriptError("line " + std::to_string(number) + ": time falls");
            latest = statement.at;
            words.erase(words.begin(), words.begin() + 2);
            const auto behind = statement.text.find_first_of(" \t", statement.text.find_first_not_of(" \t", 2));
            statement.text = statement.text.substr(statement.text.find_first_not_of(" \t", behind));
        }
        for (std::string& word : words) {
            if (!is_option(word)) {
                statement.words.push_back(std::move(word));
                continue;
            }
            const auto equals = word.find('=');
            statement.options[word.substr(0, equals)] = word.substr(equals + 1);
        }
        if (statement.words.empty()) statement.fail("a verb is missing");
        statements.push_back(std::move(statement));
    }
    return statements;
}

std::uint64_t parse_number(const std::string& text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) throw ScriptError("'" + text + "' is not a number");
    return value;
}

Duration parse_duration(const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string unit(end, text.data() + text.size());
    if (error == std::errc()) {
        if (unit == "ms") return Duration(static_cast<std::int64_t>(value * 1e3 + 0.5));
        if (unit == "s") return Duration(static_cast<std::int64_t>(value * 1e6 + 0.5));
        if (unit == "m") return Duration(static_cast<std::int64_t>(value * 60e6 + 0.5));
        if (unit == "h") return Duration(static_cast<std::int64_t>(value * 3600e6 + 0.5));
    }
    throw ScriptError("'" + text + "' is not a time such as 1.5s, 300ms, 2m or 1h");
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    std::string part;
    while (std::getline(stream, part, separator)) {
        if (!part.empty()) parts.push_back(part);
    }
    return parts;
}

}  // namespace understudy::golden
