// A map of the pixels that have arrived. It exists only until the first complete picture.
#include "viewer/coverage.hpp"

#include <algorithm>

namespace understudy::viewer {

void Coverage::reset(Size size) {
    size_ = size;
    missing_pixels_ = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
    seen_.assign(missing_pixels_, 0);
}

void Coverage::add(const Rect& part) {
    if (is_complete()) return;
    const Rect inside = intersection(part, Rect{0, 0, size_.width, size_.height});
    for (int y = inside.y; y < inside.y + inside.height; ++y) {
        const auto row = seen_.begin() + static_cast<std::ptrdiff_t>(y) * size_.width + inside.x;
        missing_pixels_ -= static_cast<std::size_t>(std::count(row, row + inside.width, std::uint8_t{0}));
        std::fill(row, row + inside.width, std::uint8_t{1});
    }
    if (is_complete()) std::vector<std::uint8_t>().swap(seen_);
}

}  // namespace understudy::viewer
