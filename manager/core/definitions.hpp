// What the site consists of: hosts, pools, environments, profiles. Each definition is checked as a whole
// before anything is changed, and says what is wrong with it.
#pragma once

#include <string>

#include "manager/core/records.hpp"
#include "protocol/result.hpp"

namespace understudy::manager {

struct State;

/// Whose wish it is. The configuration may change what it defined before; a person adds something new.
enum class Author : std::uint8_t { configuration, person };

/// Letters, digits, '-', '_' and '.', not empty, not too long.
[[nodiscard]] bool good_name(const std::string& name);
[[nodiscard]] tl::unexpected<Error> bad_name(const char* what, const std::string& name);

/// Each answers with what was done, in words. Errors: `invalid` (it contradicts itself, or fits nowhere),
/// `not_found` (it names something that is not defined), `refused` (something that exists is against it).
[[nodiscard]] Result<std::string> define_host(State& state, HostRecord host, Author author);
[[nodiscard]] Result<std::string> remove_host(State& state, const std::string& name);
[[nodiscard]] Result<std::string> define_pool(State& state, const PoolRecord& pool, Author author);
[[nodiscard]] Result<std::string> remove_pool(State& state, const std::string& flavour);
[[nodiscard]] Result<std::string> define_environment(State& state, const EnvironmentRecord& environment);
[[nodiscard]] Result<std::string> define_profile(State& state, const ProfileRecord& profile);

}  // namespace understudy::manager
