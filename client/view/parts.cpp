// See parts.hpp.
#include "client/view/parts.hpp"

#include <charconv>
#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

namespace understudy::client {
namespace {

constexpr std::uint64_t kMostParts = 64;

/// Takes `{"view":` or `,"part":` and a number from the front.
std::optional<std::uint64_t> take_number(std::string_view& text, std::string_view before) {
    if (!text.starts_with(before)) return std::nullopt;
    text.remove_prefix(before.size());
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

}  // namespace

ViewTexts ViewParts::take(std::string text) {
    if (text.empty()) return {};
    std::string_view rest = text;
    const auto view = take_number(rest, "{\"view\":");
    const auto part = take_number(rest, ",\"part\":");
    const auto parts = take_number(rest, ",\"parts\":");
    if (!view || !part || !parts) return {std::move(text)};  // all of it
    if (*parts == 0 || *parts > kMostParts || *part == 0 || *part > *parts) return {};
    if (*view != view_) parts_.clear();
    view_ = *view;
    parts_[*part] = std::move(text);
    if (parts_.size() < *parts) return {};
    ViewTexts whole;
    for (auto& [number, one] : parts_) whole.push_back(std::move(one));
    parts_.clear();
    return whole;
}

std::string merged(const ViewTexts& parts) {
    if (parts.empty()) return {};
    if (parts.size() == 1) return parts.front();
    auto whole = nlohmann::ordered_json::object();
    for (const std::string& text : parts) {
        auto part = nlohmann::ordered_json::parse(text, nullptr, false);
        if (!part.is_object()) return {};
        for (auto& [key, value] : part.items()) {
            if (key == "view" || key == "part" || key == "parts") continue;
            if (!whole.contains(key)) whole[key] = std::move(value);
            else if (whole[key].is_array() && value.is_array()) whole[key].insert(whole[key].end(), value.begin(), value.end());
        }
    }
    return whole.dump();
}

}  // namespace understudy::client
