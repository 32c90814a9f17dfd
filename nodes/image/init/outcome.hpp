// What a step of the start-up returns: nothing on success, else a sentence for the console.
// Plain values, no thread.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace understudy::guest {

using Outcome = tl::expected<void, std::string>;

/// A failed system call as a sentence. Reads errno, so it is called at once after the call.
[[nodiscard]] inline tl::unexpected<std::string> system_error(std::string_view what_was_tried) {
  const int code = errno;
  return tl::make_unexpected(std::string(what_was_tried) + ": " + std::strerror(code));
}

}  // namespace understudy::guest
