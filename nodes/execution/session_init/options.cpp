// See options.hpp.
#include "options.hpp"

#include <cstdlib>
#include <string_view>

namespace understudy::session {

bool parse(int count, char** words, Options& options) {
    int at = 0;
    for (; at + 1 < count && std::string_view(words[at]) != "--"; at += 2) {
        const std::string_view name = words[at];
        const char* const value = words[at + 1];
        if (name == "--root") options.root = value;
        else if (name == "--host-name") options.host_name = value;
        else if (name == "--geometry") options.geometry = value;
        else if (name == "--user-name") options.user_name = value;
        else if (name == "--home") options.home = value;
        else if (name == "--environment") options.environment = value;
        else if (name == "--user") options.user = static_cast<uid_t>(std::strtoul(value, nullptr, 10));
        else if (name == "--group") options.group = static_cast<gid_t>(std::strtoul(value, nullptr, 10));
        else if (name == "--status") options.status = std::atoi(value);
        else return false;
    }
    if (at >= count || std::string_view(words[at]) != "--") return false;
    for (++at; at < count; ++at) options.command.emplace_back(words[at]);
    return !options.root.empty();
}

std::vector<std::string> to_words(const Options& options) {
    std::vector<std::string> words{"--root", options.root, "--host-name", options.host_name, "--geometry", options.geometry,
                                   "--user-name", options.user_name, "--home", options.home, "--environment", options.environment,
                                   "--user", std::to_string(options.user), "--group", std::to_string(options.group),
                                   "--status", std::to_string(options.status), "--"};
    words.insert(words.end(), options.command.begin(), options.command.end());
    return words;
}

}  // namespace understudy::session
