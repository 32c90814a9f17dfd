// See desktops.hpp.
#include "nodes/presentation/desktops.hpp"


#include <algorithm>
#include <filesystem>

namespace understudy::node {
namespace {

constexpr unsigned kFirstDisplay = 10;
constexpr unsigned kLastDisplay = 5000;

}  // namespace

Desktops::Desktops(Loop& loop, PresentationSettings settings, DesktopServices services)
    : loop_(loop), settings_(std::move(settings)), services_(std::move(services)), next_display_(kFirstDisplay) {
    std::error_code wrong;
    std::filesystem::remove_all(settings_.run_folder + "/desktops", wrong);
    std::filesystem::create_directories(settings_.run_folder + "/desktops", wrong);
}

Desktops::~Desktops() = default;

// Numbers go round: that of a desktop just gone may still be in use for a moment.
unsigned Desktops::free_display() {
    for (;;) {
        const unsigned number = next_display_;
        next_display_ = next_display_ >= kLastDisplay ? kFirstDisplay : next_display_ + 1;
        const bool taken = std::any_of(desktops_.begin(), desktops_.end(), [number](const auto& entry) { return entry.second && entry.second->display() == number; });
        if (!taken) return number;
    }
}

void Desktops::perform(const AssignDesktop& assign) {
    auto& desktop = desktops_[assign.terminal];
    if (desktop && !desktop->is_over()) {
        desktop->perform(assign);
        return;
    }
    if (assign.duty == Duty::released) {
        desktops_.erase(assign.terminal);
        DesktopStatus status;
        status.terminal = assign.terminal;
        status.epoch = assign.epoch;
        status.revision = assign.revision;
        status.phase = Phase::released;
        services_.report(std::move(status));
        return;
    }
    const TerminalId terminal = assign.terminal;
    desktop = std::make_unique<DesktopRunner>(loop_, cleaner_, settings_, services_, free_display(), assign, [this, terminal] {
        loop_.post([this, terminal] {
            const auto found = desktops_.find(terminal);
            if (found != desktops_.end() && found->second && found->second->is_over()) desktops_.erase(found);
        });
    });
}

Result<std::string> Desktops::socket(TerminalId terminal) const {
    const auto found = desktops_.find(terminal);
    if (found == desktops_.end()) return failure(ErrorCode::not_found, "this node has no desktop of terminal " + to_string(terminal));
    return found->second->socket();
}

}  // namespace understudy::node
