// See host_uri.hpp.
#include "manager/runtime/host_uri.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace understudy::manager {
namespace {

constexpr std::size_t kLongest = 1024;
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool only(std::string_view text, std::string_view more) {
    return std::all_of(text.begin(), text.end(), [more](char c) { return kLetters.find(c) != std::string_view::npos || more.find(c) != std::string_view::npos; });
}

/// What a program that is given it as an argument could take for an option is none.
bool plain(std::string_view text, std::string_view more) { return !text.empty() && text.front() != '-' && only(text, more); }

bool is_port(std::string_view text) { return !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string_view::npos; }

bool good_authority(std::string_view text) {
    if (text.empty()) return true;
    if (const auto at = text.find('@'); at != std::string_view::npos) {
        if (!plain(text.substr(0, at), "._-")) return false;
        text.remove_prefix(at + 1);
    }
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos || !is_machine_address(std::string(text.substr(1, end - 1)))) return false;
        text.remove_prefix(end + 1);
        return text.empty() || (text.front() == ':' && is_port(text.substr(1)));
    }
    const auto colon = text.find(':');
    if (colon != std::string_view::npos && !is_port(text.substr(colon + 1))) return false;
    return is_machine_address(std::string(text.substr(0, colon)));
}

}  // namespace

bool is_machine_address(const std::string& address) {
    return address.size() <= 255 && (plain(address, ".-") || (address.find(':') != std::string::npos && only(address, ":.")));
}

std::string refusal_of_uri(const std::string& uri) {
    const std::string_view text = uri;
    const auto scheme_end = text.find("://");
    if (text.size() > kLongest || scheme_end == std::string_view::npos) return "is not a URI such as qemu:///system or qemu+ssh://root@alpha/system";
    constexpr std::array<std::string_view, 8> kSchemes{"qemu", "qemu+unix", "qemu+tls", "qemu+ssh", "qemu+libssh", "qemu+libssh2", "qemu+tcp", "test"};
    const std::string_view scheme = text.substr(0, scheme_end);
    if (std::find(kSchemes.begin(), kSchemes.end(), scheme) == kSchemes.end()) {
        return "begins with " + std::string(scheme) + ", and may begin with qemu or test, and go by unix, tls, ssh, libssh, libssh2 or tcp";
    }
    if (text.find_first_of("?#") != std::string_view::npos) {
        return "has options after a ? or #: they name programs and files on the manager's machine, so they are for its configuration";
    }
    const std::string_view rest = text.substr(scheme_end + 3);
    const auto slash = rest.find('/');
    if (!good_authority(rest.substr(0, slash))) return "does not name a machine as [user@]host[:port]";
    if (slash != std::string_view::npos && !only(rest.substr(slash), "/_.-")) return "has a path with more than letters, digits, '/', '_', '.' and '-'";
    return {};
}

}  // namespace understudy::manager
