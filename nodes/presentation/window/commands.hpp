// The words between the agent and one window: commands in, events out, each a JSON object in one line.
// The meaning of every word is in README.md of this folder. Plain values; no thread owns them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/ids.hpp"
#include "nodes/presentation/window/viewer_names.hpp"
#include "protocol/result.hpp"
#include "viewer/source.hpp"

namespace understudy::window {

/// What a window does with the person's input.
enum class Mode {
    active,   ///< input, clipboard and size go to the session
    standby,  ///< the picture is shown, nothing is sent
};

/// `x`, `y`: outer corner of the frame; `width`, `height`: the picture area inside it. Pixels.
struct Place {
    int x = 0;
    int y = 0;
    int width = 0;
    int height = 0;
    bool operator==(const Place&) const = default;
};

struct ConnectCommand {
    Source source;
    bool has_mode = false;
    Mode mode = Mode::active;  ///< meaningful when has_mode
};
struct WaitingCommand {
    std::string text;
};
struct ModeCommand {
    Mode mode = Mode::active;
};
struct PlaceCommand {
    Place place;
};
struct TitleCommand {
    std::string text;
};
struct IconCommand {
    std::vector<std::uint8_t> png;
};
struct CloseCommand {};

using Command = std::variant<ConnectCommand, WaitingCommand, ModeCommand, PlaceCommand, TitleCommand,
                             IconCommand, CloseCommand>;

inline constexpr std::size_t kMaxCommandBytes = 256 * 1024;
inline constexpr std::size_t kMaxTextCharacters = 200;

/// Understands one line (without its newline).
/// Errors: `invalid`, with what is wrong with which key.
[[nodiscard]] Result<Command> parse_command(std::string_view line);

/// "active" or "standby"; errors: `invalid`.
[[nodiscard]] Result<Mode> parse_mode(std::string_view word);

/// Bytes behind base64 text; errors: `invalid` for anything that is not canonical base64.
[[nodiscard]] Result<std::vector<std::uint8_t>> decode_base64(std::string_view text);

/// A line that fits a pipe's atomic write, so that a slow reader never cuts one in two.
inline constexpr std::size_t kMaxEventBytes = 4096;
inline constexpr std::size_t kMaxEventTextCharacters = 250;

/// Builds one event line, keys in the order they are added.
class EventLine {
public:
    explicit EventLine(std::string_view event);
    EventLine& add(std::string_view key, std::string_view text);
    EventLine& add(std::string_view key, std::int64_t number);
    /// The line with its newline; at most kMaxEventBytes with up to three texts.
    [[nodiscard]] std::string str() const;

private:
    std::string line_;
};


}  // namespace understudy::window
