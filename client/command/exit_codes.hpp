// What the command line's exit codes mean; scripts depend on them. Plain values; any thread.
#pragma once

#include "protocol/result.hpp"

namespace understudy::client {

inline constexpr int kExitDone = 0;
inline constexpr int kExitUsage = 2;        ///< wrong options, or a configuration that cannot be used
inline constexpr int kExitUnreachable = 3;  ///< no manager answered, or it does not admit our key

/// 4 is `invalid`, 5 `not_found`, 6 `refused`, … in the order of ErrorCode.
[[nodiscard]] constexpr int exit_code_of(ErrorCode code) { return static_cast<int>(code) + 3; }

}  // namespace understudy::client
