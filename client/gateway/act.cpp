// See act.hpp.
#include "client/gateway/act.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace understudy::gateway {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kReason = "reason=";
constexpr std::string_view kPerson = "by=";  // the gateway's own to say

/// ["key=value", …] or {"key": value, …}. Nothing if it is neither.
std::optional<std::vector<std::string>> arguments_of(const Json& json) {
    std::vector<std::string> arguments;
    if (json.is_null()) return arguments;
    if (!json.is_array() && !json.is_object()) return std::nullopt;
    if (json.size() > kMostArguments) return std::nullopt;
    for (const auto& [key, value] : json.items()) {
        if (json.is_array() && !value.is_string()) return std::nullopt;
        if (json.is_object() && !value.is_string() && !value.is_number_integer()) return std::nullopt;
        const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        arguments.push_back(json.is_array() ? text : key + "=" + text);
    }
    return arguments;
}

}  // namespace

std::string ActAsked::reason() const {
    const auto found = std::find_if(arguments.begin(), arguments.end(), [](const std::string& one) { return one.starts_with(kReason); });
    return found == arguments.end() ? std::string() : found->substr(kReason.size());
}

Result<ActAsked> parse_act(std::string_view body) {
    const Json json = Json::parse(body, nullptr, false);
    if (!json.is_object() || !json.contains("verb") || !json["verb"].is_string()) {
        return failure(ErrorCode::invalid, "send JSON like {\"verb\": \"failover\", \"arguments\": {\"session\": 2, \"reason\": \"…\"}}");
    }
    const std::string verb = json["verb"];
    auto arguments = arguments_of(json.value("arguments", Json()));
    if (!arguments) return failure(ErrorCode::invalid, "arguments must be a list of \"key=value\" or an object of texts and whole numbers");
    const auto least = least_role_of_act(verb, *arguments);
    if (!least) return failure(ErrorCode::invalid, "there is no act \"" + verb + "\"");
    if (std::any_of(arguments->begin(), arguments->end(), [](const std::string& one) { return one.starts_with(kPerson); })) {
        return failure(ErrorCode::invalid, "argument by means nothing here: the gateway says itself who asks");
    }
    return ActAsked{verb, std::move(*arguments), *least};
}

}  // namespace understudy::gateway
