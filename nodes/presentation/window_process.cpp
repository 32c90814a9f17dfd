// See window_process.hpp.
#include "nodes/presentation/window_process.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "nodes/agent/base/tcp.hpp"
#include "nodes/presentation/window_event.hpp"

namespace understudy::node {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLineBytes = 256 * 1024;
constexpr Duration kFirstRestart = std::chrono::milliseconds(50);
constexpr Duration kLongestRestart = std::chrono::seconds(5);
constexpr std::size_t kIconBytes = 128 * 1024;

// Themes of the image keep the icons of applications here; a window without one is no loss.
std::string icon_of(const std::string& application) {
    if (application.find('/') != std::string::npos) return {};
    for (const char* folder : {"/usr/share/icons/hicolor/48x48/apps/", "/usr/share/icons/hicolor/32x32/apps/", "/usr/share/pixmaps/"}) {
        std::ifstream file(folder + application + ".png", std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        if (bytes.empty() || bytes.size() > kIconBytes) continue;
        std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
        sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
        text.pop_back();
        return text;
    }
    return {};
}

std::string line_of(const Json& command) { return command.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

WindowProcess::WindowProcess(Loop& loop, const PresentationSettings& settings, const DesktopServices& services, Setting setting,
                             WindowSource source, std::function<void()> on_changed)
    : loop_(loop), settings_(settings), services_(services), setting_(std::move(setting)), source_(std::move(source)), on_changed_(std::move(on_changed)) {
    status_.session = source_.session;
    status_.session_epoch = source_.session_epoch;
    start();
}

WindowProcess::~WindowProcess() {
    for (const auto watch : {process_watch_, from_watch_, to_watch_}) {
        if (watch != 0) loop_.unwatch(watch);
    }
    if (restart_timer_ != 0) loop_.cancel(restart_timer_);
    if (child_.pid <= 0) return;
    // It takes its window away when its input ends; the desktop's control group sees to the rest.
    to_.reset();
    const auto child = std::make_shared<Child>(std::move(child_));  // shared: a task has to be copyable
    const auto reap = std::make_shared<Loop::Id>(0);
    auto& loop = loop_;
    *reap = loop.watch(child->pidfd.get(), EPOLLIN, [child, reap, &loop](std::uint32_t) {
        (void)take_end(*child);
        loop.unwatch(*reap);
    });
    loop.after(std::chrono::seconds(2), [child] { ::syscall(SYS_pidfd_send_signal, child->pidfd.get(), SIGKILL, nullptr, 0); });
}

std::string WindowProcess::tag() const { return "session=" + to_string(source_.session) + " window: "; }

void WindowProcess::start() {
    restart_timer_ = 0;
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0) return;
    const Descriptor their_in(in[0]);
    to_.reset(in[1]);
    if (::pipe2(out, O_CLOEXEC) != 0) return;
    from_.reset(out[0]);
    const Descriptor their_out(out[1]);
    ::fcntl(to_.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(from_.get(), F_SETFL, O_NONBLOCK);
    Spawn what;
    what.command = {settings_.programs_folder + "/bin/understudy-window", "--session", to_string(source_.session), "--title",
                    source_.title.empty() ? source_.application : source_.title, "--app-name", source_.application.empty() ? "application" : source_.application,
                    "--geometry", setting_.geometry, "--mode", setting_.active ? "active" : "standby"};
    what.environment = plain_environment();
    what.environment["DISPLAY"] = setting_.display;
    what.environment["HOME"] = settings_.account.home;
    what.descriptors = {{0, their_in.get()}, {1, their_out.get()}, {2, 2}};
    what.cgroup = setting_.cgroup;
    what.account = &settings_.account;
    ++starts_;
    auto child = spawn(what);
    if (!child) {
        services_.log("warning", tag() + child.error().message);
        restart_timer_ = loop_.after(kLongestRestart, [this] { start(); });
        return;
    }
    child_ = std::move(*child);
    process_watch_ = loop_.watch(child_.pidfd.get(), EPOLLIN, [this](std::uint32_t) { note_end(); });
    from_watch_ = loop_.watch(from_.get(), EPOLLIN, [this](std::uint32_t) { read_events(); });
    incoming_.clear();
    outgoing_.clear();
    if (const auto icon = icon_of(source_.application); !icon.empty()) send(line_of({{"do", "icon"}, {"png_base64", icon}}));
    connect();
}

void WindowProcess::note_end() {
    read_events();
    for (auto* watch : {&process_watch_, &from_watch_, &to_watch_}) {
        if (*watch != 0) loop_.unwatch(std::exchange(*watch, 0));
    }
    const auto end = take_end(child_);
    child_ = {};
    to_.reset();
    from_.reset();
    services_.log("warning", tag() + "its process " + describe(end) + "; starting it again");
    status_.connected = false;
    status_.picture = false;
    const auto pause = std::min(kFirstRestart * (1U << std::min(starts_, 7U)), kLongestRestart);
    restart_timer_ = loop_.after(pause, [this] { start(); });
    on_changed_();
}

void WindowProcess::read_events() {
    char part[16 * 1024];
    // What is left is told of again; a process that never stops talking does not stop the loop.
    for (std::size_t taken = 0; from_ && taken < kLineBytes;) {
        const ssize_t got = ::read(from_.get(), part, sizeof part);
        if (got <= 0) break;
        taken += static_cast<std::size_t>(got);
        incoming_.append(part, static_cast<std::size_t>(got));
        for (auto end = incoming_.find('\n'); end != std::string::npos; end = incoming_.find('\n')) {
            const std::string line = incoming_.substr(0, end);
            incoming_.erase(0, end + 1);
            handle(line);
        }
        if (incoming_.size() > kLineBytes) incoming_.clear();
    }
}

void WindowProcess::handle(const std::string& line) {
    const auto event = parse_window_event(line);
    if (!event) return;
    using Kind = WindowEvent::Kind;
    const auto before = status_;
    switch (event->kind) {
        case Kind::connected:
        case Kind::picture:
            if (event->epoch == source_.session_epoch) {
                status_.connected = true;
                status_.picture = status_.picture || event->kind == Kind::picture;
                status_.void_ticket = 0;
                if (event->renewal) renewal_ = *event->renewal;
            }
            services_.log("info", tag() + event->name + " epoch=" + std::to_string(event->epoch) + " took_ms=" + std::to_string(event->took_ms));
            break;
        case Kind::disconnected:
            status_.connected = false;
            status_.picture = false;
            services_.log("info", tag() + "disconnected: " + event->words);
            break;
        case Kind::unreachable:
            services_.log("info", tag() + "unreachable: " + event->words);
            break;
        case Kind::refused:
            services_.log("info", tag() + "refused: " + event->words);
            if (event->is_void) {
                renewal_.clear();
                // The manager is asked for another ticket, unless a younger one is here.
                if (sent_ticket_ == source_.ticket.text) status_.void_ticket = source_.ticket.claims.serial;
            }
            if (sent_ticket_ != source_.ticket.text) connect();
            break;
        case Kind::trouble:
            services_.log("warning", tag() + event->words);
            break;
    }
    if (!(status_ == before)) on_changed_();
}

void WindowProcess::connect() {
    if (source_.endpoint.port == 0) {
        status_.connected = false;
        status_.picture = false;
        send(line_of({{"do", "waiting"}, {"text", source_.waiting}}));
        return;
    }
    const auto endpoint = as_seen_here(source_.endpoint, settings_.loopback_alias);
    sent_ticket_ = source_.ticket.text;
    status_.connected = false;
    status_.picture = false;
    status_.void_ticket = 0;
    Json command{{"do", "connect"}, {"host", endpoint.host}, {"port", endpoint.port}, {"key", endpoint.key}, {"ticket", source_.ticket.text},
                 {"epoch", source_.session_epoch}, {"mode", setting_.active ? "active" : "standby"}};
    if (!renewal_.empty()) command["renewal"] = renewal_;
    send(line_of(command));
}

void WindowProcess::set_source(const WindowSource& source) {
    const auto& old = source_.ticket.claims;
    const auto& now = source.ticket.claims;
    const bool elsewhere = !(source.endpoint == source_.endpoint) || source.session_epoch != source_.session_epoch || old.epoch != now.epoch ||
                           old.serving_epoch != now.serving_epoch || (source.endpoint.port == 0 && source.waiting != source_.waiting);
    const bool renamed = source.title != source_.title;
    // A younger ticket for the same stream is kept for the day it is asked for.
    source_ = source;
    if (elsewhere) renewal_.clear();
    status_.session_epoch = source.session_epoch;
    if (renamed) send(line_of({{"do", "title"}, {"text", source_.title}}));
    if (elsewhere || status_.void_ticket != 0) connect();
}

void WindowProcess::set_active(bool active) {
    if (setting_.active == active) return;
    setting_.active = active;
    send(line_of({{"do", "mode"}, {"mode", active ? "active" : "standby"}}));
}

void WindowProcess::send(const std::string& line) {
    if (!to_) return;  // what it has to know is said when it is started again
    outgoing_ += line;
    write_pending();
}

void WindowProcess::write_pending() {
    while (!outgoing_.empty()) {
        const auto written = ::write(to_.get(), outgoing_.data(), outgoing_.size());
        if (written <= 0) break;
        outgoing_.erase(0, static_cast<std::size_t>(written));
    }
    const bool blocked = !outgoing_.empty() && errno == EAGAIN;
    if (blocked && to_watch_ == 0) {
        to_watch_ = loop_.watch(to_.get(), EPOLLOUT, [this](std::uint32_t) { write_pending(); });
    } else if (!blocked && to_watch_ != 0) {
        loop_.unwatch(std::exchange(to_watch_, 0));
    }
}

}  // namespace understudy::node
