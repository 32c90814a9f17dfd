// Tries whether another node's door can be reached from here. Owned by the agent's main thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/loop.hpp"
#include "protocol/messages.hpp"
#include "streams/pump.hpp"

namespace understudy::node {

class Witnesses {
  public:
    static constexpr Duration kPatience = std::chrono::milliseconds(500);
    static constexpr std::size_t kAtOnce = 32;  ///< more are answered "not reached"

    Witnesses(Loop& loop, streams::Pump& pump) : loop_(loop), pump_(pump) {}
    ~Witnesses();
    Witnesses(const Witnesses&) = delete;
    Witnesses& operator=(const Witnesses&) = delete;

    /// `answer` is called once: whether the door answered, with the key that the endpoint says, and after how long.
    void probe(const Endpoint& endpoint, std::function<void(bool reached, Duration round_trip)> answer);

  private:
    struct Probe {
        Descriptor socket;
        Loop::Id watch = 0;
        Loop::Id timer = 0;
        TimePoint began{};
        std::function<void(bool, Duration)> answer;
    };
    void conclude(std::uint64_t id, bool reached);

    Loop& loop_;
    streams::Pump& pump_;
    std::uint64_t next_ = 1;
    std::map<std::uint64_t, Probe> probes_;
};

}  // namespace understudy::node
