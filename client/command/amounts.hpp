// Numbers as people read them. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace understudy::client {

/// 850 µs, 12 ms, 3.2 s, 4 min, 2 h, 3 d; negative values (clocks that disagree) are shown as 0.
[[nodiscard]] std::string duration_text(std::int64_t microseconds);

/// 512 B, 1.4 MB, 18 MB (powers of 1000).
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);

/// 2048 MiB as "2 GiB", 512 MiB as "512 MiB".
[[nodiscard]] std::string mebibytes_text(std::uint64_t mebibytes);

/// "2026-11-23 01:02:03 UTC" from Unix milliseconds; "-" for 0.
[[nodiscard]] std::string wall_text(std::int64_t wall_ms);

}  // namespace understudy::client
