// See amounts.hpp.
#include "client/command/amounts.hpp"

#include <array>
#include <cstdio>
#include <ctime>

namespace understudy::client {
namespace {

// One decimal below ten, none above.
std::string rounded(double value, const char* unit) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), value < 9.95 && value != static_cast<double>(static_cast<int>(value)) ? "%.1f %s" : "%.0f %s",
                  value, unit);
    return text.data();
}

}  // namespace

std::string duration_text(std::int64_t microseconds) {
    if (microseconds <= 0) return "0 s";
    const auto us = static_cast<double>(microseconds);
    if (us < 1e3) return rounded(us, "µs");
    if (us < 1e6) return rounded(us / 1e3, "ms");
    if (us < 120e6) return rounded(us / 1e6, "s");
    if (us < 7200e6) return rounded(us / 60e6, "min");
    if (us < 172800e6) return rounded(us / 3600e6, "h");
    return rounded(us / 86400e6, "d");
}

std::string bytes_text(std::uint64_t bytes) {
    if (bytes < 1000) return std::to_string(bytes) + " B";
    const auto value = static_cast<double>(bytes);
    if (value < 1e6) return rounded(value / 1e3, "kB");
    if (value < 1e9) return rounded(value / 1e6, "MB");
    return rounded(value / 1e9, "GB");
}

std::string mebibytes_text(std::uint64_t mebibytes) {
    if (mebibytes < 1024) return std::to_string(mebibytes) + " MiB";
    return rounded(static_cast<double>(mebibytes) / 1024, "GiB");
}

std::string wall_text(std::int64_t wall_ms) {
    if (wall_ms <= 0) return "-";
    const std::time_t seconds = static_cast<std::time_t>(wall_ms / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%F %T UTC", &parts);
    return text.data();
}

}  // namespace understudy::client
