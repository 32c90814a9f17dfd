// A picture and places in it. Plain values; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace understudy::client {

/// In pixels, from the upper left corner.
struct Area {
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;
    bool operator==(const Area&) const = default;

    [[nodiscard]] bool empty() const { return width <= 0 || height <= 0; }

    /// Smallest area that holds both.
    [[nodiscard]] Area united(const Area& other) const {
        if (empty()) return other;
        if (other.empty()) return *this;
        const int left = std::min(x, other.x);
        const int top = std::min(y, other.y);
        return {left, top, std::max(x + width, other.x + other.width) - left,
                std::max(y + height, other.y + other.height) - top};
    }

    [[nodiscard]] Area common(const Area& other) const {
        const int left = std::max(x, other.x);
        const int top = std::max(y, other.y);
        return {left, top, std::min(x + width, other.x + other.width) - left,
                std::min(y + height, other.y + other.height) - top};
    }
};

/// Pixels as 0x00RRGGBB, row by row.
struct Picture {
    int width = 0;
    int height = 0;
    std::vector<std::uint32_t> pixels;

    [[nodiscard]] std::uint32_t at(int x, int y) const {
        return pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
    }
    void set(int x, int y, std::uint32_t pixel) {
        pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)] = pixel;
    }
    [[nodiscard]] Area area() const { return {0, 0, width, height}; }
};

}  // namespace understudy::client
