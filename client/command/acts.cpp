// The acts of the command line: everything that changes something, each with the reason that the
// manager writes into its record, or rehearsed with --dry-run. Main thread only.
#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/command/exit_codes.hpp"
#include "client/command/session.hpp"
#include "client/command/table.hpp"
#include "client/command/view_text.hpp"

namespace understudy::client {
namespace {

constexpr const char* kRehearse = "dry-run=yes";

/// What the callbacks of one subcommand share; they own it.
struct Collected {
    std::string verb;
    std::vector<std::string> arguments;
    std::vector<std::function<void()>> checks;

    [[nodiscard]] bool has(const std::string& key) const {
        return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& one) { return one.starts_with(key + "="); });
    }
    [[nodiscard]] bool rehearses() const { return std::find(arguments.begin(), arguments.end(), kRehearse) != arguments.end(); }
};

int show_rehearsal(const Answer& answer) {
    const auto text = rehearsal_text(answer.json);
    if (!text) {
        std::cerr << "understudy: " << printable(text.error().message) << "\n";
        return exit_code_of(text.error().code);
    }
    std::cout << *text;
    return kExitDone;
}

void carry_out(Common& common, const Collected& collected) {
    Answer answer;
    common.exit_code = ask(common, collected.verb, collected.arguments, answer);
    if (common.exit_code != kExitDone) return;
    if (common.json) {
        const auto json = nlohmann::json::parse(answer.json, nullptr, false);
        const auto result = json.is_discarded() ? nlohmann::json::object() : json;
        std::cout << nlohmann::json{{"done", !collected.rehearses()}, {"text", answer.text}, {"result", result}}.dump() << "\n";
    } else if (collected.rehearses()) {
        common.exit_code = show_rehearsal(answer);
    } else {
        std::cout << (answer.text.empty() ? "Done." : printable(answer.text)) << "\n";
    }
}

/// A subcommand that collects "key=value" arguments and needs a reason, unless it is only rehearsed.
struct Act {
    Act(CLI::App& app, Common& common, const std::string& verb, const std::string& what)
        : collected(std::make_shared<Collected>()), command(app.add_subcommand(verb, what)) {
        collected->verb = verb;
        option("--reason", "reason", "why, for the record and for whoever reads it later")->type_name("TEXT");
        command->add_flag_callback("--dry-run", [mine = collected] { mine->arguments.emplace_back(kRehearse); },
                                   "show what would happen, and change nothing");
        collected->checks.emplace_back([mine = collected.get()] {
            if (!mine->has("reason") && !mine->rehearses()) throw CLI::RequiredError("--reason");
        });
        command->parse_complete_callback([mine = collected] { for (const auto& check : mine->checks) check(); });
        command->callback([&common, mine = collected] { carry_out(common, *mine); });
    }

    CLI::Option* option(const std::string& name, const std::string& key, const std::string& what) {
        return command->add_option_function<std::string>(
            name, [key, mine = collected](const std::string& value) { mine->arguments.push_back(key + "=" + value); }, what);
    }

    CLI::Option* number(const std::string& name, const std::string& key, const std::string& what) {
        return option(name, key, what)->check(CLI::NonNegativeNumber)->type_name("NUMBER");
    }

    /// One of two options must be given, and not both.
    void one_of(CLI::Option* first, const std::string& one, CLI::Option* second, const std::string& other) {
        first->excludes(second);
        collected->checks.emplace_back([mine = collected.get(), one, other] {
            if (!mine->has(one) && !mine->has(other)) throw CLI::RequiredError("--" + one + " or --" + other);
        });
    }

    std::shared_ptr<Collected> collected;
    CLI::App* command;
};

void add_drains(CLI::App& app, Common& common) {
    for (const auto& [verb, what] : {std::pair{"drain", "move everything off a node or host, and give it nothing new"},
                                     std::pair{"undrain", "use a drained node or host again"}}) {
        Act act(app, common, verb, what);
        auto* node = act.number("--node", "node", "the node's number, as in: understudy nodes")->type_name("NODE");
        auto* host = act.option("--host", "host", "the host's name")->type_name("HOST");
        act.one_of(node, "node", host, "host");
    }
}

void add_failover(CLI::App& app, Common& common) {
    Act act(app, common, "failover", "give a session or a terminal's desktop to its backup now");
    auto* session = act.number("--session", "session", "the session's number, as in: understudy sessions")->type_name("SESSION");
    auto* terminal = act.option("--terminal", "terminal", "the terminal's name: moves its desktop")->type_name("TERMINAL");
    act.one_of(session, "session", terminal, "terminal");
}

/// What may change while a pool is in use.
void add_limits(Act& act) {
    act.number("--min-idle", "min_idle", "kept ready at all times");
    act.number("--max-idle", "max_idle", "returned instances above this are destroyed");
    act.number("--max-total", "max_total", "never more than this");
    act.number("--min-paused", "min_paused", "kept standing still at all times: they continue within moments");
    act.number("--max-paused", "max_paused", "never more standing still than this");
    act.option("--follow-demand", "follow_demand", "on or off: keep as many ready as are asked for while one is made")->check(CLI::IsMember({"on", "off"}));
    act.option("--policy", "policy", "spread over hosts, or pack them one after the other")->check(CLI::IsMember({"spread", "pack"}));
}

