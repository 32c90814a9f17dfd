// See configuration.hpp.
#include "client/gateway/configuration.hpp"

#include <algorithm>
#include <cctype>

namespace understudy::gateway {
namespace {

constexpr std::size_t kLongestName = 253;

/// Of an older gateway: whoever still has them must not believe that they open anything.
Result<> refuse_access_keys(const client::OptionFile& file) {
    for (const char* name : {"gateway.access_key", "gateway.access_key_file", "gateway.observer_key", "gateway.observer_key_file"}) {
        const auto value = file.text(name);
        if (!value || *value) {
            return file.complaint(name, "is of the time before there were accounts: take it out, then: understudy-gateway account add NAME --role ROLE for "
                                        "people, understudy-gateway key add NAME --role ROLE for programs");
        }
    }
    return {};
}

Result<> take_texts(const client::OptionFile& file, GatewayConfiguration& configuration) {
    for (const auto& [option, target] : {std::pair{"gateway.address", &configuration.address},
                                         std::pair{"gateway.port_file", &configuration.port_file},
                                         std::pair{"gateway.novnc", &configuration.novnc},
                                         std::pair{"gateway.pages", &configuration.pages},
                                         std::pair{"gateway.state_dir", &configuration.state_dir},
                                         std::pair{"gateway.certificate", &configuration.certificate},
                                         std::pair{"gateway.key", &configuration.key}}) {
        const auto value = file.text(option);
        if (!value) return tl::unexpected(value.error());
        if (*value) *target = **value;
    }
    if (configuration.state_dir.empty()) configuration.state_dir = "gateway-state";
    for (std::string* path : {&configuration.port_file, &configuration.novnc, &configuration.pages, &configuration.state_dir,
                              &configuration.certificate, &configuration.key}) {
        if (!path->empty()) *path = file.resolved(*path);
    }
    return {};
}

Result<> take_tls(const client::OptionFile& file, GatewayConfiguration& configuration) {
    const auto tls = file.text("gateway.tls");
    if (!tls) return tl::unexpected(tls.error());
    if (*tls && **tls != "on" && **tls != "off") return file.complaint("gateway.tls", "must be \"on\" or \"off\"");
    configuration.tls = *tls && **tls == "off" ? Tls::off : Tls::on;
    if (configuration.certificate.empty() != configuration.key.empty()) {
        return file.complaint(configuration.key.empty() ? "gateway.key" : "gateway.certificate",
                              "is missing: a certificate is of no use without its key, and the other way round");
    }
    auto names = file.texts("gateway.names");
    if (!names) return tl::unexpected(names.error());
    for (const std::string& name : *names) {
        const auto fine = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == ':' || c == '*'; };
        if (name.empty() || name.size() > kLongestName || !std::all_of(name.begin(), name.end(), fine)) {
            return file.complaint("gateway.names", "holds \"" + name + "\", which is neither a host name nor an address");
        }
        if (std::find(configuration.names.begin(), configuration.names.end(), name) == configuration.names.end()) configuration.names.push_back(name);
    }
    return {};
}

}  // namespace

Result<GatewayConfiguration> load_gateway_configuration(const std::string& path) {
    const auto file = client::OptionFile::read(path);
    if (!file) return tl::unexpected(file.error());
    const auto known = file->only({"manager", "manager_key", "public_key", "secret_key", "key_file", "terminal.*",
                                   "gateway.address", "gateway.port", "gateway.port_file", "gateway.access_key",
                                   "gateway.access_key_file", "gateway.observer_key", "gateway.observer_key_file", "gateway.novnc", "gateway.pages", "gateway.connections",
                                   "gateway.detach_after_s", "gateway.state_dir", "gateway.tls", "gateway.certificate", "gateway.key",
                                   "gateway.names", "gateway.connections_per_address", "gateway.connections_per_account"});
    if (!known) return tl::unexpected(known.error());
    GatewayConfiguration configuration;
    auto manager = client::take_configuration(*file);
    if (!manager) return tl::unexpected(manager.error());
    configuration.manager = std::move(*manager);
    if (const auto taken = take_texts(*file, configuration); !taken) return tl::unexpected(taken.error());
    if (const auto taken = take_tls(*file, configuration); !taken) return tl::unexpected(taken.error());
    if (const auto none = refuse_access_keys(*file); !none) return tl::unexpected(none.error());
    const auto port = file->number("gateway.port", 0, 65535, configuration.port);
    if (!port) return tl::unexpected(port.error());
    configuration.port = static_cast<std::uint16_t>(*port);
    const auto connections = file->number("gateway.connections", 1, 10000, 256);
    if (!connections) return tl::unexpected(connections.error());
    configuration.connections = static_cast<std::size_t>(*connections);
    const auto per_address = file->number("gateway.connections_per_address", 1, 10000, 64);
    if (!per_address) return tl::unexpected(per_address.error());
    configuration.connections_per_address = static_cast<std::size_t>(*per_address);
    const auto per_account = file->number("gateway.connections_per_account", 1, 10000, 64);
    if (!per_account) return tl::unexpected(per_account.error());
    configuration.connections_per_account = static_cast<std::size_t>(*per_account);
    const auto detach = file->number("gateway.detach_after_s", 1, 86400, 30);
    if (!detach) return tl::unexpected(detach.error());
    configuration.detach_after = std::chrono::seconds(*detach);
    return configuration;
}

}  // namespace understudy::gateway
