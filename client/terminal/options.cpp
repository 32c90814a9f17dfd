// See options.hpp.
#include "client/terminal/options.hpp"

#include <charconv>
#include <utility>
#include <vector>

namespace understudy::terminal {
namespace {

constexpr const char* kFullScreenKeys = "Ctrl+Alt+Return";
constexpr const char* kLeaveKeys = "Ctrl+Alt+Shift+Q";

template <class Number>
std::optional<Number> number_in(std::string_view text, Number lowest, Number highest) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < lowest || value > highest) return std::nullopt;
    return value;
}

/// One value and where it came from, for complaints.
class Setting {
public:
    Setting(const client::OptionFile& file, std::string name, const std::optional<std::string>& given)
        : file_(file), name_(std::move(name)), text_(given), on_command_line_(given.has_value()) {}

    [[nodiscard]] Result<> look() {
        if (text_) return {};
        auto text = file_.text("terminal." + name_);
        if (!text) return tl::unexpected(text.error());
        text_ = std::move(*text);
        return {};
    }

    [[nodiscard]] bool is_given() const { return text_.has_value(); }
    [[nodiscard]] const std::string& text() const { return *text_; }
    [[nodiscard]] bool on_command_line() const { return on_command_line_; }

    [[nodiscard]] tl::unexpected<Error> complaint(const std::string& what) const {
        if (!on_command_line_) return file_.complaint("terminal." + name_, what);
        std::string option = name_ == "name" ? "terminal" : name_;
        for (char& c : option) c = c == '_' ? '-' : c;
        return failure(ErrorCode::invalid, "--" + option + " " + what);
    }

private:
    const client::OptionFile& file_;
    std::string name_;
    std::optional<std::string> text_;
    bool on_command_line_;
};

Result<> take_size(const Setting& setting, Options& options) {
    const auto x = setting.text().find('x');
    const auto width = number_in(std::string_view(setting.text()).substr(0, x), 320, viewer::kMaxSidePixels);
    const auto height = x == std::string::npos ? std::nullopt : number_in(std::string_view(setting.text()).substr(x + 1), 200, viewer::kMaxSidePixels);
    if (!width || !height) return setting.complaint("must be a width and a height like 1280x800, at least 320x200");
    options.window_size = {*width, *height};
    return {};
}

Result<> take_resize(const Setting& setting, Options& options) {
    if (setting.text() != "desktop" && setting.text() != "scale") return setting.complaint("must be desktop or scale");
    options.resize = setting.text() == "desktop" ? Resize::desktop : Resize::scale;
    return {};
}

Result<> take_scale(const Setting& setting, Options& options) {
    if (setting.text() == "auto") return {};
    const auto scale = number_in(setting.text(), 0.5, 4.0);
    if (!scale) return setting.complaint("must be auto, or window pixels per desktop pixel from 0.5 to 4");
    options.scale = *scale;
    return {};
}

Result<> take_clipboard(const Setting& setting, Options& options) {
    if (setting.text() != "both" && setting.text() != "none") return setting.complaint("must be both or none");
    options.clipboard = setting.text() == "both" ? Clipboard::both : Clipboard::none;
    return {};
}

Result<> take_font(const Setting& setting, Options& options) {
    options.font_file = setting.text();
    return {};
}

Result<> take_give_up(const Setting& setting, Options& options) {
    const auto seconds = number_in(setting.text(), 0, 86400);
    if (!seconds) return setting.complaint("must be a number of seconds up to 86400; 0 waits for ever");
    options.give_up = std::chrono::seconds(*seconds);
    return {};
}

Result<> take_keys(const Setting& setting, Shortcut& shortcut) {
    auto parsed = parse_shortcut(setting.text());
    if (!parsed) return setting.complaint("cannot be used: " + parsed.error().message);
    shortcut = *parsed;
    return {};
}

Result<> take_full_screen_keys(const Setting& setting, Options& options) { return take_keys(setting, options.full_screen_keys); }
Result<> take_leave_keys(const Setting& setting, Options& options) { return take_keys(setting, options.leave_keys); }

