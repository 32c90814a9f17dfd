// The questions of the command line, and how any request is asked and its failure told. Main thread only.
#include <algorithm>
#include <iostream>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "client/command/exit_codes.hpp"
#include "client/command/follow.hpp"
#include "client/command/session.hpp"
#include "client/command/table.hpp"
#include "client/command/view_text.hpp"
#include "client/link/admin_call.hpp"

namespace understudy::client {
namespace {

int tell_no_answer(const NoAnswer& outcome, const std::string& verb) {
    if (outcome.sent) {
        return tell({ErrorCode::unknown_outcome, outcome.reason + "; \"" + verb +
                                                     "\" may or may not have happened: look with \"understudy status\""},
                    exit_code_of(ErrorCode::unknown_outcome));
    }
    return tell({ErrorCode::unavailable, outcome.reason}, kExitUnreachable);
}

void show(Common& common, Section section) {
    Answer answer;
    common.exit_code = ask(common, "view", {}, answer);
    if (common.exit_code != kExitDone) return;
    const auto text = common.json ? view_json(answer.json, section) : view_text(answer.json, section);
    if (text) std::cout << *text;
    else common.exit_code = tell(text.error(), exit_code_of(text.error().code));
}

/// A question that the manager answers with JSON of its own, which `text_of` makes readable.
void show_answer(Common& common, const std::string& verb, const std::string& argument, Result<std::string> (*text_of)(std::string_view)) {
    Answer answer;
    common.exit_code = ask(common, verb, {argument}, answer);
    if (common.exit_code != kExitDone) return;
    if (common.json) {
        std::cout << answer.json << "\n";
        return;
    }
    const auto text = text_of(answer.json);
    if (text) std::cout << *text;
    else common.exit_code = tell(text.error(), exit_code_of(text.error().code));
}

/// Names for shell completion, one on a line; nothing rather than complaints while somebody types.
void show_names(Common& common, const std::string& kind) {
    Answer answer;
    common.timeout_s = std::min(common.timeout_s, 1.0);
    common.exit_code = ask(common, "view", {}, answer);
    if (common.exit_code == kExitDone) std::cout << names_in(answer.json, kind);
}

void print_watched(const Common& common, const std::string& json) {
    if (common.json) {
        std::cout << json << "\n" << std::flush;
        return;
    }
    const auto text = view_text(json, Section::status);
    if (isatty(STDOUT_FILENO) != 0) std::cout << "\x1b[H\x1b[2J";
    std::cout << (text ? *text : printable(text.error().message) + "\n") << "\n" << std::flush;
}

/// Prints views until `updates` came (0: for ever).
int watch(const Common& common, std::uint64_t updates) {
    std::uint64_t left = updates;
    return follow(common, Patience::until_first_view, [&](const std::string& json) {
        print_watched(common, json);
        return left == 0 || --left > 0;
    });
}

}  // namespace

int tell(const Error& error, int code) {
    std::cerr << "understudy: " << printable(error.message) << "\n";
    return code;
}

Result<Configuration> configuration_of(const Common& common) {
    const auto path = find_configuration(common.configuration);
    if (!path) return tl::unexpected(path.error());
    return load_configuration(*path);
}

int ask(const Common& common, const std::string& verb, const std::vector<std::string>& arguments, Answer& answer) {
    const auto configuration = configuration_of(common);
    if (!configuration) return tell(configuration.error(), kExitUsage);
    Inbox inbox;
    auto link = Link::open(*configuration, inbox.sink());
    if (!link) return tell(link.error(), kExitUsage);
    auto reply = call(**link, inbox, {new_request_id(), verb, arguments}, common.timeout());
    if (!reply) return tell_no_answer(reply.error(), verb);
    if (reply->code != 0) {
        const auto code = static_cast<ErrorCode>(reply->code);
        return tell({code, reply->text.empty() ? std::string("the manager refused without a word") : reply->text},
                    exit_code_of(code));
    }
    answer = {std::move(reply->text), std::move(reply->json)};
    return kExitDone;
}

void add_questions(CLI::App& app, Common& common) {
    struct Named {
        const char* name;
        Section section;
        const char* what;
    };
    for (const Named& named : {Named{"status", Section::status, "the whole system in a few lines"},
                               Named{"hosts", Section::hosts, "physical computers and their use"},
                               Named{"nodes", Section::nodes, "nodes, their health and what was decided about them"},
                               Named{"terminals", Section::terminals, "who serves which terminal, and who stands by"},
                               Named{"sessions", Section::sessions, "applications, their protection and checkpoints"},
                               Named{"pools", Section::pools, "instances kept ready"},
                               Named{"incidents", Section::incidents, "failures and what was done about them"}}) {
        app.add_subcommand(named.name, named.what)->callback([&common, section = named.section] { show(common, section); });
    }
    auto* incident = app.add_subcommand("incident", "the whole story of one incident");
    auto id = std::make_shared<std::string>();
    incident->add_option("id", *id, "its number, as in: understudy incidents")->required()->check(CLI::PositiveNumber)->type_name("INCIDENT");
    incident->callback([&common, id] { show_answer(common, "incident", "id=" + *id, incident_text); });

    auto* loss = app.add_subcommand("what-if", "who would go where if a host died now, and what would have no place");
    auto host = std::make_shared<std::string>();
    loss->add_option("host", *host, "the host's name")->required()->type_name("HOST");
    loss->callback([&common, host] { show_answer(common, "what-if", "host=" + *host, rehearsal_text); });

    auto* audit = app.add_subcommand("audit", "who did what, for whom and why, and what became of it; for administrators");
    auto count = std::make_shared<std::uint64_t>(50);
    audit->add_option("--newest", *count, "so many acts")->check(CLI::Range(1, 1000))->capture_default_str()->type_name("NUMBER");
    audit->callback([&common, count] { show_answer(common, "audit", "count=" + std::to_string(*count), audit_text); });

    auto* names = app.add_subcommand("names", "the names of hosts, nodes, terminals, sessions, pools or incidents, one on a line");
    auto kind = std::make_shared<std::string>();
    names->add_option("kind", *kind, "which names")->required()->check(CLI::IsMember({"hosts", "nodes", "terminals", "sessions", "pools", "incidents"}));
    names->callback([&common, kind] { show_names(common, *kind); });

    auto* watch_command = app.add_subcommand("watch", "follow the status until interrupted");
    auto updates = std::make_shared<std::uint64_t>(0);
    watch_command->add_option("--updates", *updates, "end after this many (0: never)");
    watch_command->callback([&common, updates] { common.exit_code = watch(common, *updates); });
}

}  // namespace understudy::client
