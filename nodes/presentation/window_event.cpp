// See window_event.hpp.
#include "nodes/presentation/window_event.hpp"

#include <nlohmann/json.hpp>

#include <map>

#include "base/text.hpp"

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
    const std::string words = text_in(said, "message").value_or(text_in(said, "reason").value_or(""));
    event.words = first_characters(std::string_view(words).substr(0, kWordsBytes), kWordsBytes);
    return event;
}

}  // namespace understudy::node
