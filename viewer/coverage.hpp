// Tells when a picture that arrives in parts is complete. Used by the link's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "viewer/view.hpp"

namespace understudy::viewer {

class Coverage {
public:
    /// Nothing of a picture of this size has arrived.
    void reset(Size size);
    /// A part has arrived; what lies outside the picture is ignored.
    void add(const Rect& part);
    [[nodiscard]] bool is_complete() const { return missing_pixels_ == 0; }

private:
    Size size_;
    std::size_t missing_pixels_ = 0;
    std::vector<std::uint8_t> seen_;  ///< one byte per pixel; empty when complete
};

}  // namespace understudy::viewer
