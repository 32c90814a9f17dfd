// CURVE keys of clients: made, kept in a file only its owner may read, read back. No thread of its own.
#pragma once

#include <string>
#include <string_view>

#include "protocol/result.hpp"

namespace understudy::client {

/// A CURVE pair in Z85, forty characters each.
struct KeyPair {
    std::string public_key;
    std::string secret_key;
    bool operator==(const KeyPair&) const = default;
};

/// A new random pair.
[[nodiscard]] KeyPair make_key_pair();

/// Forty characters of the Z85 alphabet.
[[nodiscard]] bool is_curve_key(std::string_view text);

/// Writes the pair as TOML, mode 0600. Never overwrites: a lost secret key cannot be had back.
/// Errors: `refused` (the file exists), `failed` (the system's words).
[[nodiscard]] Result<> write_key_file(const std::string& path, const KeyPair& keys);

/// Writes the part of an agent's configuration that gives it a one-time key, readable by its owner alone, never over a file
/// that exists. Errors: `refused`, `failed`.
[[nodiscard]] Result<> write_one_time_key_file(const std::string& path, const KeyPair& keys);

/// Reads what write_key_file() wrote. Errors: `not_found`, `invalid` (file, line, option).
[[nodiscard]] Result<KeyPair> read_key_file(const std::string& path);

}  // namespace understudy::client
