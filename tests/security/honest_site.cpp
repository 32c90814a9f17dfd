// See honest_site.hpp.
#include "tests/security/honest_site.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <tuple>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "protocol/codec.hpp"

namespace understudy::security {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 20s;
constexpr const char* kMachines[] = {"m1", "m2", "m3", "m4"};

std::string read_all(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string quoted(const std::string& text) { return "'" + text + "'"; }

}  // namespace

Keys make_keys() {
    std::array<char, 41> public_half{};
    std::array<char, 41> secret_half{};
    REQUIRE(::zmq_curve_keypair(public_half.data(), secret_half.data()) == 0);
    return {public_half.data(), secret_half.data()};
}

/// One enrolled machine: its node, and the connection of its agent.
struct HonestSite::Machine {
    std::string name;
    Keys keys = make_keys();
    NodeId id;
    std::unique_ptr<golden::FakeNode> node;
    std::unique_ptr<zmq::socket_t> socket;
    TimePoint acknowledged{};  ///< its last heartbeat
};

HonestSite::HonestSite() {
    char name[] = "/tmp/us-attack-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    folder_ = name;
    const std::string init = std::string(MANAGER_PROGRAM) + " init --dir " + folder_ + " >/dev/null";
    REQUIRE(std::system(init.c_str()) == 0);
    std::filesystem::create_directory(folder_ + "/images");
    for (const char* file : {"/images/base.img", "/agent.img"}) std::ofstream(folder_ + file) << "";
    std::smatch found;
    const std::string keys = read_all(folder_ + "/manager.keys");
    REQUIRE(std::regex_search(keys, found, std::regex("public_key *= *[\"'](.{40})[\"']")));
    manager_key_ = found[1];
    for (const char* machine : kMachines) {
        machines_.emplace(machine, std::make_unique<Machine>());
        machines_.at(machine)->name = machine;
    }
    write_configuration(true);
    start_manager();
    for (const char* machine : kMachines) connect_machine(machine);
    terminal_ = std::make_unique<zmq::socket_t>(connect(desk_, endpoint_));
    asking_ = std::make_unique<zmq::socket_t>(connect(admin_, endpoint_));
    terminal_->send(zmq::buffer(encode({1, ++sequence_, TerminalAttach{"desk", 0, 0, 0}})), zmq::send_flags::none);
    const bool served = run_until([this] { return told_ > 0 && showing() != nullptr && stands_by(); });
    INFO(log());
    REQUIRE(served);
    write_configuration(false);
    ::kill(manager_, SIGHUP);
    REQUIRE(run_until([this] { return log().find("1 revoked") != std::string::npos; }));
    static_cast<void>(take_longest_gap());
}

HonestSite::~HonestSite() {
    if (manager_ > 0 && ::waitpid(manager_, nullptr, WNOHANG) == 0) {
        ::kill(manager_, SIGKILL);
        ::waitpid(manager_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void HonestSite::write_configuration(bool with_revoked) {
    std::string text = "[manager]\nstate_dir = \"" + folder_ + "\"\nlisten = \"tcp://127.0.0.1:0\"\n[instances]\nimage_dir = \"" + folder_ +
                       "/images\"\nagent_image = \"" + folder_ + "/agent.img\"\nroot = \"" + folder_ +
                       "/q\"\n[timing]\nheartbeat_ms = 250\nsilence_ms = 1500\nlease_ms = 4000\nsuspect_grace_ms = 80\n"
                       "[[pool]]\nflavour = \"small\"\nmin_idle = 0\nmax_idle = 1\nmax_total = 1\n[[profile]]\nname = \"office\"\nflavour = \"small\"\n"
                       "separation = \"host\"\n[[profile.application]]\nname = \"xterm\"\ncommand = [\"xterm\"]\n[[terminal]]\nname = \"desk\"\nprofile = \"office\"\n"
                       "[[terminal]]\nname = \"kiosk\"\nprofile = \"office\"\n";
    const auto peer = [&text](const std::string& name, const std::string& role, const Keys& keys) {
        text += "[[peer]]\nname = \"" + name + "\"\nrole = \"" + role + "\"\nkey = " + quoted(keys.public_half) + "\n";
    };
    peer("desk", "terminal", desk_);
    peer("kiosk", "terminal", kiosk_);
    peer("watcher", "observer", observer_);
    peer("admin", "administrator", admin_);
    if (with_revoked) peer("gone", "operator", revoked_);
    for (const auto& [name, machine] : machines_) {
        peer(name, "agent", machine->keys);
        text += "host = \"h-" + name + "\"\nslots = 8\ndoor = \"127.0.0.1:5900\"\n[[host]]\nname = \"h-" + name +
                "\"\nuri = \"test:///default\"\nvcpus = 1\nmemory_mib = 1024\n";
    }
    std::ofstream(folder_ + "/new.toml") << text;
    std::filesystem::rename(folder_ + "/new.toml", folder_ + "/understudyd.toml");
}

void HonestSite::start_manager() {
    // It ends with this program, however that ends.
    std::vector<std::string> command{"setpriv", "--pdeathsig", "KILL", MANAGER_PROGRAM, "--config", folder_ + "/understudyd.toml"};
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, (folder_ + "/manager.log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    REQUIRE(::posix_spawnp(&manager_, words[0], &actions, nullptr, words.data(), environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    const auto line = std::regex("machine \"(m[0-9])\" is node ([0-9]+)");
    std::map<std::string, NodeId> ids;
    REQUIRE(run_until([&] {
        const std::string text = log();
        for (std::sregex_iterator one(text.begin(), text.end(), line), end; one != end; ++one) ids[(*one)[1]] = NodeId(std::stoull((*one)[2]));
        return ids.size() == machines_.size();
    }));
    for (const auto& [name, id] : ids) machines_.at(name)->id = id;
    endpoint_ = read_all(folder_ + "/endpoint");
    while (!endpoint_.empty() && endpoint_.back() == '\n') endpoint_.pop_back();
    port_ = static_cast<std::uint16_t>(std::stoul(endpoint_.substr(endpoint_.rfind(':') + 1)));
}

zmq::socket_t HonestSite::connect(const Keys& keys, const std::string& endpoint) {
    zmq::socket_t socket(context_, zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::curve_serverkey, manager_key_);
    socket.set(zmq::sockopt::curve_publickey, keys.public_half);
    socket.set(zmq::sockopt::curve_secretkey, keys.secret_half);
    socket.set(zmq::sockopt::reconnect_ivl, 20);
    socket.set(zmq::sockopt::reconnect_ivl_max, 200);
    socket.connect(endpoint);
    return socket;
}

void HonestSite::connect_machine(const std::string& name) {
    Machine& machine = *machines_.at(name);
    machine.socket = std::make_unique<zmq::socket_t>(connect(machine.keys, endpoint_));
    if (machine.node) buried_.push_back(std::move(machine.node));  // what it was about to do later finds it dead
    machine.node = std::make_unique<golden::FakeNode>(*this, machine.id, static_cast<std::uint64_t>(now().time_since_epoch().count()), 8);
    machine.acknowledged = TimePoint{};
    machine.node->start();
}

// ---- time

TimePoint HonestSite::now() const {
    return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

std::int64_t HonestSite::wall_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void HonestSite::later(Duration delay, std::function<void()> act) { later_.push_back({now() + delay, ++order_, std::move(act)}); }

void HonestSite::turn(std::chrono::milliseconds limit) {
    for (const Later& one : later_) limit = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(one.at - now()), 0ms, limit);
    std::vector<zmq::pollitem_t> items;
    for (const auto& [name, machine] : machines_) {
        if (machine->socket) items.push_back({machine->socket->handle(), 0, ZMQ_POLLIN, 0});
    }
    if (terminal_) items.push_back({terminal_->handle(), 0, ZMQ_POLLIN, 0});
    if (asking_) items.push_back({asking_->handle(), 0, ZMQ_POLLIN, 0});
    zmq::poll(items, limit);
    for (const auto& [name, machine] : machines_) hear_machine(*machine);
    hear_terminal();
    std::vector<Later> due;
    const auto waiting = std::stable_partition(later_.begin(), later_.end(), [this](const Later& one) { return one.at > now(); });
    std::move(waiting, later_.end(), std::back_inserter(due));
    later_.erase(waiting, later_.end());
    std::sort(due.begin(), due.end(), [](const Later& a, const Later& b) { return std::tie(a.at, a.order) < std::tie(b.at, b.order); });
    for (const Later& one : due) one.act();
}

void HonestSite::run_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) turn(5ms);
}

bool HonestSite::run_until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        turn(2ms);
    }
    return true;
}

