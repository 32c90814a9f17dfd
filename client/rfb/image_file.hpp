// Pictures as files. Called by whoever owns the picture.
#pragma once

#include <string>

#include "client/rfb/picture.hpp"
#include "protocol/result.hpp"

namespace understudy::client {

/// PNG, or PPM if the name ends in ".ppm". Errors: `failed` (the library's or the system's words).
[[nodiscard]] Result<> write_image(const std::string& path, const Picture& picture);

}  // namespace understudy::client
