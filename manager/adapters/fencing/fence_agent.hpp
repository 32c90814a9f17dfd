// Switches one host off through a program of the `fence-agents` family (any of them, or one that speaks as they
// do): options as key=value lines on standard input, `action=off` and `action=status`. Its exit code is no proof:
// what counts is that it says "Status: OFF" when it is asked afterwards. Blocks its caller; any thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "protocol/result.hpp"

namespace understudy::manager {

struct FenceOptions {
    std::string agent;                 ///< program, looked up in PATH; empty: the host cannot be fenced
    std::vector<std::string> options;  ///< "key=value", as the agent's manual names them
    std::chrono::milliseconds limit{30'000};  ///< for one run of the program
    unsigned attempts = 2;             ///< of switching off, before it is reported as failed
    bool operator==(const FenceOptions&) const = default;
};

class FenceAgent {
  public:
    /// `host` is for messages.
    FenceAgent(std::string host, FenceOptions options) : host_(std::move(host)), options_(std::move(options)) {}

    /// Success: the agent has confirmed that the host is off, or was off already.
    /// Errors: `failed`, in the agent's words: it is missing, hangs, fails, or its status contradicts what it did.
    [[nodiscard]] Result<> switch_off() const;

  private:
    enum class Power { on, off };
    [[nodiscard]] Result<Power> status() const;
    [[nodiscard]] Result<> try_once() const;
    [[nodiscard]] std::string input_for(const std::string& action) const;

    std::string host_;
    FenceOptions options_;
};

}  // namespace understudy::manager
