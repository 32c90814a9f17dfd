// The files the gateway serves: its own pages, which are part of the program, and noVNC from where the
// system's package put it. Plain values; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace understudy::gateway {

struct Asset {
    std::string body;
    std::string type;  ///< for Content-Type
};

/// Pages built into the program, by file name. Made by embed.cmake.
[[nodiscard]] const std::map<std::string, std::string_view>& embedded_pages();

class Assets {
public:
    /// `pages`: a folder to read our pages from instead of the built-in ones, for those who work on
    /// them; empty: the built-in ones. `novnc`: folder of noVNC.
    Assets(std::string pages, std::string novnc) : pages_(std::move(pages)), novnc_(std::move(novnc)) {}

    [[nodiscard]] std::optional<Asset> page(const std::string& name) const;
    [[nodiscard]] std::optional<Asset> novnc(const std::string& path) const;

private:
    std::string pages_;
    std::string novnc_;
};

/// True if a path from a request may be looked up below a folder: plain names, no way up, nothing hidden.
[[nodiscard]] bool is_plain_path(std::string_view path);

}  // namespace understudy::gateway
