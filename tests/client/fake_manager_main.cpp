// fake-manager: lets a person, or a browser test, play the manager towards gateway, terminals and the
// command line. One thread. Commands on standard input, one per line:
//   view FILE [FILE…]          what "view" and "watch" answer from now on, in one or several parts; watchers are told
//   rehearsal FILE             what "what-if" and acts with dry-run=yes answer
//   redirect EPOCH PORT        send all terminals to this door of 127.0.0.1
//   waiting TEXT               tell all terminals to wait
//   taken NAME                 tell that terminal that it was opened at another place
//   notice TEXT                a line for the people at all terminals
//   vanish | resume            the manager dies, and comes back
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "fake_manager.hpp"

namespace {

using namespace understudy;

std::string content_of(const std::string& path) {
    std::ifstream stream(path);
    return {std::istreambuf_iterator<char>(stream), {}};
}

struct Play {
    test::FakeManager manager;
    std::vector<std::string> view{"{}"};  ///< its parts
    std::string rehearsal;
    std::set<std::string> watchers;
    std::map<std::string, std::string> terminals;  ///< connection → name
    std::optional<TerminalRedirect> redirect;
    std::string waiting = "no desktop has been told yet";

    void tell_terminal(const std::string& to) {
        if (redirect) manager.send(to, *redirect);
        else manager.send(to, TerminalWaiting{TerminalId(1), waiting, 1000});
    }

    bool take(const test::Heard& heard) {
        if (const auto* attach = std::get_if<TerminalAttach>(&heard.message)) {
            if (!terminals.contains(heard.from)) std::cout << "attached " << attach->terminal << std::endl;
            terminals[heard.from] = attach->terminal;
            tell_terminal(heard.from);
        } else if (const auto* seen = std::get_if<TerminalSeen>(&heard.message)) {
            std::cout << "seen " << seen->what << " epoch " << seen->epoch << " incident " << seen->incident.value << std::endl;
        } else if (const auto* request = std::get_if<AdminRequest>(&heard.message)) {
            AdminReply reply{request->request, 0, "Done: " + request->verb, ""};
            if (request->verb == "watch") watchers.insert(heard.from);
            if (request->verb == "watch" || request->verb == "view") {
                for (std::size_t part = 1; part < view.size(); ++part) manager.send(heard.from, AdminUpdate{view[part]});
                reply.json = view.front();
            }
            const auto& given = request->arguments;
            if (request->verb == "what-if" || std::find(given.begin(), given.end(), "dry-run=yes") != given.end()) reply.json = rehearsal;
            std::cout << "asked " << request->verb;
            for (const auto& argument : request->arguments) std::cout << " [" << argument << "]";
            std::cout << std::endl;
            manager.send(heard.from, reply);
        }
        return true;
    }

    void obey(const std::string& line) {
        std::istringstream words(line);
        std::string verb;
        words >> verb;
        if (verb == "view") {
            view.clear();
            for (std::string path; words >> path;) view.push_back(content_of(path));
            for (const auto& watcher : watchers) {
                for (const std::string& part : view) manager.send(watcher, AdminUpdate{part});
            }
        } else if (verb == "rehearsal") {
            std::string path;
            words >> path;
            rehearsal = content_of(path);
        } else if (verb == "redirect") {
            TerminalRedirect fresh;
            fresh.terminal = TerminalId(1);
            fresh.endpoint.host = "127.0.0.1";
            fresh.ticket.text = "a-ticket";
            words >> fresh.epoch >> fresh.endpoint.port >> fresh.endpoint.key;
            fresh.incident = IncidentId(fresh.epoch);
            redirect = fresh;
            for (const auto& [to, name] : terminals) tell_terminal(to);
        } else if (verb == "waiting") {
            std::getline(words, waiting);
            redirect.reset();
            for (const auto& [to, name] : terminals) tell_terminal(to);
        } else if (verb == "taken") {
            std::string wanted;
            words >> wanted;
            for (const auto& [to, name] : terminals) {
                if (name == wanted) manager.send(to, TerminalTaken{TerminalId(1), "this desktop was opened at another place"});
            }
        } else if (verb == "notice") {
            std::string text;
            std::getline(words >> std::ws, text);
            for (const auto& [to, name] : terminals) manager.send(to, TerminalNotice{TerminalId(1), text});
        } else if (verb == "vanish") {
            manager.vanish();
        } else if (verb == "resume") {
            manager.resume();
        }
    }
};

}  // namespace

int main() {
    Play play;
    play.manager.on_message = [&](const test::Heard& heard) { return play.take(heard); };
    std::cout << play.manager.configuration_text() << "# ready" << std::endl;
    std::string input;
    bool open = true;
    while (open) {
        play.manager.pump_until(
            [&] {
                pollfd waiting{STDIN_FILENO, POLLIN, 0};
                return ::poll(&waiting, 1, 0) > 0;
            },
            std::chrono::hours(1));
        char buffer[4096];
        const ssize_t length = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (length <= 0) break;
        input.append(buffer, static_cast<std::size_t>(length));
        for (auto end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
            play.obey(input.substr(0, end));
            input.erase(0, end + 1);
        }
    }
}
