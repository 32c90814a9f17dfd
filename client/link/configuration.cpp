// See configuration.hpp.
#include "client/link/configuration.hpp"

#include <cstdlib>
#include <filesystem>

namespace understudy::client {
namespace {

Result<KeyPair> take_keys(const OptionFile& file) {
    const auto key_file = file.text("key_file");
    if (!key_file) return tl::unexpected(key_file.error());
    if (*key_file) {
        auto keys = read_key_file(file.resolved(**key_file));
        if (!keys) return file.complaint("key_file", "cannot be used: " + keys.error().message);
        return keys;
    }
    KeyPair keys;
    for (const auto& [option, target] : {std::pair{"public_key", &keys.public_key}, std::pair{"secret_key", &keys.secret_key}}) {
        auto text = file.text(option);
        if (!text) return tl::unexpected(text.error());
        if (!*text) {
            return file.complaint(option, "is missing: give it, or key_file (made by: understudy keys new --out FILE)");
        }
        if (!is_curve_key(**text)) return file.complaint(option, "is not a CURVE key (40 characters of Z85)");
        *target = **text;
    }
    return keys;
}

}  // namespace

Result<Configuration> take_configuration(const OptionFile& file) {
    Configuration configuration;
    auto manager = file.required_text("manager");
    if (!manager) return tl::unexpected(manager.error());
    if (!manager->starts_with("tcp://") && !manager->starts_with("ipc://")) {
        return file.complaint("manager", "must be an address like \"tcp://127.0.0.1:7400\"");
    }
    configuration.manager = std::move(*manager);
    auto manager_key = file.required_text("manager_key");
    if (!manager_key) return tl::unexpected(manager_key.error());
    if (!is_curve_key(*manager_key)) {
        return file.complaint("manager_key", "is not a CURVE key (40 characters of Z85)");
    }
    configuration.manager_key = std::move(*manager_key);
    auto keys = take_keys(file);
    if (!keys) return tl::unexpected(keys.error());
    configuration.keys = std::move(*keys);
    return configuration;
}

Result<Configuration> load_configuration(const std::string& path) {
    const auto file = OptionFile::read(path);
    if (!file) return tl::unexpected(file.error());
    const auto known = file->only({"manager", "manager_key", "public_key", "secret_key", "key_file",
                                   "gateway.*", "terminal.*"});
    if (!known) return tl::unexpected(known.error());
    return take_configuration(*file);
}

Result<std::string> find_configuration(const std::string& given) {
    if (!given.empty()) return given;
    if (const char* named = std::getenv("UNDERSTUDY_CONFIG"); named != nullptr && *named != '\0') return named;
    std::string tried;
    const char* home = std::getenv("HOME");
    for (const std::string& path :
         {home == nullptr ? std::string() : std::string(home) + "/.config/understudy/client.toml",
          std::string("/etc/understudy/client.toml")}) {
        if (path.empty()) continue;
        std::error_code ignored;
        if (std::filesystem::exists(path, ignored)) return path;
        tried += (tried.empty() ? "" : ", ") + path;
    }
    return failure(ErrorCode::not_found, "no configuration found (looked at $UNDERSTUDY_CONFIG, " + tried +
                                             "): name one with --config FILE");
}

}  // namespace understudy::client
