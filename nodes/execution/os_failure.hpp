// What the operating system refused, as an error.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include "protocol/result.hpp"

namespace understudy::node {

/// `what` was tried and errno says why it failed. Call it before anything else changes errno.
[[nodiscard]] inline tl::unexpected<Error> os_failure(const std::string& what) {
    return failure(ErrorCode::failed, what + ": " + std::strerror(errno));
}

}  // namespace understudy::node
