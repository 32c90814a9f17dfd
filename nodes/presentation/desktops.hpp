// All desktops of this node. Owned by the agent's main thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "nodes/presentation/desktop_runner.hpp"

namespace understudy::node {

class Desktops {
  public:
    /// Precondition: no process of an earlier agent is left.
    Desktops(Loop& loop, PresentationSettings settings, DesktopServices services);
    ~Desktops();
    Desktops(const Desktops&) = delete;
    Desktops& operator=(const Desktops&) = delete;

    void perform(const AssignDesktop& assign);
    /// Where a terminal is connected to. Errors: `not_found`, `unavailable`.
    [[nodiscard]] Result<std::string> socket(TerminalId terminal) const;

  private:
    [[nodiscard]] unsigned free_display();

    Loop& loop_;
    const PresentationSettings settings_;
    const DesktopServices services_;
    Worker cleaner_{Worker::kAside};
    unsigned next_display_;
    std::map<TerminalId, std::unique_ptr<DesktopRunner>> desktops_;
};

}  // namespace understudy::node