// ---- what is said and heard

void HonestSite::to_manager(NodeId from, Message message) {
    for (const auto& [name, machine] : machines_) {
        if (machine->id != from || !machine->socket) continue;
        static_cast<void>(machine->socket->send(zmq::buffer(encode({1, ++sequence_, message})), zmq::send_flags::dontwait));
    }
}

golden::FakeNode* HonestSite::peer(NodeId, NodeId id) {
    for (const auto& [name, machine] : machines_) {
        if (machine->id == id && machine->node && !machine->node->dead()) return machine->node.get();
    }
    return nullptr;
}

void HonestSite::hear_machine(Machine& machine) {
    zmq::message_t frame;
    while (machine.socket && machine.socket->recv(frame, zmq::recv_flags::dontwait)) {
        const auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
        REQUIRE(envelope);
        if (std::holds_alternative<HeartbeatAck>(envelope->message)) {
            if (machine.acknowledged != TimePoint{}) longest_gap_ = std::max(longest_gap_, now() - machine.acknowledged);
            machine.acknowledged = now();
        }
        machine.node->hear(envelope->message);
    }
    // A node that was acknowledged once keeps its lease, or somebody kept it from it.
    if (machine.socket && machine.acknowledged != TimePoint{} && !machine.node->core().lease_valid(now())) leases_held_ = false;
}

