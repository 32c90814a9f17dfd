// The acts of the command line: everything that changes something, each with the reason that the
// manager writes into its record. Main thread only.
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/command/exit_codes.hpp"
#include "client/command/session.hpp"
#include "client/command/table.hpp"

namespace understudy::client {
namespace {

using Arguments = std::shared_ptr<std::vector<std::string>>;  // owned by the callbacks of one subcommand

void carry_out(Common& common, const std::string& verb, const std::vector<std::string>& arguments) {
    Answer answer;
    common.exit_code = ask(common, verb, arguments, answer);
    if (common.exit_code != kExitDone) return;
    if (common.json) {
        const auto json = nlohmann::json::parse(answer.json, nullptr, false);
        const auto result = json.is_discarded() ? nlohmann::json::object() : json;
        std::cout << nlohmann::json{{"done", true}, {"text", answer.text}, {"result", result}}.dump() << "\n";
    } else {
        std::cout << (answer.text.empty() ? "Done." : printable(answer.text)) << "\n";
    }
}

/// A subcommand that collects "key=value" arguments and needs a reason.
struct Act {
    Act(CLI::App& app, Common& common, const std::string& verb, const std::string& what)
        : arguments(std::make_shared<std::vector<std::string>>()), command(app.add_subcommand(verb, what)) {
        option("--reason", "reason", "why, for the record and for whoever reads it later")->required();
        command->callback([&common, verb, collected = arguments] { carry_out(common, verb, *collected); });
    }

    CLI::Option* option(const std::string& name, const std::string& key, const std::string& what) {
        return command->add_option_function<std::string>(
            name, [key, collected = arguments](const std::string& value) { collected->push_back(key + "=" + value); }, what);
    }

    CLI::Option* number(const std::string& name, const std::string& key, const std::string& what) {
        return option(name, key, what)->check(CLI::NonNegativeNumber)->type_name("NUMBER");
    }

    Arguments arguments;
    CLI::App* command;
};

void add_drains(CLI::App& app, Common& common) {
    for (const auto& [verb, what] : {std::pair{"drain", "move everything off a node or host, and give it nothing new"},
                                     std::pair{"undrain", "use a drained node or host again"}}) {
        Act act(app, common, verb, what);
        auto* node = act.number("--node", "node", "the node's number, as in: understudy nodes");
        auto* host = act.option("--host", "host", "the host's name");
        node->excludes(host);
        act.command->parse_complete_callback([collected = act.arguments] {
            if (collected->size() < 2) throw CLI::RequiredError("--node or --host");
        });
    }
}

void add_failover(CLI::App& app, Common& common) {
    Act act(app, common, "failover", "give a session or a terminal's desktop to its backup now");
    auto* session = act.number("--session", "session", "the session's number, as in: understudy sessions");
    auto* terminal = act.option("--terminal", "terminal", "the terminal's name: moves its desktop");
    session->excludes(terminal);
    act.command->parse_complete_callback([collected = act.arguments] {
        if (collected->size() < 2) throw CLI::RequiredError("--session or --terminal");
    });
}

}  // namespace

void add_acts(CLI::App& app, Common& common) {
    add_failover(app, common);
    add_drains(app, common);

    Act kill(app, common, "kill", "destroy a node's instance at once, as a failure would");
    kill.number("node", "node", "the node's number, as in: understudy nodes")->required();

    Act release(app, common, "release", "end a terminal's sessions and give its nodes back");
    release.option("terminal", "terminal", "the terminal's name")->required();

    Act pool(app, common, "pool", "change how many instances of a flavour are kept");
    pool.option("flavour", "flavour", "the flavour's name, as in: understudy pools")->required();
    pool.number("--min-idle", "min_idle", "kept ready at all times");
    pool.number("--max-idle", "max_idle", "returned instances above this are destroyed");
    pool.number("--max-total", "max_total", "never more than this");

    Act maintenance(app, common, "maintenance", "take a host out of use for maintenance, or back");
    maintenance.option("host", "host", "the host's name")->required();
    maintenance.option("value", "value", "on or off")->required()->check(CLI::IsMember({"on", "off"}));

    Act gate(app, common, "override-gate", "let held fail-overs go on although many nodes failed at once");

    Act define(app, common, "define-terminal", "let a new terminal be served");
    define.option("name", "name", "the terminal's name")->required();
    define.option("--profile", "profile", "what it gets, as named in the manager's configuration")->required();

    Act remove(app, common, "remove-terminal", "release a terminal and forget it");
    remove.option("name", "name", "the terminal's name")->required();
}

}  // namespace understudy::client