Result<> take_appearance(const Setting& setting, Options& options) {
    if (setting.text() == "window") options.appearance = Appearance::window;
    else if (setting.text() == "full-screen") options.appearance = Appearance::full_screen;
    else if (setting.text() == "kiosk") options.appearance = Appearance::kiosk;
    else return setting.complaint("must be window, full-screen or kiosk");
    return {};
}

Result<> take_name(const Setting& setting, Options& options) {
    if (setting.text().empty()) return setting.complaint("is empty");
    options.terminal = setting.text();
    return {};
}

std::optional<std::string> appearance_given(const Given& given) {
    if (given.kiosk) return "kiosk";
    if (given.full_screen) return "full-screen";
    return std::nullopt;
}

/// Nothing leads out of a kiosk by accident: its keys have to be chosen.
void choose_keys(Options& options) {
    options.full_screen_keys = *parse_shortcut(kFullScreenKeys);
    options.leave_keys = *parse_shortcut(kLeaveKeys);
    if (options.appearance != Appearance::kiosk) return;
    options.full_screen_keys = {};
    options.leave_keys = {};
}

Result<> check(const Options& options) {
    if (options.terminal.empty()) {
        return failure(ErrorCode::invalid, "which terminal? Name it with --terminal NAME, or as name in the table [terminal] of the configuration");
    }
    if (options.appearance == Appearance::kiosk && options.give_up.count() != 0) {
        return failure(ErrorCode::invalid, "a kiosk waits for its desktop for ever: leave give_up out, or use full-screen");
    }
    return {};
}

using Taker = Result<> (*)(const Setting&, Options&);

struct KnownOption {
    const char* name;
    std::optional<std::string> given;
    Taker take;
};

}  // namespace

Result<Options> merge_options(const Given& given, const client::OptionFile& file) {
    Options options;
    auto configuration = client::take_configuration(file);
    if (!configuration) return tl::unexpected(configuration.error());
    options.configuration = std::move(*configuration);
    // The appearance first: it decides which keys there are.
    const std::vector<KnownOption> settings = {
        {"name", given.terminal, take_name}, {"appearance", appearance_given(given), take_appearance},
        {"size", given.size, take_size}, {"resize", given.resize, take_resize}, {"scale", given.scale, take_scale},
        {"clipboard", given.clipboard, take_clipboard}, {"font", given.font, take_font},
        {"full_screen_keys", given.full_screen_keys, take_full_screen_keys},
        {"leave_keys", given.leave_keys, take_leave_keys}, {"give_up", given.give_up, take_give_up}};
    std::vector<std::string> names;
    for (const KnownOption& known : settings) names.push_back(std::string("terminal.") + known.name);
    std::vector<std::string_view> allowed = {"manager", "manager_key", "public_key", "secret_key", "key_file", "gateway.*"};
    allowed.insert(allowed.end(), names.begin(), names.end());
    if (auto only = file.only(allowed); !only) return tl::unexpected(only.error());
    for (const KnownOption& known : settings) {
        Setting setting(file, known.name, known.given);
        if (auto looked = setting.look(); !looked) return tl::unexpected(looked.error());
        if (setting.is_given()) {
            if (auto taken = known.take(setting, options); !taken) return tl::unexpected(taken.error());
        }
        if (known.take == take_appearance) choose_keys(options);
        if (known.take == take_font && setting.is_given() && !setting.on_command_line()) {
            options.font_file = file.resolved(options.font_file);
        }
    }
    if (auto checked = check(options); !checked) return tl::unexpected(checked.error());
    return options;
}

Result<Options> read_options(const Given& given) {
    const auto path = client::find_configuration(given.config);
    if (!path) return tl::unexpected(path.error());
    const auto file = client::OptionFile::read(*path);
    if (!file) return tl::unexpected(file.error());
    return merge_options(given, *file);
}

}  // namespace understudy::terminal
