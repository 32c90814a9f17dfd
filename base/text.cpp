// See text.hpp.
#include "base/text.hpp"

namespace understudy {

std::string first_characters(std::string_view text, std::size_t count) {
    std::string result;
    std::size_t characters = 0;
    for (const char c : text) {
        const bool starts_character = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
        if (starts_character && ++characters > count) break;
        const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        result.push_back(is_control ? ' ' : c);
    }
    return result;
}

}  // namespace understudy
