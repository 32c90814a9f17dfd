// See audit.hpp.
#include "client/gateway/audit.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <nlohmann/json.hpp>

#include "client/gateway/private_file.hpp"
#include "streams/owned_fd.hpp"

namespace understudy::gateway {
namespace {

using Json = nlohmann::json;

constexpr off_t kLookedAt = 4 * 1024 * 1024;
constexpr std::array<std::string_view, 5> kSecretWords = {"passw", "secret", "token", "key", "credential"};

std::string time_text(std::int64_t wall_ms) {
    const std::time_t seconds = wall_ms / 1000;
    std::tm broken{};
    ::gmtime_r(&seconds, &broken);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &broken);
    return text.data();
}

/// "options=plug=7,passwd=x": from the first name that smells of a secret on, values are nobody's business.
std::string without_secrets(const std::string& argument) {
    std::string low = argument;
    std::transform(low.begin(), low.end(), low.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::size_t from = std::string::npos;
    for (const std::string_view word : kSecretWords) {
        const auto at = low.find(word);
        const auto equals = at == std::string::npos ? std::string::npos : low.find('=', at);
        from = std::min(from, equals);
    }
    return from == std::string::npos ? argument : argument.substr(0, from + 1) + "(hidden)";
}

tl::unexpected<Error> cannot(const std::string& path, int error) {
    return failure(ErrorCode::unavailable, "it cannot be recorded in " + path + ": " + std::strerror(error));
}

}  // namespace

std::string audit_path(const std::string& state_dir) { return state_dir + "/audit.log"; }

std::string audit_line(const AuditEntry& entry, std::int64_t wall_ms) {
    Json json{{"time", time_text(wall_ms)}, {"wall_ms", wall_ms}, {"event", entry.event}};
    for (const auto& [field, value] : {std::pair{"id", &entry.id}, std::pair{"who", &entry.who}, std::pair{"role", &entry.role},
                                       std::pair{"address", &entry.address}, std::pair{"verb", &entry.verb},
                                       std::pair{"reason", &entry.reason}, std::pair{"result", &entry.result}}) {
        if (!value->empty()) json[field] = *value;
    }
    for (const std::string& argument : entry.arguments) json["arguments"].push_back(without_secrets(argument));
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<> append_audit(const std::string& path, const std::string& line) {
    const streams::OwnedFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
    struct stat before{};
    if (file.get() < 0 || ::flock(file.get(), LOCK_EX) != 0 || ::fstat(file.get(), &before) != 0) return cannot(path, errno);
    if (before.st_size == 0) {
        if (auto given = give_to_owner_of_folder(file.get(), path); !given) return given;
    }
    const std::string text = line + "\n";
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    const int error = written < 0 ? errno : ENOSPC;
    if (written != static_cast<ssize_t>(text.size())) {
        if (written > 0 && ::ftruncate(file.get(), before.st_size) != 0) return cannot(path, errno);
        return cannot(path, error);
    }
    if (::fsync(file.get()) != 0) return cannot(path, errno);
    return {};
}

Result<std::string> newest_audit(const std::string& path, std::size_t most) {
    const streams::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0 && errno == ENOENT) return std::string("[]");
    struct stat found{};
    if (file.get() < 0 || ::fstat(file.get(), &found) != 0) return failure(ErrorCode::failed, "cannot read " + path + ": " + std::strerror(errno));
    const off_t from = std::max<off_t>(0, found.st_size - kLookedAt);
    std::string text(static_cast<std::size_t>(found.st_size - from), '\0');
    const ssize_t length = ::pread(file.get(), text.data(), text.size(), from);
    if (length < 0) return failure(ErrorCode::failed, "cannot read " + path + ": " + std::strerror(errno));
    text.resize(static_cast<std::size_t>(length));
    Json list = Json::array();
    while (!text.empty() && list.size() < most) {
        if (text.back() == '\n') text.pop_back();
        const auto end = text.rfind('\n');
        const Json entry = Json::parse(end == std::string::npos ? text : text.substr(end + 1), nullptr, false);
        if (entry.is_object()) list.push_back(entry);
        text.resize(end == std::string::npos ? 0 : end + 1);
    }
    return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace understudy::gateway
