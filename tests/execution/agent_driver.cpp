// agent-driver: a manager that decides nothing. It admits the agents it made configurations for, keeps
// their leases alive, passes on the assignments it reads from standard input and prints what the agents
// report. For tests of real agents in real instances. One thread.
//
//   agent-driver --port P --out DIR --door NODE=PORT [--door …] [--alias ADDRESS]
//
//   primary S EPOCH NODE [restore=E-N] [peers=NODE,…] [pres=EPOCH] -- COMMAND…
//   backup S EPOCH NODE
//   release S EPOCH NODE [peers=NODE,…]
//   desktop T EPOCH NODE primary|backup|released WxH SESSION@NODE:EPOCH …
//   ticket window S EPOCH NODE PRES | ticket desktop T EPOCH NODE
//   silence NODE | answer NODE      (stop or go on to acknowledge heartbeats)
//   quit
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include <zmq.hpp>

#include "protocol/codec.hpp"
#include "protocol/ticket.hpp"

namespace {

using namespace understudy;
using Clock = std::chrono::steady_clock;

const Clock::time_point kStart = Clock::now();

std::int64_t now_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - kStart).count(); }

template <class... Parts>
void print(const Parts&... parts) {
    std::ostringstream line;
    line << now_ms() << " ";
    (line << ... << parts);
    std::cout << line.str() << std::endl;
}

const char* word(Phase phase) {
    constexpr const char* kWords[] = {"preparing", "running", "standby", "frozen", "ended", "failed", "released"};
    return kWords[static_cast<int>(phase)];
}

struct Keys {
    std::string public_key = std::string(40, '\0');
    std::string secret = std::string(40, '\0');
    Keys() {
        char open[41];
        char closed[41];
        zmq_curve_keypair(open, closed);
        public_key.assign(open, 40);
        secret.assign(closed, 40);
    }
};

