// understudy-probe: a terminal without a screen, for tests and measurement. One thread, plus the link's.
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include <CLI/CLI.hpp>

#include "base/version.hpp"
#include "client/probe/commands.hpp"

namespace {

using namespace understudy;
using namespace understudy::client;

constexpr std::size_t kLongestLine = 1 << 20;

constexpr const char* kLanguage =
    "Commands, one JSON object per line on standard input; \"id\" is returned in the answer:\n"
    "  {\"do\":\"type\",\"text\":\"ls\\n\"}              {\"do\":\"key\",\"name\":\"Return\"} or \"keysym\":65293, \"down\":true\n"
    "  {\"do\":\"click\",\"x\":10,\"y\":20,\"button\":1} {\"do\":\"move\",\"x\":10,\"y\":20}   {\"do\":\"clipboard\",\"text\":\"…\"}\n"
    "  {\"do\":\"screenshot\",\"file\":\"a.png\"}       {\"do\":\"pixel\",\"x\":1,\"y\":2}    {\"do\":\"status\"}\n"
    "  {\"do\":\"count\",\"colour\":\"#ff8800\",\"tolerance\":0,\"x\":0,\"y\":0,\"width\":9,\"height\":9}\n"
    "  {\"do\":\"wait\",\"for\":\"picture\",\"epoch\":3,\"timeout_ms\":5000}\n"
    "  {\"do\":\"wait\",\"for\":\"change\",\"x\":0,\"y\":0,\"width\":9,\"height\":9}\n"
    "  {\"do\":\"wait\",\"for\":\"colour\",\"colour\":\"#ff8800\",\"at_least\":50,\"tolerance\":0}\n"
    "  {\"do\":\"press\",\"x\":10,\"y\":20,\"button\":1}, \"move\" with \"button\":1, and \"release\": drags, at the caller's pace\n"
    "  {\"do\":\"guard\",\"name\":\"a\",\"x\":0,\"y\":0,\"width\":9,\"height\":9,\"at_most\":0}  counts pictures in which more pixels differ\n"
    "  {\"do\":\"guarded\",\"name\":\"a\"}             tells pictures, differing, worst, first_mono_ns, and ends the guard\n"
    "  {\"do\":\"report\",\"updates\":true}           {\"do\":\"quit\"}\n"
    "  {\"do\":\"ticket\"}                          tells the ticket that let it in, with host, port and epoch of that door\n"
    "  {\"do\":\"take_back\"}                       asks for the desktop that another place has taken\n"
    "Answers: {\"answer\":verb,\"ok\":…,\"reason\":…,\"mono_ns\":…,\"wall_ms\":…}. Events: {\"event\":…} with link_up,\n"
    "link_down, redirect, stale, waiting, refused, connected, picture, update, lost, unreachable, clipboard,\n"
    "taken, notice;\n"
    "mono_ns is CLOCK_MONOTONIC. The probe ends with its standard input; waits are answered before.";

/// Splits what comes from standard input into lines.
class Input {
public:
    /// Returns false at the end of the input.
    bool read() {
        char buffer[65536];
        const ssize_t length = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (length <= 0) return false;
        text_.append(buffer, static_cast<std::size_t>(length));
        return text_.size() <= kLongestLine;
    }

    bool take(std::string& line) {
        const auto end = text_.find('\n');
        if (end == std::string::npos) return false;
        line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return true;
    }

private:
    std::string text_;
};

int until_next(TimePoint next) {
    if (next == kNever) return -1;
    const auto now = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
    return static_cast<int>(std::max<std::int64_t>(0, to_ms(next.time_since_epoch() - now) + 1));
}

int run(const Configuration& configuration, const std::string& name, std::uint32_t width, std::uint32_t height) {
    Commands commands([](const std::string& line) { std::cout << line << "\n" << std::flush; });
    ProbeTerminal terminal(name, width, height, [&](const Seen& seen) { commands.heard(seen); });
    commands.steer(terminal);
    if (const auto opened = terminal.open(configuration); !opened) {
        std::cerr << "understudy-probe: " << opened.error().message << "\n";
        return 2;
    }
    Input input;
    bool open = true;
    while (!commands.quitting() && (open || commands.next_wake() != kNever)) {
        std::vector<pollfd> items;
        terminal.add_polled(items);
        if (open) items.push_back({STDIN_FILENO, POLLIN, 0});
        static_cast<void>(::poll(items.data(), items.size(), until_next(std::min(terminal.next_wake(), commands.next_wake()))));
        if (open && items.back().revents != 0) open = input.read();
        for (std::string line; !commands.quitting() && input.take(line);) commands.take(line);
        terminal.step();
        commands.tick();
    }
    terminal.detach();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"A terminal without a screen: attaches, follows redirects by itself, and tells what it sees and when."};
    app.set_version_flag("--version", std::string("understudy-probe ") + understudy::kRelease);
    app.footer(kLanguage);
    std::string path;
    std::string terminal;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    app.add_option("--terminal", terminal, "the terminal's name")->required();
    app.add_option("--config", path, "configuration file (default: as for understudy)")->type_name("FILE");
    app.add_option("--width", width, "wished width of the desktop; 0: the profile's");
    app.add_option("--height", height, "wished height of the desktop; 0: the profile's");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    const auto found = find_configuration(path);
    const auto configuration = found ? load_configuration(*found) : tl::unexpected(found.error());
    if (!configuration) {
        std::cerr << "understudy-probe: " << configuration.error().message << "\n";
        return 2;
    }
    return run(*configuration, terminal, width, height);
}
