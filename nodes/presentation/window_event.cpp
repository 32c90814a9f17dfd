// See window_event.hpp.
#include "nodes/presentation/window_event.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace understudy::node {
namespace {

using Json = nlohmann::json;
using Kind = WindowEvent::Kind;

std::optional<std::string> text_in(const Json& event, const char* field) {
    const auto found = event.find(field);
    if (found == event.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

template <class Number>
Number number_in(const Json& event, const char* field) {
    const auto found = event.find(field);
    const bool fits = found != event.end() && (std::is_signed_v<Number> ? found->is_number_integer() : found->is_number_unsigned());
    return fits ? found->get<Number>() : Number{0};
}

/// For a log: one line, bounded.
std::string as_words(std::string text) {
    if (text.size() > kWordsBytes) text.resize(kWordsBytes);
    std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    return text;
}

}  // namespace

std::optional<WindowEvent> parse_window_event(std::string_view line) {
    static const std::map<std::string, Kind> kKinds{
        {"connected", Kind::connected}, {"picture", Kind::picture},         {"disconnected", Kind::disconnected}, {"refused", Kind::refused},
        {"unreachable", Kind::unreachable}, {"error", Kind::trouble}, {"failed", Kind::trouble}};
    const Json said = Json::parse(line, nullptr, false);
    if (!said.is_object()) return std::nullopt;
    const auto kind = kKinds.find(text_in(said, "event").value_or(""));
    if (kind == kKinds.end()) return std::nullopt;
    WindowEvent event;
    event.kind = kind->second;
    event.name = kind->first;
    event.epoch = number_in<std::uint64_t>(said, "epoch");
    event.took_ms = number_in<std::int64_t>(said, "took_ms");
    event.is_void = number_in<std::int64_t>(said, "void") != 0;
    event.renewal = text_in(said, "renewal");
    event.words = as_words(text_in(said, "message").value_or(text_in(said, "reason").value_or("")));
    return event;
}

}  // namespace understudy::node
