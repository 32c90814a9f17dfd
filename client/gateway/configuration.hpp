// The gateway's configuration: where it listens, who may use it, and its link to the manager.
// Plain values; no thread owns them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "client/link/configuration.hpp"
#include "protocol/result.hpp"

namespace understudy::gateway {

enum class Tls { on, off };

struct GatewayConfiguration {
    client::Configuration manager;
    std::string address = "127.0.0.1";
    std::uint16_t port = 7480;    ///< 0: any free one
    std::string port_file;        ///< the real port is written here, if named
    std::string state_dir;        ///< folder of certificates, accounts, sessions and the audit log
    Tls tls = Tls::on;            ///< off: on loopback only
    std::string certificate;      ///< PEM file with the whole chain; empty: one of our own authority
    std::string key;              ///< PEM file, of that certificate
    std::vector<std::string> names;  ///< people reach the gateway by, for a certificate of our own; empty: as it listens
    std::string novnc = "/usr/share/novnc";
    std::string pages;            ///< folder to read pages from instead of the built-in ones
    std::size_t connections = 256;               ///< open at the same time
    std::size_t connections_per_address = 64;    ///< of those, from one address before anybody has logged in
    std::size_t connections_per_account = 64;    ///< of those over which an account is logged in
    std::chrono::seconds detach_after{30};  ///< without any page, a terminal is detached after this
};

/// Reads the table [gateway] and the link's options from one file. Errors: `invalid`, `not_found`; each
/// names file, line and option.
[[nodiscard]] Result<GatewayConfiguration> load_gateway_configuration(const std::string& path);

}  // namespace understudy::gateway
