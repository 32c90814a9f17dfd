// Where the manager is and who we are: the part of the configuration every client program shares.
// Plain values; no thread owns them.
#pragma once

#include <string>

#include "client/link/keys.hpp"
#include "client/link/option_file.hpp"
#include "protocol/result.hpp"

namespace understudy::client {

struct Configuration {
    std::string manager;      ///< "tcp://127.0.0.1:7400"
    std::string manager_key;  ///< the manager's public CURVE key, Z85
    KeyPair keys;             ///< our own
};

/// Takes `manager`, `manager_key` and either `key_file` or `public_key` + `secret_key` from the file.
/// Errors: `invalid`, `not_found`; each names file, line and option.
[[nodiscard]] Result<Configuration> take_configuration(const OptionFile& file);

/// Reads a file that may also hold the tables of other programs ("gateway").
[[nodiscard]] Result<Configuration> load_configuration(const std::string& path);

/// The first that exists of $UNDERSTUDY_CONFIG, ~/.config/understudy/client.toml and
/// /etc/understudy/client.toml; `given` wins over all. Errors: `not_found`, listing where was looked.
[[nodiscard]] Result<std::string> find_configuration(const std::string& given);

}  // namespace understudy::client