std::int64_t wall_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint64_t number(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

CheckpointId checkpoint(const std::string& text) { return {number(text), number(text.substr(text.find('-') + 1))}; }

class Driver {
  public:
    Driver(std::uint16_t port, std::string folder, std::map<std::uint64_t, std::uint16_t> doors, std::string alias)
        : folder_(std::move(folder)), doors_(std::move(doors)) {
        router_.set(zmq::sockopt::curve_server, true);
        router_.set(zmq::sockopt::curve_secretkey, keys_.secret);
        router_.set(zmq::sockopt::linger, 0);
        router_.bind("tcp://127.0.0.1:" + std::to_string(port));
        ::mkdir(folder_.c_str(), 0755);
        for (const auto& [node, door] : doors_) {
            const Keys own;
            std::ofstream(folder_ + "/node-" + std::to_string(node) + ".toml")
                << "[manager]\nendpoint = \"tcp://" << (alias.empty() ? "127.0.0.1" : alias) << ":" << port
                << "\"\npublic_key = '" << keys_.public_key << "'\n[keys]\npublic = '" << own.public_key << "'\nsecret = '" << own.secret
                << "'\n[node]\nid = " << node << "\nloopback_alias = \"" << alias << "\"\n" << (alias.empty() ? "door_port = " + std::to_string(door) + "\n" : "")
                << "[log]\nlevel = \"debug\"\n";
        }
        print("ready");
    }

    void run() {
        for (bool open = true; open;) {
            zmq::pollitem_t items[] = {{router_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, 0, ZMQ_POLLIN, 0}};
            zmq::poll(items, 2, std::chrono::milliseconds(1000));
            if ((items[0].revents & ZMQ_POLLIN) != 0) receive();
            if ((items[1].revents & ZMQ_POLLIN) != 0) open = read_line();
        }
    }

  private:
    void receive() {
        zmq::message_t from;
        zmq::message_t frame;
        while (router_.recv(from, zmq::recv_flags::dontwait)) {
            if (!router_.recv(frame)) return;
            const auto envelope = decode({static_cast<const std::uint8_t*>(frame.data()), frame.size()});
            if (!envelope) {
                print("nonsense: ", envelope.error().message);
                continue;
            }
            peer_ = from.to_string();
            std::visit([this](const auto& message) { on(message); }, envelope->message);
        }
    }

    void send(const std::string& peer, const Message& message) {
        const Bytes bytes = encode({1, ++sequence_, message});
        router_.send(zmq::buffer(peer), zmq::send_flags::sndmore);
        router_.send(zmq::buffer(bytes), zmq::send_flags::dontwait);
    }

    template <class T>
    void on(const T&) {}

    void on(const Hello& hello) {
        const auto node = hello.node.value;
        peers_[node] = peer_;
        registrations_[node] = ++registration_;
        node_of_[registration_] = node;
        door_keys_[node] = hello.door_key;
        print("hello node=", node, " can_checkpoint=", hello.can_checkpoint, " sessions=", hello.sessions.size(), " ", hello.checkpoint_reason);
        Welcome welcome;
        welcome.registration = registration_;
        welcome.incarnation = hello.incarnation;
        welcome.hello = hello.number;
        welcome.heartbeat_ms = 500;
        welcome.lease_ms = 4000;
        welcome.ticket_key = tickets_.public_key;
        welcome.wall_ms = wall_ms();
        if (!silent_.contains(node)) send(peer_, welcome);
    }

    void on(const Heartbeat& beat) {
        if (silent_.contains(node_of_[beat.registration])) return;
        send(peer_, HeartbeatAck{beat.registration, beat.sequence, wall_ms()});
    }

    void on(const SessionStatus& status) {
        std::ostringstream checkpoints;
        for (const auto& info : status.checkpoints) {
            checkpoints << " " << info.id.epoch << "-" << info.id.sequence << "(" << info.bytes / 1024 << "KiB pause=" << info.pause_ms << ")";
        }
        print("session=", status.session.value, " node=", node_of_[status.registration], " epoch=", status.epoch, " ", word(status.phase),
              " ending=", static_cast<int>(status.ending), " in_force=", static_cast<int>(status.in_force), " interval_ms=", status.interval_ms,
              " restored_from=", status.restored_from.epoch, "-", status.restored_from.sequence, " checkpoints:", checkpoints.str(),
              status.protection_reason.empty() ? "" : " reason: ", status.protection_reason, status.detail.empty() ? "" : " detail: ", status.detail);
        send(peer_, ReportAck{status.registration, status.number});
    }

    void on(const DesktopStatus& status) {
        std::ostringstream windows;
        for (const auto& window : status.windows) {
            windows << " " << window.session.value << ":" << window.session_epoch << (window.connected ? " connected" : "") << (window.picture ? " picture" : "");
        }
        print("desktop=", status.terminal.value, " node=", node_of_[status.registration], " epoch=", status.epoch, " ", word(status.phase), " windows:", windows.str(), " ", status.detail);
        send(peer_, ReportAck{status.registration, status.number});
    }

    void on(const LayoutReport& report) {
        std::ostringstream places;
        for (const auto& place : report.places) {
            places << " " << place.session.value << "@" << place.x << "," << place.y << " " << place.width << "x" << place.height << (place.focused ? " focused" : "") << ";";
        }
        print("layout terminal=", report.terminal.value, places.str());
        send(peer_, ReportAck{report.registration, report.number});
    }

    Ticket ticket(Purpose purpose, std::uint64_t session, std::uint64_t door, std::uint64_t bearer, Epoch epoch, Epoch serving) {
        Ticket made;
        made.claims = {purpose, TerminalId(1), SessionId(session), NodeId(door), NodeId(bearer), epoch, serving, ++serial_, wall_ms() + 3'600'000};
        made.text = seal_ticket(made.claims, tickets_.secret).value();
        return made;
    }

    std::vector<Peer> peers(const std::string& list, std::uint64_t session, std::uint64_t bearer, Epoch epoch) {
        std::vector<Peer> made;
        std::istringstream stream(list);
        for (std::string one; std::getline(stream, one, ',');) {
            const auto node = number(one);
            auto& kept = kept_tickets_[{session, node, epoch}];
            if (kept.text.empty()) kept = ticket(Purpose::checkpoint, session, node, bearer, epoch, 0);
            made.push_back({NodeId(node), {"127.0.0.1", doors_[node], door_keys_[node]}, kept});
        }
        return made;
    }

    void assign_session(const std::string& verb, std::istringstream& words) {
        std::uint64_t session = 0;
        std::uint64_t node = 0;
        AssignSession assign;
        words >> session >> assign.epoch >> node;
        assign.registration = registrations_[node];
        assign.session = SessionId(session);
        assign.terminal = TerminalId(1);
        assign.revision = ++revision_;
        assign.duty = verb == "primary" ? Duty::primary : verb == "backup" ? Duty::backup : Duty::released;
        assign.protection = Protection::checkpoint;
        assign.presentation_epoch = 1;
        for (std::string option; words >> option && option != "--";) {
            const auto value = option.substr(option.find('=') + 1);
            if (option.starts_with("restore=")) assign.restore = checkpoint(value);
            if (option.starts_with("peers=")) assign.peers = peers(value, session, node, assign.epoch);
            if (option.starts_with("pres=")) assign.presentation_epoch = number(value);
        }
        for (std::string part; words >> part;) assign.application.command.push_back(part);
        assign.application.name = assign.application.command.empty() ? "xterm" : assign.application.command.front();
        assign.application.title = assign.application.name;
        send(peers_[node], assign);
    }

    void assign_desktop(std::istringstream& words) {
        std::uint64_t terminal = 0;
        std::uint64_t node = 0;
        std::string duty;
        std::string size;
        AssignDesktop assign;
        words >> terminal >> assign.epoch >> node >> duty >> size;
        assign.registration = registrations_[node];
        assign.terminal = TerminalId(terminal);
        assign.revision = ++revision_;
        assign.duty = duty == "primary" ? Duty::primary : duty == "backup" ? Duty::backup : Duty::released;
        assign.width = static_cast<std::uint32_t>(number(size));
        assign.height = static_cast<std::uint32_t>(number(size.substr(size.find('x') + 1)));
        for (std::string part; words >> part;) {
            WindowSource source;
            const auto session = number(part);
            const auto from = number(part.substr(part.find('@') + 1));
            source.session = SessionId(session);
            source.session_epoch = number(part.substr(part.find(':') + 1));
            source.endpoint = {"127.0.0.1", doors_[from], door_keys_[from]};
            source.ticket = ticket(Purpose::window, session, from, node, assign.epoch, source.session_epoch);
            source.application = "xterm";
            source.title = "Session " + std::to_string(session);
            if (from == 0) source.endpoint.port = 0;
            source.waiting = "Moving to another computer";
            assign.windows.push_back(source);
        }
        send(peers_[node], assign);
    }

    void print_ticket(std::istringstream& words) {
        std::string kind;
        std::uint64_t what = 0;
        std::uint64_t node = 0;
        Epoch epoch = 0;
        Epoch presentation = 1;
        words >> kind >> what >> epoch >> node >> presentation;
        if (kind == "window") print("ticket ", ticket(Purpose::window, what, node, 99, presentation, epoch).text);
        else print("ticket ", ticket(Purpose::desktop, 0, node, 0, epoch, 0).text);
    }

    bool read_line() {
        std::string line;
        // Byte by byte: what a stream reads ahead would not show in a poll.
        char next = 0;
        while (::read(0, &next, 1) == 1 && next != 0x0a) line += next;
        if (next != 0x0a) return false;
        std::istringstream words(line);
        std::string verb;
        words >> verb;
        std::uint64_t node = 0;
        if (verb == "quit") return false;
        if (verb == "primary" || verb == "backup" || verb == "release") assign_session(verb, words);
        if (verb == "desktop") assign_desktop(words);
        if (verb == "ticket") print_ticket(words);
        if (verb == "silence" && words >> node) silent_.insert(node);
        if (verb == "answer" && words >> node) silent_.erase(node);
        return true;
    }

    std::string folder_;
    std::map<std::uint64_t, std::uint16_t> doors_;
    Keys keys_;
    std::map<std::uint64_t, std::string> door_keys_;
    TicketKeys tickets_ = make_ticket_keys();
    zmq::context_t context_{1};
    zmq::socket_t router_{context_, zmq::socket_type::router};
    std::string peer_;
    std::map<std::uint64_t, std::string> peers_;
    std::map<std::uint64_t, std::uint64_t> registrations_;
    std::map<std::uint64_t, std::uint64_t> node_of_;
    std::map<std::tuple<std::uint64_t, std::uint64_t, Epoch>, Ticket> kept_tickets_;
    std::set<std::uint64_t> silent_;
    std::uint64_t registration_ = 0;
    std::uint64_t revision_ = 0;
    std::uint64_t sequence_ = 0;
    std::uint64_t serial_ = 0;
};

}  // namespace

int main(int count, char** words) {
    std::uint16_t port = 0;
    std::string folder;
    std::string alias;
    std::map<std::uint64_t, std::uint16_t> doors;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string name = words[i];
        const std::string value = words[i + 1];
        if (name == "--port") port = static_cast<std::uint16_t>(number(value));
        if (name == "--out") folder = value;
        if (name == "--alias") alias = value;
        if (name == "--door") doors[number(value)] = static_cast<std::uint16_t>(number(value.substr(value.find('=') + 1)));
    }
    Driver(port, folder, doors, alias).run();
}