void HonestSite::hear_terminal() {
    zmq::message_t frame;
    while (terminal_ && terminal_->recv(frame, zmq::recv_flags::dontwait)) {
        const auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
        REQUIRE(envelope);
        const auto* redirect = std::get_if<TerminalRedirect>(&envelope->message);
        if (redirect == nullptr) continue;
        desk_id_ = redirect->terminal;
        if (redirect->epoch > told_) {
            told_ = redirect->epoch;
            told_at_ = now();
        }
        const TerminalSeen seen{redirect->terminal, redirect->epoch, "picture", redirect->incident};
        static_cast<void>(terminal_->send(zmq::buffer(encode({1, ++sequence_, seen})), zmq::send_flags::dontwait));
    }
    while (asking_ && asking_->recv(frame, zmq::recv_flags::dontwait)) {
        const auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
        REQUIRE(envelope);
        const auto* reply = std::get_if<AdminReply>(&envelope->message);
        if (reply != nullptr && reply->request == request_) view_ = reply->json;
    }
}

std::string HonestSite::ask_view() {
    view_.clear();
    ++request_;
    asking_->send(zmq::buffer(encode({1, ++sequence_, AdminRequest{request_, "view", {}}})), zmq::send_flags::none);
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (view_.empty() && std::chrono::steady_clock::now() < end) turn(2ms);
    return view_;
}

HonestSite::Machine* HonestSite::showing() {
    for (const auto& [name, machine] : machines_) {
        if (machine->node && machine->node->shows(desk_id_)) return machine.get();
    }
    return nullptr;
}

/// The desktop and the session have a backup each that is ready.
bool HonestSite::stands_by() {
    const auto view = nlohmann::json::parse(ask_view(), nullptr, false);
    if (!view.is_object()) return false;
    for (const auto& terminal : view["terminals"]) {
        if (terminal["name"] != "desk") continue;
        const auto& presentation = terminal["presentation"];
        const auto& backups = presentation["backups"];
        if (presentation["phase"] != "running" || backups.empty() || backups[0]["phase"] != "standby") return false;
    }
    for (const auto& session : view["sessions"]) {
        if (session["backups"].empty()) return false;
    }
    return !view["sessions"].empty();
}

std::chrono::microseconds HonestSite::fail_desktop() {
    Machine* const dying = showing();
    REQUIRE(dying != nullptr);
    const Epoch before = told_;
    const TimePoint began = now();
    dying->node->die();
    dying->socket.reset();
    const bool moved = run_until([&] { return told_ > before && showing() != nullptr && showing() != dying; });
    INFO(log());
    REQUIRE(moved);
    const auto took = now() - began;
    connect_machine(dying->name);
    REQUIRE(run_until([this] { return stands_by(); }));
    return took;
}

std::chrono::microseconds HonestSite::take_longest_gap() { return std::exchange(longest_gap_, Duration{0}); }

// ---- the manager

HonestSite::Asked HonestSite::ask_through(const std::string& endpoint, const std::string& verb, std::vector<std::string> arguments) {
    zmq::socket_t socket = connect(admin_, endpoint);
    ++request_;
    socket.send(zmq::buffer(encode({1, ++sequence_, AdminRequest{request_, verb, std::move(arguments)}})), zmq::send_flags::none);
    return {std::move(socket), request_};
}

bool HonestSite::Asked::answered() {
    zmq::message_t frame;
    while (socket_.recv(frame, zmq::recv_flags::dontwait)) {
        const auto envelope = decode({frame.data<std::uint8_t>(), frame.size()});
        REQUIRE(envelope);
        const auto* reply = std::get_if<AdminReply>(&envelope->message);
        if (reply != nullptr && reply->request == request_) {
            INFO(reply->text);
            CHECK(reply->code == 0);
            return true;
        }
    }
    return false;
}

std::size_t HonestSite::acts_recorded() const {
    const std::string text = read_all(folder_ + "/audit.log");
    std::size_t acts = 0;
    for (std::size_t at = text.find("\"verb\":"); at != std::string::npos; at = text.find("\"verb\":", at + 1)) ++acts;
    return acts;
}

bool HonestSite::manager_runs() const { return ::waitpid(manager_, nullptr, WNOHANG) == 0; }

std::uint64_t HonestSite::manager_memory_kib() const {
    std::smatch found;
    const std::string status = read_all("/proc/" + std::to_string(manager_) + "/status");
    REQUIRE(std::regex_search(status, found, std::regex("VmRSS:\\s*([0-9]+) kB")));
    return std::stoull(found[1]);
}

std::size_t HonestSite::manager_descriptors() const {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(manager_) + "/fd");
    return static_cast<std::size_t>(std::distance(std::filesystem::begin(all), std::filesystem::end(all)));
}

std::map<std::string, std::uint64_t> HonestSite::refusals() {
    const auto view = nlohmann::json::parse(ask_view(), nullptr, false);
    REQUIRE(view.is_object());
    return view["manager"]["oddities"].get<std::map<std::string, std::uint64_t>>();
}

std::string HonestSite::log() const { return read_all(folder_ + "/manager.log"); }

}  // namespace understudy::security
