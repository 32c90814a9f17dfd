// See codec.hpp. Pure functions; any thread.
#include "protocol/codec.hpp"

#include <array>
#include <utility>

#include "protocol/pack.hpp"

namespace understudy {
namespace {

void put(Bytes& bytes, std::uint64_t number, int octets) {
    for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<std::uint8_t>(number >> shift));
    }
}

std::uint64_t take(BytesView bytes, std::size_t at, std::size_t octets) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < octets; ++i) number = number << 8 | bytes[at + i];
    return number;
}

template <std::size_t Index>
Result<Message> parse_as(BytesView body) {
    auto parsed = pack::parse<std::variant_alternative_t<Index, Message>>(body);
    if (!parsed) return tl::unexpected(parsed.error());
    return Message(std::in_place_index<Index>, std::move(*parsed));
}

using Parser = Result<Message> (*)(BytesView);

template <std::size_t... Index>
constexpr std::array<Parser, sizeof...(Index)> make_parsers(std::index_sequence<Index...>) {
    return {&parse_as<Index>...};
}

constexpr auto kParsers = make_parsers(std::make_index_sequence<std::variant_size_v<Message>>{});

constexpr std::array<const char*, std::variant_size_v<Message>> kNames = {
    "Hello", "Heartbeat", "SessionStatus", "DesktopStatus", "LayoutReport", "WitnessReport",
    "Welcome", "HeartbeatAck", "NotRegistered", "AssignSession", "AssignDesktop", "WitnessRequest",
    "TerminalAttach", "TerminalDetach", "TerminalSeen", "TerminalRedirect", "TerminalWaiting",
    "TerminalRefused", "AdminRequest", "AdminReply", "AdminUpdate", "ReportAck",
    "TerminalTaken", "TerminalNotice", "NameKey", "KeyNamed"};

}  // namespace

const char* name_of(const Message& message) { return kNames[message.index()]; }

const char* to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid: return "invalid";
        case ErrorCode::not_found: return "not_found";
        case ErrorCode::refused: return "refused";
        case ErrorCode::unavailable: return "unavailable";
        case ErrorCode::no_capacity: return "no_capacity";
        case ErrorCode::unknown_outcome: return "unknown_outcome";
        case ErrorCode::failed: return "failed";
        case ErrorCode::limit: return "limit";
        case ErrorCode::version: return "version";
        case ErrorCode::damaged: return "damaged";
    }
    return "unknown";
}

Bytes encode(const Envelope& envelope, std::uint16_t version) {
    Bytes bytes;
    bytes.reserve(kHeaderBytes + 104);
    bytes.push_back('U');
    bytes.push_back('S');
    put(bytes, version, 2);
    put(bytes, envelope.message.index() + 1, 2);
    put(bytes, 0, 2);
    put(bytes, envelope.incarnation, 8);
    put(bytes, envelope.sequence, 8);
    std::visit([&](const auto& message) { pack::append(bytes, message); }, envelope.message);
    return bytes;
}

Result<Envelope> decode(BytesView bytes) {
    if (bytes.size() < kHeaderBytes || bytes[0] != 'U' || bytes[1] != 'S') {
        return failure(ErrorCode::invalid, "not an Understudy message");
    }
    if (bytes.size() > limits::kMessageBytes) {
        return failure(ErrorCode::limit, "message of " + std::to_string(bytes.size()) + " bytes is over the limit of " +
                                             std::to_string(limits::kMessageBytes));
    }
    const std::uint64_t version = take(bytes, 2, 2);
    if (version != kProtocolVersion) {
        return failure(ErrorCode::version, "the sender speaks protocol version " + std::to_string(version) +
                                               ", this program speaks " + std::to_string(kProtocolVersion) +
                                               "; bring both to the same release");
    }
    const std::uint64_t type = take(bytes, 4, 2);
    if (type == 0 || type > kParsers.size()) {
        return failure(ErrorCode::invalid, "unknown message type " + std::to_string(type));
    }
    auto message = kParsers[type - 1](bytes.subspan(kHeaderBytes));
    if (!message) {
        return failure(message.error().code, std::string(kNames[type - 1]) + ": " + message.error().message);
    }
    return Envelope{take(bytes, 8, 8), take(bytes, 16, 8), std::move(*message)};
}

}  // namespace understudy
