// The keys that an agent makes for itself, kept in STATE/agent.keys (mode 0600): the secret half of what it speaks with
// never leaves the machine. They belong to the key that the configuration gives it; with another one it begins anew.
#pragma once

#include <cstdint>
#include <string>

#include "nodes/agent/config.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// Z85.
struct CurvePair {
    std::string public_key;
    std::string secret_key;
    bool operator==(const CurvePair&) const = default;
};

class OwnKeys {
  public:
    /// What is kept for the key that the configuration gives; nothing yet: that key. Errors: `failed` (the file cannot
    /// be read), `damaged`.
    [[nodiscard]] static Result<OwnKeys> load(const Config& config);

    /// What this agent speaks with.
    [[nodiscard]] const CurvePair& current() const { return current_; }
    /// It still speaks with the key that it was given.
    [[nodiscard]] bool is_given() const { return current_.public_key == given_; }
    /// When the current pair was made, in Unix milliseconds of this machine's clock; 0: it was given.
    [[nodiscard]] std::int64_t made_wall_ms() const { return made_wall_ms_; }

    /// The pair that is to be next: the same one until take_next(), because its name may have been said already.
    /// Postcondition: both halves are on the disk. Errors: `failed`.
    [[nodiscard]] Result<CurvePair> next(std::int64_t wall_ms);
    /// Next is current from now on, in every later start too. Precondition: next() gave one. Errors: `failed`.
    [[nodiscard]] Result<> take_next();

  private:
    [[nodiscard]] Result<> write() const;

    std::string file_;
    std::string given_;
    CurvePair current_;
    CurvePair next_;
    std::int64_t made_wall_ms_ = 0;
    std::int64_t next_made_wall_ms_ = 0;
};

}  // namespace understudy::node
