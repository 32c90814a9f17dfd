// The probe's language: commands as JSON lines in, answers and events as JSON lines out.
// Belongs to the probe's main thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "client/probe/terminal.hpp"

namespace understudy::client {

class Commands {
public:
    /// `say` writes one line. Preconditions: both outlive this.
    explicit Commands(std::function<void(const std::string&)> say) : say_(std::move(say)) {}

    /// Whom the commands steer. Call once, before anything else.
    void steer(ProbeTerminal& terminal) { terminal_ = &terminal; }

    /// Carries out one line. What is not understood is answered with `ok: false`, and changes nothing.
    void take(const std::string& line);

    /// Tells an event, and looks whether somebody waits for it.
    void heard(const Seen& seen);

    /// Answers waits whose time is over.
    void tick();
    [[nodiscard]] TimePoint next_wake() const;

    [[nodiscard]] bool quitting() const { return quitting_; }

private:
    struct Wait {
        std::string id_json;
        std::string what;         ///< "change", "colour", "picture"
        Area area;
        std::uint32_t colour = 0;
        int tolerance = 0;
        std::uint64_t at_least = 1;
        Epoch epoch = 0;
        std::vector<std::uint32_t> before;  ///< for "change"
        TimePoint deadline = kNever;
        std::int64_t timeout_ms = 0;
    };

    /// A part of the picture that should stay as it is.
    struct Guard {
        Area area;
        std::uint64_t at_most = 0;          ///< so many pixels may differ without being counted
        std::vector<std::uint32_t> before;
        std::uint64_t pictures = 0;         ///< looked at since
        std::uint64_t differing = 0;        ///< of these
        std::uint64_t worst = 0;            ///< most pixels that differed at once
        std::int64_t first_mono_ns = 0;     ///< of the first one that differed
    };

    [[nodiscard]] bool holds(const Wait& wait) const;
    void look_at_guards();
    void look_at_waits();

    std::function<void(const std::string&)> say_;
    ProbeTerminal* terminal_ = nullptr;
    std::vector<Wait> waits_;
    std::map<std::string, Guard> guards_;
    bool report_updates_ = false;
    bool quitting_ = false;
};

}  // namespace understudy::client
