// Processes, X servers, the door. The test's thread, and one thread in each door.
#include <catch2/catch.hpp>  // before Xlib, whose macros would break it

#include "tests/presentation/rig.hpp"

#include <X11/Xutil.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/door_line.hpp"
#include "streams/pump.hpp"

#include <array>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>

namespace rig {

using understudy::kDoorGo;
using understudy::kRenewalBytes;
namespace streams = understudy::streams;
namespace {

using Clock = std::chrono::steady_clock;

void pause_briefly() {
    // Pauses between two looks at something another process does; never what a test relies on.
    std::this_thread::sleep_for(milliseconds{5});
}

}  // namespace

bool eventually(const std::function<bool()>& is_true, milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    while (!is_true()) {
        if (Clock::now() > deadline) return false;
        pause_briefly();
    }
    return true;
}

Folder::Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "understudy-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
}

Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

// Processes.

Process::Process(std::vector<std::string> arguments, const std::string& display)
    : Process(std::move(arguments), display, Pipes{}) {}

Process::Process(std::vector<std::string> arguments, const std::string& display, Pipes pipes) {
    std::array<int, 2> to_child{-1, -1};
    std::array<int, 2> from_child{-1, -1};
    if (pipes.with_input) REQUIRE(pipe2(to_child.data(), O_CLOEXEC) == 0);
    if (pipes.with_output) REQUIRE(pipe2(from_child.data(), O_CLOEXEC) == 0);
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int parent = getpid();
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        const int nothing = open("/dev/null", O_RDWR);
        dup2(pipes.with_input ? to_child[0] : nothing, 0);
        dup2(pipes.with_output ? from_child[1] : nothing, 1);
        if (std::getenv("RIG_VERBOSE") == nullptr) dup2(nothing, 2);
        if (pipes.kept_fd >= 0) fcntl(pipes.kept_fd, F_SETFD, 0);
        if (!display.empty()) setenv("DISPLAY", display.c_str(), 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    if (pipes.with_input) close(to_child[0]);
    if (pipes.with_output) close(from_child[1]);
    input_ = to_child[1];
    output_ = from_child[0];
    if (output_ >= 0) fcntl(output_, F_SETFL, O_NONBLOCK);
}

Process::~Process() {
    close_input();
    if (!status_) {
        ::kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    if (output_ >= 0) close(output_);
}

void Process::signal(int number) const { ::kill(pid_, number); }

bool Process::is_running() {
    if (status_) return false;
    int raw = 0;
    if (waitpid(pid_, &raw, WNOHANG) != pid_) return true;
    status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    return false;
}

std::optional<int> Process::wait(milliseconds timeout) {
    (void)eventually([this] { return !is_running(); }, timeout);
    return status_;
}

void Process::write(const std::string& text) const {
    REQUIRE(::write(input_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

void Process::close_input() {
    if (input_ >= 0) close(input_);
    input_ = -1;
}

std::string Process::read_available() const {
    std::string text;
    std::array<char, 4096> chunk{};
    while (true) {
        const ssize_t got = read(output_, chunk.data(), chunk.size());
        if (got <= 0) return text;
        text.append(chunk.data(), static_cast<std::size_t>(got));
    }
}

std::string output_of(std::vector<std::string> arguments, const std::string& display) {
    Process process(std::move(arguments), display, {.with_output = true});
    std::string text;
    (void)eventually([&] {
        text += process.read_available();
        return !process.is_running();
    });
    return text + process.read_available();
}

void run(std::vector<std::string> arguments, const std::string& display) {
    const std::string name = arguments.front();
    Process process(std::move(arguments), display);
    INFO("command " << name);
    REQUIRE(process.wait(milliseconds{10000}) == 0);
}

// X servers.

XServer::XServer(int width, int height, std::vector<std::string> more_options) {
    std::array<int, 2> ready{};
    REQUIRE(pipe2(ready.data(), O_CLOEXEC) == 0);
    std::vector<std::string> arguments{"Xvnc", "-displayfd", std::to_string(ready[1]), "-rfbport", "-1",
                                       "-rfbunixpath", rfb_socket(), "-SecurityTypes", "None", "-AlwaysShared",
                                       "-depth", "24", "-geometry",
                                       std::to_string(width) + "x" + std::to_string(height)};
    arguments.insert(arguments.end(), more_options.begin(), more_options.end());
    process_ = std::make_unique<Process>(std::move(arguments), "", Process::Pipes{.kept_fd = ready[1]});
    close(ready[1]);
    std::array<char, 16> number{};
    std::size_t size = 0;
    while (size < number.size() && number[size == 0 ? 0 : size - 1] != '\n') {
        const ssize_t got = read(ready[0], number.data() + size, 1);
        if (got <= 0) break;
        ++size;
    }
    close(ready[0]);
    REQUIRE(size > 1);
    name_ = ":" + std::string(number.data(), size - 1);
    display_ = XOpenDisplay(name_.c_str());
    REQUIRE(display_ != nullptr);
}

XServer::~XServer() {
    if (display_ != nullptr) XCloseDisplay(display_);
    // Politely, so that it takes its lock file and sockets away.
    process_->signal(SIGTERM);
    (void)process_->wait();
}

void XServer::kill() {
    XCloseDisplay(display_);
    display_ = nullptr;
    process_->signal(SIGTERM);
    (void)process_->wait();
}

std::pair<int, int> XServer::size() const {
    Display* const fresh = XOpenDisplay(name_.c_str());
    REQUIRE(fresh != nullptr);
    const std::pair<int, int> size{DisplayWidth(fresh, 0), DisplayHeight(fresh, 0)};
    XCloseDisplay(fresh);
    return size;
}

void XServer::paint(std::uint32_t colour) const {
    XSetWindowBackground(display_, DefaultRootWindow(display_), colour);
    XClearWindow(display_, DefaultRootWindow(display_));
    XSync(display_, False);
}

void XServer::paint_rectangle(std::uint32_t colour, int x, int y, int width, int height) const {
    const GC gc = XCreateGC(display_, DefaultRootWindow(display_), 0, nullptr);
    XSetForeground(display_, gc, colour);
    XFillRectangle(display_, DefaultRootWindow(display_), gc, x, y, static_cast<unsigned>(width),
                   static_cast<unsigned>(height));
    XFreeGC(display_, gc);
    XSync(display_, False);
}

std::vector<std::uint32_t> XServer::pixels(int x, int y, int width, int height) const {
    const Window root = DefaultRootWindow(display_);
    XImage* const image = XGetImage(display_, root, x, y, static_cast<unsigned>(width), static_cast<unsigned>(height),
                                    AllPlanes, ZPixmap);
    REQUIRE(image != nullptr);
    std::vector<std::uint32_t> colours;
    colours.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
    for (int row = 0; row < height; ++row) {
        for (int column = 0; column < width; ++column) {
            colours.push_back(static_cast<std::uint32_t>(XGetPixel(image, column, row)) & 0xFFFFFFU);
        }
    }
    XDestroyImage(image);
    return colours;
}

std::uint32_t XServer::pixel(int x, int y) const { return pixels(x, y, 1, 1).front(); }

// The door.

struct Door::State {
    mutable std::mutex mutex;
    std::string unix_socket;
    std::string refusal;
    bool knows_renewals = true;
    std::vector<std::string> lines;
    std::atomic<bool> is_cutting{false};
    int listener = -1;
    int wake_read = -1;
    int wake_write = -1;
    streams::DoorIdentity identity = std::move(streams::DoorIdentity::make().value());
    streams::Pump pump;

    struct Pair {
        int client;
        int server;
    };
    std::vector<Pair> pairs;

    void run();
    void accept_one();
    static bool copy(int from, int to);
    static std::string read_line(int from);
    void close_pair(std::size_t index);
};

std::string Door::State::read_line(int from) {
    std::string line;
    char c = 0;
    while (recv(from, &c, 1, 0) == 1 && c != '\n') line.push_back(c);
    return line;
}

bool Door::State::copy(int from, int to) {
    std::array<char, 65536> chunk{};
    const ssize_t got = recv(from, chunk.data(), chunk.size(), 0);
    if (got <= 0) return false;
    ssize_t done = 0;
    while (done < got) {
        const ssize_t sent = send(to, chunk.data() + done, static_cast<std::size_t>(got - done), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        done += sent;
    }
    return true;
}

void Door::State::accept_one() {
    const int tcp = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (tcp < 0) return;
    const int on = 1;
    setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto secured = pump.secure_as_server(streams::OwnedFd(tcp), identity);
    if (!secured) return;
    const int client = secured->socket.release();
    fcntl(client, F_SETFL, 0);  // blocking, as all of this rig
    const std::string line = read_line(client);
    const std::lock_guard lock(mutex);
    if (line.empty()) {  // it left before it said one
        close(client);
        return;
    }
    lines.push_back(line);
    const int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, unix_socket.c_str(), sizeof address.sun_path - 1);
    const bool is_void = !knows_renewals && line.find(" =") != std::string::npos;
    if (is_void) {
        (void)send(client, "VOID this renewal was used\n", 27, MSG_NOSIGNAL);
        close(client);
        return;
    }
    const std::string answer = refusal.empty() ? "OK " + std::string(kRenewalBytes, 'r') + "\n" : "NO " + refusal + "\n";
    const bool is_open = refusal.empty() &&
                         connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (is_open || !refusal.empty()) (void)send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
    if (is_open && read_line(client) + "\n" == kDoorGo) {
        pairs.push_back(Pair{client, server});
    } else {
        close(client);
        close(server);
    }
}

void Door::State::close_pair(std::size_t index) {
    close(pairs[index].client);
    close(pairs[index].server);
    pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(index));
}

void Door::State::run() {
    while (true) {
        std::vector<pollfd> fds{pollfd{wake_read, POLLIN, 0}, pollfd{listener, POLLIN, 0}};
        for (const Pair& pair : pairs) {
            fds.push_back(pollfd{pair.client, POLLIN, 0});
            fds.push_back(pollfd{pair.server, POLLIN, 0});
        }
        (void)poll(fds.data(), fds.size(), -1);
        if (fds[0].revents != 0) {
            char reason = 'q';
            if (read(wake_read, &reason, 1) != 1 || reason == 'q') break;
            while (!pairs.empty()) close_pair(0);
            is_cutting.store(false);
            continue;
        }
        for (std::size_t i = pairs.size(); i-- > 0;) {
            const bool from_client = fds[2 + 2 * i].revents != 0;
            const bool from_server = fds[3 + 2 * i].revents != 0;
            const Pair pair = pairs[i];
            const bool is_fine = (!from_client || copy(pair.client, pair.server)) &&
                                 (!from_server || copy(pair.server, pair.client));
            if (!is_fine) close_pair(i);
        }
        if (fds[1].revents != 0) accept_one();
    }
    while (!pairs.empty()) close_pair(0);
}

const std::string& Door::key() const { return state_->identity.key(); }

Door::Door(std::string unix_socket) : state_(std::make_shared<State>()) {
    state_->unix_socket = std::move(unix_socket);
    state_->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(state_->listener, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    REQUIRE(listen(state_->listener, 16) == 0);
    REQUIRE(getsockname(state_->listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    std::array<int, 2> wake{};
    REQUIRE(pipe2(wake.data(), O_CLOEXEC) == 0);
    state_->wake_read = wake[0];
    state_->wake_write = wake[1];
    thread_ = std::thread([state = state_] { state->run(); });
}

Door::~Door() {
    (void)!write(state_->wake_write, "q", 1);
    thread_.join();
    close(state_->listener);
    close(state_->wake_read);
    close(state_->wake_write);
}

void Door::void_renewals() {
    const std::lock_guard lock(state_->mutex);
    state_->knows_renewals = false;
}

void Door::refuse_with(const std::string& reason) {
    const std::lock_guard lock(state_->mutex);
    state_->refusal = reason;
}

void Door::lead_to(const std::string& unix_socket) {
    const std::lock_guard lock(state_->mutex);
    state_->unix_socket = unix_socket;
}

void Door::cut() {
    state_->is_cutting.store(true);
    (void)!write(state_->wake_write, "c", 1);
    (void)eventually([this] { return !state_->is_cutting.load(); });
}

std::vector<std::string> Door::lines() const {
    const std::lock_guard lock(state_->mutex);
    return state_->lines;
}

// The window under test.

struct WindowProcess::Events {
    std::deque<nlohmann::json> waiting;
};

WindowProcess::WindowProcess(const XServer& desktop, std::vector<std::string> options)
    : desktop_(desktop), events_(std::make_unique<Events>()) {
    std::vector<std::string> arguments{UNDERSTUDY_WINDOW_PROGRAM};
    arguments.insert(arguments.end(), options.begin(), options.end());
    process_ = std::make_unique<Process>(std::move(arguments), desktop.name(),
                                         Process::Pipes{.with_input = true, .with_output = true});
    id_ = wait_event("ready").at("window").get<Window>();
}

WindowProcess::~WindowProcess() = default;

void WindowProcess::command(const nlohmann::json& command) { raw_command(command.dump()); }

void WindowProcess::raw_command(const std::string& line) { process_->write(line + "\n"); }

void WindowProcess::connect_to(const Door& door, int epoch, const char* mode) {
    nlohmann::json connect{{"do", "connect"}, {"host", "127.0.0.1"}, {"port", door.port()}, {"key", door.key()}, {"ticket", "dGlja2V0"}, {"epoch", epoch}};
    if (mode != nullptr) connect["mode"] = mode;
    command(connect);
}

void WindowProcess::read_events() {
    partial_ += process_->read_available();
    for (auto end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n')) {
        events_->waiting.push_back(nlohmann::json::parse(partial_.substr(0, end)));
        partial_.erase(0, end + 1);
    }
}

nlohmann::json WindowProcess::wait_event(const std::string& kind, milliseconds timeout) {
    nlohmann::json found;
    std::string others;
    const bool came = eventually(
        [&] {
            read_events();
            while (!events_->waiting.empty()) {
                nlohmann::json event = std::move(events_->waiting.front());
                events_->waiting.pop_front();
                if (event.at("event") == kind) {
                    found = std::move(event);
                    return true;
                }
                others += event.dump() + " ";
            }
            return false;
        },
        timeout);
    INFO("waiting for event " << kind << ", got only: " << others);
    REQUIRE(came);
    return found;
}

bool WindowProcess::has_event(const std::string& kind) {
    read_events();
    for (const auto& event : events_->waiting) {
        if (event.at("event") == kind) return true;
    }
    return false;
}

std::pair<int, int> WindowProcess::origin() const {
    int x = 0;
    int y = 0;
    Window child = None;
    XTranslateCoordinates(desktop_.display(), id_, DefaultRootWindow(desktop_.display()), 0, 0, &x, &y, &child);
    return {x, y};
}

std::pair<int, int> WindowProcess::size() const {
    XWindowAttributes attributes{};
    XGetWindowAttributes(desktop_.display(), id_, &attributes);
    return {attributes.width, attributes.height};
}

std::unique_ptr<Process> start_window_manager(const XServer& desktop) {
    auto process = std::make_unique<Process>(
        std::vector<std::string>{"openbox", "--config-file", UNDERSTUDY_DESKTOP_FOLDER "/rc.xml", "--sm-disable"},
        desktop.name());
    const Atom check = XInternAtom(desktop.display(), "_NET_SUPPORTING_WM_CHECK", False);
    REQUIRE(eventually([&] {
        int count = 0;
        Atom* const properties = XListProperties(desktop.display(), DefaultRootWindow(desktop.display()), &count);
        const bool is_there = std::find(properties, properties + count, check) != properties + count;
        if (properties != nullptr) XFree(properties);
        return is_there;
    }));
    return process;
}

}  // namespace rig
