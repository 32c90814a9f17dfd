// What the command line's exit codes mean; scripts depend on them. Plain values; any thread.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "protocol/result.hpp"

namespace understudy::client {

inline constexpr int kExitDone = 0;
inline constexpr int kExitUsage = 2;        ///< wrong options, or a configuration that cannot be used
inline constexpr int kExitUnreachable = 3;  ///< no manager answered, or it does not admit our key

/// 4 is `invalid`, 5 `not_found`, 6 `refused`, … in the order of ErrorCode.
[[nodiscard]] constexpr int exit_code_of(ErrorCode code) { return static_cast<int>(code) + 3; }

/// For --help and the manual page.
inline constexpr std::array<std::pair<int, std::string_view>, 13> kExitMeanings{{
    {0, "done"},
    {2, "wrong options, or a configuration that cannot be used; nothing was asked"},
    {3, "no manager answered, or it does not admit this key; nothing was done"},
    {4, "invalid: the manager does not understand an argument; its words say which"},
    {5, "not found: nothing has that name or number"},
    {6, "refused: this key may not, or it makes no sense now"},
    {7, "unavailable at this moment; try again later"},
    {8, "no capacity: nothing has room for it"},
    {9, "outcome unknown: it may or may not have happened; look before asking again"},
    {10, "failed, in the words of the system that failed"},
    {11, "a limit is reached"},
    {12, "the manager is of a version that this program does not speak"},
    {13, "damaged: an answer or a file cannot be read"},
}};

}  // namespace understudy::client
