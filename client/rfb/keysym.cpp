// See keysym.hpp.
#include "client/rfb/keysym.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace understudy::client {
namespace {

constexpr std::uint32_t kReturn = 0xff0d;
constexpr std::uint32_t kTab = 0xff09;
constexpr std::uint32_t kUnicode = 0x01000000;

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 25> kNames = {{
    {"BackSpace", 0xff08}, {"Tab", kTab}, {"Return", kReturn}, {"Escape", 0xff1b}, {"Delete", 0xffff},
    {"Home", 0xff50}, {"Left", 0xff51}, {"Up", 0xff52}, {"Right", 0xff53}, {"Down", 0xff54},
    {"Page_Up", 0xff55}, {"Page_Down", 0xff56}, {"End", 0xff57}, {"Insert", 0xff63}, {"Menu", 0xff67},
    {"Shift_L", 0xffe1}, {"Shift_R", 0xffe2}, {"Control_L", 0xffe3}, {"Control_R", 0xffe4}, {"Caps_Lock", 0xffe5},
    {"Alt_L", 0xffe9}, {"Alt_R", 0xffea}, {"Super_L", 0xffeb}, {"Super_R", 0xffec}, {"space", 0x20},
}};

/// Takes one character off the front; nothing if there is no valid one, then one byte is gone.
std::optional<std::uint32_t> take_character(std::string_view& text) {
    const auto first = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    if (first < 0x80) return first;
    const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC2 ? 1 : 0;
    if (more == 0 || text.size() < more) return std::nullopt;
    std::uint32_t code = first & (0x3Fu >> more);
    for (std::size_t i = 0; i < more; ++i) {
        const auto next = static_cast<unsigned char>(text[i]);
        if ((next & 0xC0) != 0x80) return std::nullopt;
        code = code << 6 | (next & 0x3F);
    }
    text.remove_prefix(more);
    return code;
}

}  // namespace

std::uint32_t keysym_of(char32_t character) {
    if (character == U'\n' || character == U'\r') return kReturn;
    if (character == U'\t') return kTab;
    const auto code = static_cast<std::uint32_t>(character);
    return code < 0x100 ? code : kUnicode | code;
}

std::vector<std::uint32_t> keysyms_of(std::string_view text) {
    std::vector<std::uint32_t> keysyms;
    while (!text.empty()) {
        if (const auto character = take_character(text)) keysyms.push_back(keysym_of(*character));
    }
    return keysyms;
}

std::optional<std::uint32_t> keysym_named(std::string_view name) {
    const auto found = std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) { return entry.first == name; });
    if (found != kNames.end()) return found->second;
    if (name.size() >= 2 && name.size() <= 3 && name[0] == 'F') {
        std::uint32_t number = 0;
        for (const char c : name.substr(1)) {
            if (c < '0' || c > '9') return std::nullopt;
            number = number * 10 + static_cast<std::uint32_t>(c - '0');
        }
        if (number >= 1 && number <= 12) return 0xffbd + number;
        return std::nullopt;
    }
    const auto single = keysyms_of(name);
    if (single.size() == 1) return single.front();
    return std::nullopt;
}

}  // namespace understudy::client
