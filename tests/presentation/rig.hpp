// Real things for the tests of the presentation node: private X servers, a window process, a door.
// Nothing uses a fixed port or display number; everything ends with its object. One test thread owns it all,
// but for the door's own thread.
#pragma once

#include <X11/Xlib.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace rig {

using std::chrono::milliseconds;

/// Asks again and again until the answer is true; false after the time-out.
[[nodiscard]] bool eventually(const std::function<bool()>& is_true, milliseconds timeout = milliseconds{5000});

/// A directory that goes away with everything in it.
class Folder {
public:
    Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder();
    [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

/// A child process; killed at the end, and also when the test program dies.
class Process {
public:
    struct Pipes {
        bool with_input = false;
        bool with_output = false;
        int kept_fd = -1;  ///< inherited by the child under the same number
    };
    Process(std::vector<std::string> arguments, const std::string& display, Pipes pipes);
    Process(std::vector<std::string> arguments, const std::string& display);
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();

    [[nodiscard]] int pid() const { return pid_; }
    void signal(int number) const;
    [[nodiscard]] bool is_running();
    /// Exit status, 128 + signal number for a signal; none when it still runs after the time-out.
    [[nodiscard]] std::optional<int> wait(milliseconds timeout = milliseconds{5000});
    void write(const std::string& text) const;
    void close_input();
    /// What it has written since the last call; never waits.
    [[nodiscard]] std::string read_available() const;

private:
    int pid_ = -1;
    int input_ = -1;
    int output_ = -1;
    std::optional<int> status_;
};

/// Runs a command to its end and returns what it wrote.
[[nodiscard]] std::string output_of(std::vector<std::string> arguments, const std::string& display);
void run(std::vector<std::string> arguments, const std::string& display);

/// An X server of its own, with RFB on a Unix socket, and a connection to it.
class XServer {
public:
    XServer(int width, int height, std::vector<std::string> more_options = {});
    XServer(const XServer&) = delete;
    XServer& operator=(const XServer&) = delete;
    ~XServer();
    [[nodiscard]] const std::string& name() const { return name_; }  ///< ":7"
    [[nodiscard]] std::string rfb_socket() const { return folder_.path("rfb"); }
    [[nodiscard]] Display* display() const { return display_; }
    [[nodiscard]] Process& process() { return *process_; }
    /// The size now, as a new client sees it.
    [[nodiscard]] std::pair<int, int> size() const;
    /// Makes the whole background one colour (0xRRGGBB).
    void paint(std::uint32_t colour) const;
    void paint_rectangle(std::uint32_t colour, int x, int y, int width, int height) const;
    /// The colour at a point of the screen.
    [[nodiscard]] std::uint32_t pixel(int x, int y) const;
    /// Colours of a part of the screen, row by row.
    [[nodiscard]] std::vector<std::uint32_t> pixels(int x, int y, int width, int height) const;
    void kill();

private:
    Folder folder_;
    std::unique_ptr<Process> process_;
    std::string name_;
    Display* display_ = nullptr;
};

/// Takes connections under TLS like an agent's door does, checks the line, and splices to a Unix socket.
class Door {
public:
    explicit Door(std::string unix_socket);
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;
    ~Door();
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] const std::string& key() const;
    /// From now on answer `NO <reason>`; empty: `OK`.
    void refuse_with(const std::string& reason);
    /// Renewals are void from now on.
    void void_renewals();
    /// Breaks all connections; new ones are taken.
    void cut();
    void lead_to(const std::string& unix_socket);
    /// The first lines of all connections so far.
    [[nodiscard]] std::vector<std::string> lines() const;

private:
    struct State;
    std::shared_ptr<State> state_;
    int port_ = 0;
    std::thread thread_;
};

/// understudy-window under test.
class WindowProcess {
public:
    WindowProcess(const XServer& desktop, std::vector<std::string> options);
    ~WindowProcess();
    void command(const nlohmann::json& command);
    void raw_command(const std::string& line);
    void connect_to(const Door& door, int epoch, const char* mode = nullptr);
    /// The next event of this kind after those already waited for; fails the test when it does not come.
    nlohmann::json wait_event(const std::string& kind, milliseconds timeout = milliseconds{5000});
    /// Whether such an event has come and was not waited for.
    [[nodiscard]] bool has_event(const std::string& kind);
    [[nodiscard]] Process& process() { return *process_; }
    [[nodiscard]] Window id() const { return id_; }
    /// Where the picture area is on the desktop's screen.
    [[nodiscard]] std::pair<int, int> origin() const;
    [[nodiscard]] std::pair<int, int> size() const;

private:
    void read_events();
    const XServer& desktop_;
    std::unique_ptr<Process> process_;
    std::string partial_;
    struct Events;
    std::unique_ptr<Events> events_;
    Window id_ = 0;
};

/// openbox with the project's configuration, ready for work.
[[nodiscard]] std::unique_ptr<Process> start_window_manager(const XServer& desktop);

}  // namespace rig
