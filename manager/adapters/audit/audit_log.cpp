// See audit_log.hpp.
#include "manager/adapters/audit/audit_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>

#include "manager/adapters/system/files.hpp"
#include "manager/runtime/unique_fd.hpp"
#include "protocol/limits.hpp"

namespace understudy::manager {
namespace {

using Json = nlohmann::ordered_json;

constexpr off_t kMostRead = 1024 * 1024;
constexpr std::size_t kMostAnswered = limits::kStringBytes * 3 / 4;  ///< an answer is one text of a message

std::string time_text(std::int64_t wall_ms) {
    const std::time_t seconds = static_cast<std::time_t>(wall_ms / 1000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    const std::string milliseconds = std::to_string(1000 + wall_ms % 1000).substr(1);
    return std::string(text, size) + "." + milliseconds + "Z";
}

/// Whatever somebody typed, it is one line of valid UTF-8.
std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

/// Whether the last line has its end.
bool ends_whole(int file, off_t size) {
    char last = '\n';
    return size == 0 || ::pread(file, &last, 1, size - 1) != 1 || last == '\n';
}

Result<std::string> tail_of(const std::string& path, bool& whole) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    whole = true;
    if (!file && errno == ENOENT) return std::string();
    struct stat about{};
    if (!file || ::fstat(file.get(), &about) != 0) return system_failure("read " + path);
    whole = about.st_size <= kMostRead;
    const off_t from = whole ? 0 : about.st_size - kMostRead;
    std::string text(static_cast<std::size_t>(about.st_size - from), '\0');
    std::size_t have = 0;
    while (have < text.size()) {
        const ssize_t got = ::pread(file.get(), text.data() + have, text.size() - have, from + static_cast<off_t>(have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_failure("read " + path);
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    text.resize(have);
    if (!whole) text.erase(0, text.find('\n') + 1);
    return text;
}

}  // namespace

std::string audit_line(const AuditEntry& entry) {
    Json json{{"id", entry.id}, {"at", time_text(entry.wall_ms)}, {"who", entry.who}, {"role", entry.role}};
    if (!entry.by.empty()) json["by"] = entry.by;
    json["verb"] = entry.verb;
    json["arguments"] = entry.arguments;
    json["reason"] = entry.reason;
    return line_of(json);
}

std::string audit_line(const AuditResult& result) {
    const bool unknown = result.code == static_cast<std::uint32_t>(ErrorCode::unknown_outcome);
    const char* word = result.code == 0 ? "done" : (unknown ? "unknown" : "refused");
    return line_of({{"id", result.id}, {"at", time_text(result.wall_ms)}, {"result", word}, {"code", result.code}, {"text", result.text}});
}

Result<> AuditLog::append(const std::string& lines) {
    const UniqueFd file(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    const UniqueFd look(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat about{};
    if (!file || ::fstat(file.get(), &about) != 0) return system_failure("write to " + path_);
    const std::string text = (look && !ends_whole(look.get(), about.st_size) ? "\n" : "") + lines;
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t wrote = ::write(file.get(), text.data() + done, text.size() - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return system_failure("write to " + path_);
        done += static_cast<std::size_t>(wrote);
    }
    if (::fdatasync(file.get()) != 0) return system_failure("write to " + path_);
    return {};
}

Result<std::string> AuditLog::newest(std::size_t count) const {
    bool complete = true;
    auto text = tail_of(path_, complete);
    if (!text) return text;
    std::vector<Json> entries;
    std::map<std::string, std::size_t> by_id;
    std::size_t from = 0;
    for (std::size_t end = text->find('\n'); end != std::string::npos; from = end + 1, end = text->find('\n', from)) {
        Json line = Json::parse(text->begin() + static_cast<std::ptrdiff_t>(from), text->begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
        if (!line.is_object() || !line.contains("id") || !line["id"].is_string()) continue;
        const std::string id = line["id"];
        if (line.contains("verb")) {
            by_id[id] = entries.size();
            entries.push_back(std::move(line));
        } else if (const auto known = by_id.find(id); known != by_id.end()) {
            line.erase("id");
            entries[known->second]["result"] = std::move(line);
        }
    }
    Json shown = Json::array();
    std::size_t bytes = 0;
    for (auto entry = entries.rbegin(); entry != entries.rend() && shown.size() < count; ++entry) {
        bytes += entry->dump(-1, ' ', false, Json::error_handler_t::replace).size() + 1;
        if (bytes > kMostAnswered) break;
        shown.push_back(std::move(*entry));
    }
    complete = complete && shown.size() == entries.size();
    return Json{{"entries", std::move(shown)}, {"complete", complete}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace understudy::manager
