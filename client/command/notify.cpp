// `understudy notify`: tells programs and web addresses of incidents, alarms and the gate. A process of its own, with
// an observer's key: the manager speaks ZeroMQ and nothing else, and a gateway may run several times, so that
// neither is the place from where each incident is told once. Main thread, and one per receiver.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

#include "client/command/courier.hpp"
#include "client/command/exit_codes.hpp"
#include "client/command/follow.hpp"
#include "client/command/table.hpp"

namespace understudy::client {
namespace {

struct NotifyOptions {
    std::vector<std::string> hooks;
    std::vector<std::string> webhooks;
    std::string secret_file;
    std::string state;
    std::string site = "understudy";
    std::uint32_t limit_s = 10;
    std::vector<std::uint32_t> retry_ms{1000, 5000, 25000};
    std::uint64_t updates = 0;
    bool test = false;
};

std::int64_t wall_ms_now() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void say(const std::string& text) { std::cerr << "understudy: " + printable(text) + "\n"; }

Result<std::string> secret_in(const std::string& path) {
    if (path.empty()) return std::string();
    std::ifstream stream(path);
    std::string line;
    if (!std::getline(stream, line) || line.empty()) return failure(ErrorCode::not_found, "--secret-file " + path + " cannot be read or is empty");
    return line;
}

/// None at the first start.
std::optional<std::uint64_t> last_told(const std::string& path) {
    std::uint64_t last = 0;
    if (path.empty() || !(std::ifstream(path) >> last)) return std::nullopt;
    return last;
}

void remember(const std::string& path, std::uint64_t last) {
    if (path.empty()) return;
    const std::string fresh = path + ".new";
    std::ofstream(fresh) << last << "\n";
    if (std::rename(fresh.c_str(), path.c_str()) != 0) say("cannot write --state " + path + ": after a restart notices may be repeated");
}

std::vector<std::unique_ptr<Courier>> couriers_for(const NotifyOptions& options, const std::string& secret) {
    std::vector<std::chrono::milliseconds> waits;
    for (const std::uint32_t wait : options.retry_ms) waits.emplace_back(wait);
    const std::chrono::seconds limit(options.limit_s);
    std::vector<std::unique_ptr<Courier>> couriers;
    for (const std::string& hook : options.hooks) couriers.push_back(std::make_unique<Courier>("hook " + hook, to_program(hook, limit), waits, say));
    for (const std::string& url : options.webhooks) {
        couriers.push_back(std::make_unique<Courier>("webhook " + plain_address(url), to_address(url, secret, limit), waits, say));
    }
    return couriers;
}

int notify(const Common& common, const NotifyOptions& options) {
    for (const std::string& url : options.webhooks) {
        if (!url.starts_with("http://") && !url.starts_with("https://")) {
            return tell({ErrorCode::invalid, "--webhook " + plain_address(url) + " must begin with http:// or https://"}, kExitUsage);
        }
    }
    const auto secret = secret_in(options.secret_file);
    if (!secret) return tell(secret.error(), kExitUsage);
    std::signal(SIGPIPE, SIG_IGN);  // a hook that does not read
    const auto couriers = couriers_for(options, *secret);
    const auto bring = [&](const Notice& notice) {
        for (const auto& courier : couriers) courier->bring(notice);
        if (common.json) std::cout << notice.body << "\n" << std::flush;
    };
    const auto settle = [&] {
        for (const auto& courier : couriers) static_cast<void>(courier->settle(std::chrono::minutes(5)));
    };
    if (options.test) {
        bring({"test", "", R"({"event":"test","text":"a test by a person","site":")" + options.site + R"(","sent_wall_ms":)" + std::to_string(wall_ms_now()) + "}"});
        settle();
        return kExitDone;
    }
    Notices notices(options.site, last_told(options.state));
    std::uint64_t left = options.updates;
    std::optional<std::uint64_t> remembered;  // from the first view on: what comes while nobody follows is told later
    const int code = follow(common, Patience::for_ever, [&](const std::string& view) {
        const auto fresh = notices.take(view, wall_ms_now());
        if (!fresh) say(fresh.error().message);
        else std::for_each(fresh->begin(), fresh->end(), bring);
        if (fresh && remembered != notices.last_incident()) {
            remembered = notices.last_incident();
            remember(options.state, *remembered);
        }
        return left == 0 || --left > 0;
    });
    if (options.updates != 0) settle();
    return code;
}

}  // namespace

void add_notify(CLI::App& app, Common& common) {
    auto* command = app.add_subcommand("notify", "tell programs and web addresses of incidents and alarms, until interrupted");
    auto options = std::make_shared<NotifyOptions>();
    command->add_option("--hook", options->hooks, "run this program for each: event and number as arguments, JSON on standard input")->type_name("FILE");
    command->add_option("--webhook", options->webhooks, "post the JSON to this address")->type_name("URL");
    command->add_option("--secret-file", options->secret_file, "sign what is posted with the first line of this file")->type_name("FILE");
    command->add_option("--state", options->state, "remember here what was told of, so that nothing is missed over a restart")->type_name("FILE");
    command->add_option("--site", options->site, "a name that goes into every notice")->type_name("NAME");
    command->add_option("--limit", options->limit_s, "seconds for one delivery")->check(CLI::Range(1, 300))->type_name("NUMBER");
    command->add_option("--retry-ms", options->retry_ms, "waits before further attempts")->type_name("NUMBER");
    command->add_option("--updates", options->updates, "end after so many views (0: never)")->type_name("NUMBER");
    command->add_flag("--test", options->test, "send one notice for trying out the receivers, and end");
    command->parse_complete_callback([options] {
        if (options->hooks.empty() && options->webhooks.empty()) throw CLI::RequiredError("--hook or --webhook");
        if (options->site.find_first_of("\"\\") != std::string::npos) throw CLI::ValidationError("--site", "must not contain quotes or backslashes");
    });
    command->callback([&common, options] { common.exit_code = notify(common, *options); });
}

}  // namespace understudy::client
