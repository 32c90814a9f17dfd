// See fence_agent.hpp.
#include "manager/adapters/fencing/fence_agent.hpp"

#include <thread>

#include "manager/adapters/system/run_program.hpp"

namespace understudy::manager {
namespace {

constexpr int kStatusOff = 2;  ///< also what the family ends with on bad arguments: the text must agree
constexpr int kStatusQuestions = 3;
constexpr std::chrono::milliseconds kBetweenQuestions{500};
constexpr std::size_t kQuoted = 400;

/// The end of what a program said, on one line.
std::string quoted(std::string text) {
    for (char& letter : text) {
        if (letter == '\n' || letter == '\r') letter = ' ';
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    if (text.size() > kQuoted) text = "…" + text.substr(text.size() - kQuoted);
    return text.empty() ? "nothing" : "\"" + text + "\"";
}

}  // namespace

std::string FenceAgent::input_for(const std::string& action) const {
    std::string input;
    for (const std::string& option : options_.options) input += option + "\n";
    return input + "action=" + action + "\n";
}

Result<FenceAgent::Power> FenceAgent::status() const {
    const auto asked = run_with_input({options_.agent}, input_for("status"), options_.limit);
    if (!asked) return tl::unexpected(asked.error());
    const bool says_off = asked->text.find("Status: OFF") != std::string::npos;
    const bool says_on = asked->text.find("Status: ON") != std::string::npos;
    if (asked->status == kStatusOff && says_off && !says_on) return Power::off;
    if (asked->status == 0 && says_on && !says_off) return Power::on;
    return failure(ErrorCode::failed, options_.agent + " does not tell the power of host " + host_ + ": asked for its status it ended with " +
                                          std::to_string(asked->status) + " and said " + quoted(asked->text));
}

Result<> FenceAgent::try_once() const {
    const auto done = run_with_input({options_.agent}, input_for("off"), options_.limit);
    if (!done) return tl::unexpected(done.error());
    if (done->status != 0) {
        return failure(ErrorCode::failed, options_.agent + " could not switch host " + host_ + " off: it ended with " +
                                              std::to_string(done->status) + " and said " + quoted(done->text));
    }
    for (int question = 0;; ++question) {
        const auto power = status();
        if (!power) return tl::unexpected(power.error());
        if (*power == Power::off) return {};
        if (question + 1 == kStatusQuestions) break;
        std::this_thread::sleep_for(kBetweenQuestions);
    }
    return failure(ErrorCode::failed, options_.agent + " claims to have switched host " + host_ + " off, and says that it is still on");
}

Result<> FenceAgent::switch_off() const {
    if (const auto power = status(); power && *power == Power::off) return {};  // off already is off
    Result<> outcome;
    for (unsigned attempt = 0; attempt < options_.attempts; ++attempt) {
        outcome = try_once();
        if (outcome) return outcome;
    }
    return failure(ErrorCode::failed, outcome.error().message + "; check fence_agent and fence_options of this [[host]] by hand: " +
                                          options_.agent + " --action=status …");
}

}  // namespace understudy::manager
