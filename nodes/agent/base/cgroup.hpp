// Control groups (v2): everything of one session or desktop can be stopped or killed in one go, also
// what an earlier agent left behind. No thread of its own.
#pragma once

#include <string>

#include "nodes/agent/base/descriptor.hpp"
#include "protocol/result.hpp"

namespace understudy::node {

/// The group goes away with the object, and with it every process in it.
class Cgroup {
  public:
    Cgroup() = default;
    Cgroup(Cgroup&&) = default;
    Cgroup& operator=(Cgroup&& other) noexcept;
    ~Cgroup() { end(); }

    /// Makes ROOT/understudy/NAME. Errors: `failed`.
    [[nodiscard]] static Result<Cgroup> make(const std::string& root, const std::string& name);

    [[nodiscard]] int descriptor() const { return folder_.get(); }
    [[nodiscard]] explicit operator bool() const { return static_cast<bool>(folder_); }
    void freeze() { write("cgroup.freeze", "1"); }
    void thaw() { write("cgroup.freeze", "0"); }
    /// Processes are gone soon after, not yet when this returns.
    void kill();
    [[nodiscard]] bool empty() const;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    void write(const char* file, const char* text) const;
    void end();

    std::string path_;
    Descriptor folder_;
};

/// Kills everything below ROOT/understudy and removes the groups; waits until it is done (at most 5 s).
void clear_leftover_groups(const std::string& root);

}  // namespace understudy::node
