// The questions of the command line, and how any request is asked and its failure told. Main thread only.
#include <csignal>
#include <iostream>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "client/command/exit_codes.hpp"
#include "client/command/session.hpp"
#include "client/command/table.hpp"
#include "client/command/view_text.hpp"
#include "client/link/admin_call.hpp"

namespace understudy::client {
namespace {

volatile std::sig_atomic_t interrupted = 0;

int tell(const Error& error, int code) {
    std::cerr << "understudy: " << printable(error.message) << "\n";
    return code;
}

int tell_no_answer(const NoAnswer& outcome, const std::string& verb) {
    if (outcome.sent) {
        return tell({ErrorCode::unknown_outcome, outcome.reason + "; \"" + verb +
                                                     "\" may or may not have happened: look with \"understudy status\""},
                    exit_code_of(ErrorCode::unknown_outcome));
    }
    return tell({ErrorCode::unavailable, outcome.reason}, kExitUnreachable);
}

Result<Configuration> configuration_of(const Common& common) {
    const auto path = find_configuration(common.configuration);
    if (!path) return tl::unexpected(path.error());
    return load_configuration(*path);
}

void show(Common& common, Section section) {
    Answer answer;
    common.exit_code = ask(common, "view", {}, answer);
    if (common.exit_code != kExitDone) return;
    const auto text = common.json ? view_json(answer.json, section) : view_text(answer.json, section);
    if (text) std::cout << *text;
    else common.exit_code = tell(text.error(), exit_code_of(text.error().code));
}

void show_incident(Common& common, const std::string& id) {
    Answer answer;
    common.exit_code = ask(common, "incident", {"id=" + id}, answer);
    if (common.exit_code != kExitDone) return;
    if (common.json) {
        std::cout << answer.json << "\n";
        return;
    }
    const auto text = incident_text(answer.json);
    if (text) std::cout << *text;
    else common.exit_code = tell(text.error(), exit_code_of(text.error().code));
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

/// Follows the manager until interrupted, or until `updates` views came (0: for ever).
class Watch {
public:
    Watch(const Common& common, std::uint64_t updates) : common_(common), left_(updates) {}

    int run() {
        const auto configuration = configuration_of(common_);
        if (!configuration) return tell(configuration.error(), kExitUsage);
        auto link = Link::open(*configuration, inbox_.sink());
        if (!link) return tell(link.error(), kExitUsage);
        link_ = std::move(*link);
        std::signal(SIGINT, [](int) { interrupted = 1; });
        std::signal(SIGTERM, [](int) { interrupted = 1; });
        const auto give_up = std::chrono::steady_clock::now() + common_.timeout();
        while (interrupted == 0 && !ended_) {
            const auto now = std::chrono::steady_clock::now();
            if (up_ && now >= renew_at_) subscribe(now);
            if (auto event = inbox_.take_until(now + std::chrono::milliseconds(250))) take(*event);
            if (!seen_ && now > give_up) return tell({ErrorCode::unavailable, reason_}, kExitUnreachable);
        }
        return exit_code_;
    }

private:
    static constexpr std::chrono::seconds kRenew{30};

    void subscribe(std::chrono::steady_clock::time_point now) {
        request_ = new_request_id();
        link_->send(AdminRequest{request_, "watch", {}});
        renew_at_ = now + kRenew;
    }

    void take(const LinkEvent& event) {
        if (std::holds_alternative<LinkUp>(event)) {
            up_ = true;
            subscribe(std::chrono::steady_clock::now());
        } else if (const auto* down = std::get_if<LinkDown>(&event)) {
            up_ = false;
            reason_ = down->reason;
            if (down->denied) {
                ended_ = true;
                exit_code_ = tell({ErrorCode::refused, reason_}, kExitUnreachable);
            } else if (seen_) {
                std::cerr << "understudy: " << printable(reason_) << "; waiting for it to come back\n";
            }
        } else if (const auto* received = std::get_if<Received>(&event)) {
            take(received->message);
        }
    }

    void take(const Message& message) {
        if (const auto* reply = std::get_if<AdminReply>(&message); reply != nullptr && reply->request == request_) {
            if (reply->code != 0) {
                ended_ = true;
                const auto code = static_cast<ErrorCode>(reply->code);
                exit_code_ = tell({code, reply->text}, exit_code_of(code));
            } else if (!seen_) {
                print(reply->json);
            }
        } else if (const auto* update = std::get_if<AdminUpdate>(&message)) {
            print(update->json);
        }
    }

    void print(const std::string& json) {
        if (json.empty() || ended_) return;
        seen_ = true;
        print_watched(common_, json);
        if (left_ > 0 && --left_ == 0) ended_ = true;
    }

    const Common& common_;
    std::uint64_t left_;
    Inbox inbox_;
    std::unique_ptr<Link> link_;
    std::uint64_t request_ = 0;
    std::chrono::steady_clock::time_point renew_at_;
    std::string reason_ = "no manager answered";
    bool up_ = false;
    bool seen_ = false;
    bool ended_ = false;
    int exit_code_ = kExitDone;
};

}  // namespace

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
    incident->add_option("id", *id, "its number, as in: understudy incidents")->required()->check(CLI::PositiveNumber);
    incident->callback([&common, id] { show_incident(common, *id); });

    auto* watch = app.add_subcommand("watch", "follow the status until interrupted");
    auto updates = std::make_shared<std::uint64_t>(0);
    watch->add_option("--updates", *updates, "end after this many (0: never)");
    watch->callback([&common, updates] { common.exit_code = Watch(common, *updates).run(); });
}

}  // namespace understudy::client
