// Copies of the store: made while the manager runs, put back while it does not. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "manager/core/core.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

/// What a copy holds, for people.
struct CopyReport {
    std::size_t records = 0;
    std::uint64_t version = 0;  ///< of the store when it was copied
    std::string set_aside;      ///< restore: where the store that was there is now; empty: there was none
};

/// Copies the store at `store` to the new file `target`, consistent while a manager writes, synced and read back.
/// Errors: `invalid` (the target exists), `not_found` (no store), `damaged`, `failed`; nothing half-made is left.
[[nodiscard]] Result<CopyReport> back_up_store(const std::string& store, const std::string& target);

/// Puts the copy at `source` in the place of the store; what was there is set aside, not deleted. The manager that
/// starts with it knows that its records are old: what runs decides. Precondition: no manager runs there.
/// Errors: `not_found`, `damaged`, `version`, `failed`; then the store that was there is still there.
[[nodiscard]] Result<CopyReport> restore_store(const std::string& source, const std::string& store, std::int64_t wall_ms);

/// `image` with the order to rebuild, and with numbers above all that can have been given out since: nobody gives
/// out a thousand a second for years.
[[nodiscard]] Image to_be_rebuilt(Image image, const std::string& cause, std::int64_t wall_ms);

}  // namespace understudy::manager
