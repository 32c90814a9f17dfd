// On which hosts another machine of a pool could be made now, best first, and what rules out the rest. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "manager/core/records.hpp"

namespace understudy::manager {

struct State;
struct Need;

/// One host that was looked at: its place in the order, or the rule that excludes it.
struct ConsideredHost {
    HostId host;
    bool open = false;
    std::string verdict;
};

class OpenHosts {
  public:
    /// Both outlive this.
    OpenHosts(const State& state, const PoolRecord& pool);

    /// The best host that the need does not avoid; none: nobody.
    [[nodiscard]] HostId best_for(const Need& need) const;
    /// After something was made there.
    void consider_again(HostId id);

    [[nodiscard]] bool empty() const { return ranked_.empty(); }
    /// Some host is only busy, or has not answered yet: nothing to tell people about.
    [[nodiscard]] bool some_wait() const { return some_wait_; }
    /// Why nothing can be made, in words.
    [[nodiscard]] std::string why_none() const;
    /// Is there a host, other than this one, on which fewer creations failed?
    [[nodiscard]] bool better_than(HostId id) const;
    /// Every host, best first, then those that are excluded.
    [[nodiscard]] std::vector<ConsideredHost> considered() const;

  private:
    struct Ranked {
        std::uint32_t failures = 0;
        std::uint64_t rank = 0;  ///< by use, as the pool's policy wants it
        HostId host;
        auto operator<=>(const Ranked&) const = default;
    };

    /// What excludes a host; put into words only when somebody asks, for this is looked at often.
    enum class Rule : std::uint8_t { none, maintenance, off, unlisted, silent, too_small, vcpus, memory, disk, busy };

    void consider(HostId id, const HostRecord& host);
    [[nodiscard]] Rule rule_against(HostId id, const HostRecord& host) const;
    [[nodiscard]] std::string words_for(Rule rule, HostId id, const HostRecord& host) const;
    [[nodiscard]] std::uint64_t used_permille(HostId id, const HostRecord& host) const;

    const State& state_;
    const PoolRecord& pool_;
    std::set<Ranked> ranked_;
    bool some_wait_ = false;
    std::string silent_;  ///< a host that might have room and does not answer
};

/// What an instance of this pool lacks there even if the host were empty, in words; empty: it fits.
[[nodiscard]] std::string does_not_fit(const HostRecord& host, const PoolRecord& pool);

}  // namespace understudy::manager
