// Parsing of commands and writing of events. Pure; any thread.
#include "nodes/presentation/window/commands.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace understudy::window {
namespace {

using nlohmann::json;

Result<std::string> text_of(const json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string()) {
        return failure(ErrorCode::invalid, std::string("\"") + key + "\" is missing or is not a text");
    }
    return found->get<std::string>();
}

Result<std::int64_t> number_of(const json& object, const char* key, std::int64_t least, std::int64_t most) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number_integer()) {
        return failure(ErrorCode::invalid,
                       std::string("\"") + key + "\" is missing or is not a whole number");
    }
    const bool too_big = found->is_number_unsigned() &&
                         found->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
    if (too_big || found->get<std::int64_t>() < least || found->get<std::int64_t>() > most) {
        return failure(ErrorCode::invalid, std::string("\"") + key + "\" must be between " +
                                               std::to_string(least) + " and " + std::to_string(most));
    }
    return found->get<std::int64_t>();
}

bool is_numeric_address(const std::string& host) {
    std::array<unsigned char, sizeof(in6_addr)> scratch{};
    return inet_pton(AF_INET, host.c_str(), scratch.data()) == 1 ||
           inet_pton(AF_INET6, host.c_str(), scratch.data()) == 1;
}

bool is_printable(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

Result<Command> parse_connect(const json& object) {
    auto host = text_of(object, "host");
    if (!host) return tl::unexpected(host.error());
    if (!is_numeric_address(*host)) {
        return failure(ErrorCode::invalid, "\"host\" must be an IPv4 or IPv6 address, it is '" +
                                               first_characters(*host, 60) + "'");
    }
    auto port = number_of(object, "port", 1, 65535);
    if (!port) return tl::unexpected(port.error());
    auto ticket = text_of(object, "ticket");
    if (!ticket) return tl::unexpected(ticket.error());
    if (ticket->empty() || ticket->size() > kMaxTicketBytes || !is_printable(*ticket)) {
        return failure(ErrorCode::invalid, "\"ticket\" must be 1 to " + std::to_string(kMaxTicketBytes) +
                                               " printable characters without blanks");
    }
    auto key = text_of(object, "key");
    if (!key) return tl::unexpected(key.error());
    auto renewal = object.contains("renewal") ? text_of(object, "renewal") : Result<std::string>();
    if (!renewal) return tl::unexpected(renewal.error());
    if (key->size() > kMaxTicketBytes || renewal->size() > kMaxTicketBytes || !is_printable(*renewal)) {
        return failure(ErrorCode::invalid, "\"key\" or \"renewal\" is none");
    }
    auto epoch = number_of(object, "epoch", 0, INT64_MAX);
    if (!epoch) return tl::unexpected(epoch.error());
    ConnectCommand command;
    command.source = Source{std::move(*host), static_cast<std::uint16_t>(*port), std::move(*key), std::move(*ticket),
                            static_cast<Epoch>(*epoch), Purpose::window, std::move(*renewal)};
    if (object.contains("mode")) {
        auto word = text_of(object, "mode");
        if (!word) return tl::unexpected(word.error());
        auto mode = parse_mode(*word);
        if (!mode) return tl::unexpected(mode.error());
        command.has_mode = true;
        command.mode = *mode;
    }
    return Command{std::move(command)};
}

Result<Command> parse_place(const json& object) {
    auto x = number_of(object, "x", -kMaxSidePixels, kMaxSidePixels);
    if (!x) return tl::unexpected(x.error());
    auto y = number_of(object, "y", -kMaxSidePixels, kMaxSidePixels);
    if (!y) return tl::unexpected(y.error());
    auto width = number_of(object, "width", 1, kMaxSidePixels);
    if (!width) return tl::unexpected(width.error());
    auto height = number_of(object, "height", 1, kMaxSidePixels);
    if (!height) return tl::unexpected(height.error());
    return Command{PlaceCommand{Place{static_cast<int>(*x), static_cast<int>(*y), static_cast<int>(*width),
                                      static_cast<int>(*height)}}};
}

Result<Command> parse_mode_command(const json& object) {
    auto word = text_of(object, "mode");
    if (!word) return tl::unexpected(word.error());
    auto mode = parse_mode(*word);
    if (!mode) return tl::unexpected(mode.error());
    return Command{ModeCommand{*mode}};
}

Result<Command> parse_icon(const json& object) {
    auto text = text_of(object, "png_base64");
    if (!text) return tl::unexpected(text.error());
    auto bytes = decode_base64(*text);
    if (!bytes) return tl::unexpected(bytes.error());
    return Command{IconCommand{std::move(*bytes)}};
}

Result<Command> parse_object(const json& object) {
    auto word = text_of(object, "do");
    if (!word) return tl::unexpected(word.error());
    if (*word == "connect") return parse_connect(object);
    if (*word == "place") return parse_place(object);
    if (*word == "mode") return parse_mode_command(object);
    if (*word == "icon") return parse_icon(object);
    if (*word == "close") return Command{CloseCommand{}};
    if (*word == "waiting" || *word == "title") {
        auto text = text_of(object, "text");
        if (!text) return tl::unexpected(text.error());
        std::string shown = first_characters(*text, kMaxTextCharacters);
        if (*word == "title") return Command{TitleCommand{std::move(shown)}};
        return Command{WaitingCommand{std::move(shown)}};
    }
    return failure(ErrorCode::invalid, "no such command: '" + first_characters(*word, 60) + "'");
}

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

std::string json_text(std::string_view text) {
    // Bytes that are not UTF-8 (from a door, say) must not cost us the event.
    return json(std::string(text)).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

Result<Mode> parse_mode(std::string_view word) {
    if (word == "active") return Mode::active;
    if (word == "standby") return Mode::standby;
    return failure(ErrorCode::invalid, "mode must be \"active\" or \"standby\"");
}

Result<Command> parse_command(std::string_view line) {
    if (line.size() > kMaxCommandBytes) {
        return failure(ErrorCode::limit,
                       "a command has at most " + std::to_string(kMaxCommandBytes) + " bytes");
    }
    const auto parsed = json::parse(line.begin(), line.end(), nullptr, false);
    if (parsed.is_discarded() || !parsed.is_object()) {
        return failure(ErrorCode::invalid, "a command must be one JSON object in one line");
    }
    return parse_object(parsed);
}

Result<std::vector<std::uint8_t>> decode_base64(std::string_view text) {
    if (text.empty() || text.size() % 4 != 0) {
        return failure(ErrorCode::invalid, "base64 text must have a multiple of four characters");
    }
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    std::vector<std::uint8_t> bytes;
    bytes.reserve(text.size() / 4 * 3);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_padding = i >= text.size() - padding;
        const int value = is_padding ? 0 : base64_value(text[i]);
        if (value < 0) {
            return failure(ErrorCode::invalid,
                           "base64 text has a foreign character at position " + std::to_string(i));
        }
        group = (group << 6) | static_cast<std::uint32_t>(value);
        if (i % 4 == 3) {
            bytes.push_back(static_cast<std::uint8_t>(group >> 16));
            bytes.push_back(static_cast<std::uint8_t>(group >> 8));
            bytes.push_back(static_cast<std::uint8_t>(group));
            group = 0;
        }
    }
    for (std::size_t i = 0; i < padding; ++i) {
        if (bytes.back() != 0) return failure(ErrorCode::invalid, "base64 text has bits behind its end");
        bytes.pop_back();
    }
    return bytes;
}

EventLine::EventLine(std::string_view event) : line_("{\"event\":" + json_text(event)) {}

EventLine& EventLine::add(std::string_view key, std::string_view text) {
    // A character has at most four bytes, also escaped (control characters are gone): three texts fit a line.
    line_ += "," + json_text(key) + ":" + json_text(first_characters(text, kMaxEventTextCharacters));
    return *this;
}

EventLine& EventLine::add(std::string_view key, std::int64_t number) {
    line_ += "," + json_text(key) + ":" + std::to_string(number);
    return *this;
}

std::string EventLine::str() const { return line_ + "}\n"; }

}  // namespace understudy::window
