// A view that is larger than a message comes in parts (PROTOCOL.md, "Operators"); here they become one again.
// Plain values; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace understudy::client {

/// The texts of one view, first part first. Together they are the view: `merged` says how.
using ViewTexts = std::vector<std::string>;

class ViewParts {
public:
    /// Takes a text as it came. Returns a whole view when this was its last part, in whatever order its parts
    /// came; else nothing. Parts of an older view are forgotten when a newer one begins. Bounded.
    [[nodiscard]] ViewTexts take(std::string text);

private:
    std::uint64_t view_ = 0;
    std::map<std::uint64_t, std::string> parts_;
};

/// One JSON text: lists of later parts continue those of earlier ones. A single part is returned as it is.
[[nodiscard]] std::string merged(const ViewTexts& parts);

}  // namespace understudy::client
