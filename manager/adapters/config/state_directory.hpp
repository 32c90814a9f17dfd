// The manager's state directory: who it is. Made once by `understudyd init`, read at every start.
//
//   manager.keys   CURVE pair: peers know the manager by the public half
//   ticket.keys    signing pair: doors know tickets by the public half
//   cluster.id     mark on every instance of ours, so that strangers are never touched
//   endpoint       where the manager listens, while it runs and for its next start
//   store.db       the records            instances/ID/  disks, seed and identity of one instance
#pragma once

#include <string>

#include "manager/runtime/ports.hpp"
#include "protocol/result.hpp"
#include "protocol/ticket.hpp"

namespace understudy::manager {

/// A CURVE pair in Z85.
struct CurveKeys {
    std::string public_key;
    std::string secret_key;
    bool operator==(const CurveKeys&) const = default;
};

[[nodiscard]] CurveKeys make_curve_keys();

struct StateDirectory {
    std::string path;
    CurveKeys keys;
    TicketKeys ticket_keys;
    std::string cluster;
};

/// Makes what is missing, keeps what is there, and returns all of it. Idempotent.
/// Errors: `failed` (the system's words), `damaged` (a file that is there and does not parse).
[[nodiscard]] Result<StateDirectory> make_state_directory(const std::string& path);

/// Errors: `not_found` (says how to make it), `damaged`, `failed`.
[[nodiscard]] Result<StateDirectory> load_state_directory(const std::string& path);

/// Signs tickets with the directory's key.
class TicketSealer : public SealerPort {
  public:
    explicit TicketSealer(TicketKeys keys) : keys_(std::move(keys)) {}
    [[nodiscard]] std::string seal(TicketClaims& claims) override;
    [[nodiscard]] const std::string& public_key() const override { return keys_.public_key; }
    [[nodiscard]] std::int64_t wall_ms() const override;

  private:
    TicketKeys keys_;
};

}  // namespace understudy::manager
