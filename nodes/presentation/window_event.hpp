// What an `understudy-window` says of itself, line by line. It shows pictures that applications make, so it is taken
// for one that may have been taken over: any line is possible. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace understudy::node {

struct WindowEvent {
    enum class Kind { connected, picture, disconnected, refused, unreachable, trouble };

    Kind kind = Kind::trouble;
    std::string name;              ///< as it was said
    std::uint64_t epoch = 0;       ///< of the session that it is connected to
    std::int64_t took_ms = 0;      ///< from the command to connect
    bool is_void = false;          ///< refused: the ticket is worth nothing any more
    std::optional<std::string> renewal;  ///< for the next time at the same door
    std::string words;             ///< why; one line, at most kWordsBytes
};

inline constexpr std::size_t kWordsBytes = 512;

/// Nothing if the line is no event that means something here. Fields of another type count as absent.
[[nodiscard]] std::optional<WindowEvent> parse_window_event(std::string_view line);

}  // namespace understudy::node
