// See assets.hpp.
#include "client/gateway/assets.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "client/gateway/limits.hpp"

namespace understudy::gateway {
namespace {

std::string type_of(const std::string& name) {
    static const std::map<std::string, std::string> kTypes = {
        {".html", "text/html; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"}, {".svg", "image/svg+xml"},
        {".png", "image/png"}, {".json", "application/json"}};
    const auto found = kTypes.find(std::filesystem::path(name).extension().string());
    return found == kTypes.end() ? "application/octet-stream" : found->second;
}

std::optional<Asset> read_below(const std::string& folder, const std::string& path) {
    if (!is_plain_path(path)) return std::nullopt;
    const std::filesystem::path file = std::filesystem::path(folder) / path;
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) return std::nullopt;
    if (std::filesystem::file_size(file, error) > limits::kStaticFileBytes || error) return std::nullopt;
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return std::nullopt;
    return Asset{std::string(std::istreambuf_iterator<char>(stream), {}), type_of(path)};
}

}  // namespace

bool is_plain_path(std::string_view path) {
    if (path.empty() || path.front() == '/' || path.back() == '/') return false;
    char before = '/';
    for (const char c : path) {
        const bool fine = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
        // No component starts with a dot, which covers "..", and none is empty.
        if (!fine || (before == '/' && (c == '.' || c == '/'))) return false;
        before = c;
    }
    return true;
}

std::optional<Asset> Assets::page(const std::string& name) const {
    if (!pages_.empty()) return read_below(pages_, name);
    const auto found = embedded_pages().find(name);
    if (found == embedded_pages().end()) return std::nullopt;
    return Asset{std::string(found->second), type_of(name)};
}

std::optional<Asset> Assets::novnc(const std::string& path) const { return read_below(novnc_, path); }

}  // namespace understudy::gateway
