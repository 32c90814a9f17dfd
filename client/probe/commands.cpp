// See commands.hpp; the language is described by `understudy-probe --help`.
#include "client/probe/commands.hpp"

#include <algorithm>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "client/rfb/image_file.hpp"
#include "client/rfb/keysym.hpp"

namespace understudy::client {

using Json = nlohmann::json;

namespace {

constexpr std::int64_t kDefaultWaitMs = 30000;

TimePoint now() {
    return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json stamped(Json json, const Instant& when) {
    json["mono_ns"] = when.mono_ns;
    json["wall_ms"] = when.wall_ms;
    return json;
}

std::int64_t number_of(const Json& command, const char* key, std::int64_t otherwise) {
    const auto found = command.find(key);
    return found != command.end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
}

std::string text_of(const Json& command, const char* key) {
    const auto found = command.find(key);
    return found != command.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// "#rrggbb"
std::optional<std::uint32_t> colour_of(const std::string& text) {
    if (text.size() != 7 || text[0] != '#' || text.find_first_not_of("0123456789abcdefABCDEF", 1) != std::string::npos) return std::nullopt;
    return static_cast<std::uint32_t>(std::strtoul(text.c_str() + 1, nullptr, 16));
}

std::string text_of_colour(std::uint32_t colour) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text = "#";
    for (int shift = 20; shift >= 0; shift -= 4) text += kDigits[colour >> shift & 15];
    return text;
}

bool near(std::uint32_t one, std::uint32_t other, int tolerance) {
    for (const int shift : {16, 8, 0}) {
        const int difference = static_cast<int>(one >> shift & 255) - static_cast<int>(other >> shift & 255);
        if (difference > tolerance || difference < -tolerance) return false;
    }
    return true;
}

/// The area a command names; without one, the whole picture (then its size follows the picture).
Area area_of(const Json& command) {
    return {static_cast<int>(number_of(command, "x", 0)), static_cast<int>(number_of(command, "y", 0)),
            static_cast<int>(number_of(command, "width", 1 << 20)), static_cast<int>(number_of(command, "height", 1 << 20))};
}

std::vector<std::uint32_t> pixels_of(const Picture& picture, const Area& wanted) {
    const Area area = wanted.common(picture.area());
    std::vector<std::uint32_t> pixels;
    for (int y = area.y; y < area.y + area.height; ++y) {
        for (int x = area.x; x < area.x + area.width; ++x) pixels.push_back(picture.at(x, y));
    }
    return pixels;
}

std::uint64_t count_colour(const Picture& picture, const Area& wanted, std::uint32_t colour, int tolerance) {
    std::uint64_t count = 0;
    for (const std::uint32_t pixel : pixels_of(picture, wanted)) count += near(pixel, colour, tolerance) ? 1 : 0;
    return count;
}

/// Answers of commands that act on the present connection. An empty text means success.
std::string give_input(ProbeTerminal& terminal, const std::string& verb, const Json& command) {
    Stream* stream = terminal.live();
    if (stream == nullptr) return "there is no connection to a desktop at the moment";
    RfbClient& rfb = stream->rfb();
    const int x = static_cast<int>(number_of(command, "x", 0));
    const int y = static_cast<int>(number_of(command, "y", 0));
    const auto button = static_cast<unsigned>(number_of(command, "button", verb == "move" || verb == "release" ? 0 : 1));
    if (button > 8) return "\"button\" is 1 (left) to 8";
    const auto held = static_cast<std::uint8_t>(button == 0 ? 0 : 1u << (button - 1));
    if (verb == "type") {
        for (const std::uint32_t keysym : keysyms_of(text_of(command, "text"))) {
            rfb.key(keysym, true);
            rfb.key(keysym, false);
        }
    } else if (verb == "key") {
        const auto named = keysym_named(text_of(command, "name"));
        const auto keysym = named ? *named : static_cast<std::uint32_t>(number_of(command, "keysym", 0));
        if (keysym == 0) return "give a key's \"name\" (Return, Escape, F5, a, …) or its \"keysym\"";
        const auto down = command.find("down");
        const bool both = down == command.end() || !down->is_boolean();
        if (both || down->get<bool>()) rfb.key(keysym, true);
        if (both || !down->get<bool>()) rfb.key(keysym, false);
    } else if (verb == "press") {
        rfb.pointer(x, y, 0);
        rfb.pointer(x, y, held);
    } else if (verb == "move" || verb == "release") {
        rfb.pointer(x, y, held);
    } else if (verb == "clipboard") {
        rfb.clipboard(text_of(command, "text"));
    } else {
        rfb.pointer(x, y, 0);
        rfb.pointer(x, y, held);
        rfb.pointer(x, y, 0);
    }
    stream->flush();
    return {};
}

bool is_input(const std::string& verb) {
    return verb == "type" || verb == "key" || verb == "click" || verb == "move" || verb == "press" || verb == "release" || verb == "clipboard";
}

/// Answers of commands that look at the picture; fields are added to `answer`.
std::string look(const ProbeTerminal& terminal, const std::string& verb, const Json& command, Json& answer) {
    const Picture& picture = terminal.picture();
    if (verb == "status") {
        answer["epoch"] = terminal.accepted();
        answer["picture_epoch"] = terminal.picture_epoch();
        answer["width"] = picture.width;
        answer["height"] = picture.height;
        return {};
    }
    if (!terminal.has_picture()) return "there is no picture yet";
    answer["epoch"] = terminal.picture_epoch();
    if (verb == "screenshot") {
        const std::string file = text_of(command, "file");
        if (file.empty()) return "name a \"file\", ending in .png or .ppm";
        const auto written = write_image(file, picture);
        return written ? std::string() : written.error().message;
    }
    if (verb == "pixel") {
        const Area area{static_cast<int>(number_of(command, "x", -1)), static_cast<int>(number_of(command, "y", -1)), 1, 1};
        const auto pixels = pixels_of(picture, area);
        if (pixels.empty()) return "that is outside the picture";
        answer["colour"] = text_of_colour(pixels.front());
        return {};
    }
    const auto colour = colour_of(text_of(command, "colour"));
    if (!colour) return "give a \"colour\" like \"#ff8800\"";
    answer["count"] = count_colour(picture, area_of(command), *colour, static_cast<int>(number_of(command, "tolerance", 0)));
    return {};
}

/// What let this terminal in, and where: for tests that say it again.
std::string tell_ticket(const ProbeTerminal& terminal, Json& answer) {
    const TerminalRedirect* followed = terminal.followed();
    if (followed == nullptr) return "the terminal is not connected";
    answer["ticket"] = followed->ticket.text;
    answer["host"] = followed->endpoint.host;
    answer["port"] = followed->endpoint.port;
    answer["epoch"] = followed->epoch;
    return {};
}

bool is_look(const std::string& verb) {
    return verb == "status" || verb == "screenshot" || verb == "pixel" || verb == "count";
}

}  // namespace

void Commands::take(const std::string& line) {
    const Json command = Json::parse(line, nullptr, false);
    const std::string verb = command.is_object() ? text_of(command, "do") : std::string();
    Json answer = {{"answer", verb}};
    if (command.is_object() && command.contains("id")) answer["id"] = command["id"];
    std::string problem;
    if (verb == "quit") {
        quitting_ = true;
    } else if (verb == "take_back") {
        terminal_->take_back();
    } else if (verb == "report") {
        const auto updates = command.find("updates");
        report_updates_ = updates != command.end() && *updates == true;
    } else if (verb == "ticket") {
        problem = tell_ticket(*terminal_, answer);
    } else if (is_input(verb)) {
        problem = give_input(*terminal_, verb, command);
    } else if (is_look(verb)) {
        problem = look(*terminal_, verb, command, answer);
    } else if (verb == "guard") {
        Guard guard;
        guard.area = area_of(command);
        guard.at_most = static_cast<std::uint64_t>(number_of(command, "at_most", 0));
        guard.before = pixels_of(terminal_->picture(), guard.area);
        if (guard.before.empty()) problem = "there is no picture, or the area is outside it";
        else guards_[text_of(command, "name")] = std::move(guard);
    } else if (verb == "guarded") {
        const auto found = guards_.find(text_of(command, "name"));
        if (found == guards_.end()) {
            problem = "there is no guard of that \"name\"";
        } else {
            answer["pictures"] = found->second.pictures;
            answer["differing"] = found->second.differing;
            answer["worst"] = found->second.worst;
            answer["first_mono_ns"] = found->second.first_mono_ns;
            guards_.erase(found);
        }
    } else if (verb == "wait") {
        Wait wait;
        wait.id_json = answer.dump();
        wait.what = text_of(command, "for");
        wait.area = area_of(command);
        wait.epoch = static_cast<Epoch>(number_of(command, "epoch", 0));
        wait.at_least = static_cast<std::uint64_t>(number_of(command, "at_least", 1));
        wait.tolerance = static_cast<int>(number_of(command, "tolerance", 0));
        wait.timeout_ms = number_of(command, "timeout_ms", kDefaultWaitMs);
        wait.deadline = now() + std::chrono::milliseconds(wait.timeout_ms);
        wait.before = pixels_of(terminal_->picture(), wait.area);
        const auto colour = colour_of(text_of(command, "colour"));
        if (wait.what == "colour" && !colour) problem = "give a \"colour\" like \"#ff8800\"";
        if (wait.what != "colour" && wait.what != "change" && wait.what != "picture") problem = "\"for\" is \"change\", \"colour\" or \"picture\"";
        wait.colour = colour.value_or(0);
        if (problem.empty()) {
            waits_.push_back(std::move(wait));
            return look_at_waits();  // answered when it holds, or its time is over
        }
    } else {
        problem = "not understood; see understudy-probe --help";
    }
    answer["ok"] = problem.empty();
    if (!problem.empty()) answer["reason"] = problem;
    say_(line_of(stamped(answer, Instant::now())));
}

bool Commands::holds(const Wait& wait) const {
    if (!terminal_->has_picture() || terminal_->picture_epoch() < wait.epoch) return false;
    if (wait.what == "picture") return true;
    if (wait.what == "colour") return count_colour(terminal_->picture(), wait.area, wait.colour, wait.tolerance) >= wait.at_least;
    return pixels_of(terminal_->picture(), wait.area) != wait.before;
}

void Commands::look_at_waits() {
    std::erase_if(waits_, [&](const Wait& wait) {
        const bool fine = holds(wait);
        if (!fine && now() < wait.deadline) return false;
        Json answer = Json::parse(wait.id_json);
        answer["ok"] = fine;
        answer["epoch"] = terminal_->picture_epoch();
        if (!fine) answer["reason"] = "did not happen within " + std::to_string(wait.timeout_ms) + " ms";
        say_(line_of(stamped(answer, Instant::now())));
        return true;
    });
}

void Commands::look_at_guards() {
    for (auto& [name, guard] : guards_) {
        const auto after = pixels_of(terminal_->picture(), guard.area);
        std::uint64_t changed = after.size() == guard.before.size() ? 0 : guard.before.size();
        for (std::size_t i = 0; changed == 0 && i < after.size(); ++i) {
            if (after[i] == guard.before[i]) continue;
            for (std::size_t j = i; j < after.size(); ++j) changed += after[j] != guard.before[j] ? 1 : 0;
        }
        ++guard.pictures;
        guard.worst = std::max(guard.worst, changed);
        if (changed <= guard.at_most) continue;
        ++guard.differing;
        if (guard.first_mono_ns == 0) guard.first_mono_ns = Instant::now().mono_ns;
    }
}

void Commands::heard(const Seen& seen) {
    if (seen.event != "update" || report_updates_) {
        Json event = {{"event", seen.event}};
        if (seen.epoch != 0) event["epoch"] = seen.epoch;
        if (seen.incident) event["incident"] = seen.incident.value;
        if (!seen.text.empty()) event["text"] = seen.text;
        if (seen.event == "update" || seen.event == "picture") {
            event["x"] = seen.area.x;
            event["y"] = seen.area.y;
            event["width"] = seen.area.width;
            event["height"] = seen.area.height;
        }
        say_(line_of(stamped(event, seen.when)));
    }
    if (seen.event != "update") return;
    look_at_guards();
    look_at_waits();
}

void Commands::tick() { look_at_waits(); }

TimePoint Commands::next_wake() const {
    TimePoint next = kNever;
    for (const Wait& wait : waits_) next = std::min(next, wait.deadline);
    return next;
}

}  // namespace understudy::client