void add_pools(CLI::App& app, Common& common) {
    Act pool(app, common, "pool", "change how many instances of a flavour are kept");
    pool.option("flavour", "flavour", "the flavour's name, as in: understudy pools")->required()->type_name("FLAVOUR");
    add_limits(pool);

    Act define(app, common, "define-pool", "keep instances of a new flavour");
    define.option("flavour", "flavour", "the flavour's name, for profiles to refer to")->required()->type_name("NAME");
    define.option("--image", "image", "guest image they are made from; base without this option")->type_name("IMAGE");
    define.number("--vcpus", "vcpus", "virtual CPUs of each");
    define.number("--memory-mib", "memory_mib", "memory of each, in MiB");
    define.number("--disk-mib", "disk_mib", "disk that each may fill, in MiB; 0: not limited");
    define.number("--slots", "slots", "how many applications or desktops share one");
    define.option("--environment", "environment", "deployed on each before anybody asks")->type_name("ENVIRONMENT");
    define.option("--labels", "labels", "only on hosts that have all of these")->type_name("A,B");
    add_limits(define);

    Act remove(app, common, "remove-pool", "destroy a pool's instances and forget it; refused while a profile needs it");
    remove.option("flavour", "flavour", "the flavour's name, as in: understudy pools")->required()->type_name("FLAVOUR");
}

void add_hosts(CLI::App& app, Common& common) {
    Act define(app, common, "define-host", "make instances on a new host, too");
    define.option("name", "name", "the host's name")->required()->type_name("NAME");
    define.option("--uri", "uri", "of its hypervisor, as libvirt has it: for example qemu+tls://beta/system")->required()->type_name("URI");
    define.number("--vcpus", "vcpus", "virtual CPUs that instances may take there together")->required();
    define.number("--memory-mib", "memory_mib", "memory that instances may take there together, in MiB")->required();
    define.number("--disk-mib", "disk_mib", "disk that instances may take there together, in MiB; 0: not counted");
    define.option("--domain", "domain", "failure domain: what fails together with it, for example a rack")->type_name("DOMAIN");
    define.option("--labels", "labels", "what it offers, for pools to ask for")->type_name("A,B");
    define.option("--address", "address", "where its instances are reached; found out without this option")->type_name("ADDRESS");

    Act remove(app, common, "remove-host", "forget a host; refused while machines are there that serve or can be destroyed");
    remove.option("name", "name", "the host's name")->required()->type_name("HOST");
}

void add_terminals(CLI::App& app, Common& common) {
    Act release(app, common, "release", "end a terminal's sessions and give its nodes back");
    release.option("terminal", "terminal", "the terminal's name")->required()->type_name("TERMINAL");

    Act message(app, common, "message", "show a line to the person at a terminal, or to everybody");
    message.option("terminal", "terminal", "the terminal's name, or all")->required()->type_name("TERMINAL");
    message.option("text", "text", "what is shown")->required()->type_name("TEXT");

    Act define(app, common, "define-terminal", "let a new terminal be served");
    define.option("name", "name", "the terminal's name")->required()->type_name("NAME");
    define.option("--profile", "profile", "what it gets, as named in the manager's configuration")->required()->type_name("PROFILE");

    Act remove(app, common, "remove-terminal", "release a terminal and forget it");
    remove.option("name", "name", "the terminal's name")->required()->type_name("TERMINAL");
}

/// Any verb the manager knows, for those that have no subcommand of their own here.
void add_any(CLI::App& app, Common& common) {
    Act any(app, common, "act", "any act of the manager, as KEY=VALUE pairs (PROTOCOL.md lists them)");
    any.command->add_option_function<std::string>("verb", [mine = any.collected](const std::string& verb) { mine->verb = verb; }, "the verb")
        ->required()->type_name("VERB");
    any.command->add_option_function<std::vector<std::string>>(
           "pairs", [mine = any.collected](const std::vector<std::string>& pairs) { mine->arguments.insert(mine->arguments.end(), pairs.begin(), pairs.end()); },
           "its arguments")
        ->type_name("KEY=VALUE");
}

}  // namespace

void add_acts(CLI::App& app, Common& common) {
    add_failover(app, common);
    add_drains(app, common);

    Act kill(app, common, "kill", "destroy a node's instance at once, as a failure would");
    kill.number("node", "node", "the node's number, as in: understudy nodes")->required()->type_name("NODE");

    Act maintenance(app, common, "maintenance", "take a host out of use for maintenance, or back");
    maintenance.option("host", "host", "the host's name")->required()->type_name("HOST");
    maintenance.option("value", "value", "on or off")->required()->check(CLI::IsMember({"on", "off"}));

    Act fence(app, common, "fence", "switch a host off with its fence agent; what lives there goes on with that proof");
    fence.option("host", "host", "the host's name")->required()->type_name("HOST");

    add_hosts(app, common);
    add_pools(app, common);
    add_terminals(app, common);

    Act gate(app, common, "override-gate", "let held fail-overs go on although many nodes failed at once");
    add_any(app, common);
}

}  // namespace understudy::client
