// See sessions.hpp.
#include "nodes/execution/sessions.hpp"

#include <sys/stat.h>

#include <filesystem>

#include "nodes/execution/session_tree.hpp"

namespace understudy::node {

Sessions::Sessions(Loop& loop, ExecutionSettings settings, SessionServices services)
    : ground_{loop, std::move(settings), std::move(services)} {
    namespace fs = std::filesystem;
    std::error_code wrong;
    const std::string& folder = ground_.settings.sessions_folder;
    // Moved aside at once and removed in the background: an agent that starts has more urgent things to do.
    const std::string old = folder + ".old";
    fs::remove_all(old, wrong);
    if (fs::exists(folder, wrong)) {
        fs::rename(folder, old, wrong);
        ground_.cleaner.run([old] { remove_tree(old); });
    }
    fs::create_directories(folder, wrong);
    // A session sees /var, and this with it, under an account that all sessions have: the other sessions' trees, with
    // the sockets of their screens, end at this folder. Its own tree it reaches by its own root.
    ::chmod(folder.c_str(), 0700);
}

Sessions::~Sessions() = default;

void Sessions::perform(const AssignSession& assign) {
    const SessionId id = assign.session;
    auto& session = sessions_[id];
    const bool wanted_again = session && session->given_up() && assign.duty != Duty::released;
    if (!session || wanted_again) {
        session = std::make_unique<Session>(ground_, id, ground_.settings.sessions_folder + "/" + std::to_string(++folders_), [this, id] {
            ground_.loop.post([this, id] {
                const auto found = sessions_.find(id);
                if (found != sessions_.end() && found->second->given_up()) sessions_.erase(found);
            });
        });
    }
    session->perform(assign);
}

void Sessions::freeze(SessionId session) {
    if (const auto found = sessions_.find(session); found != sessions_.end()) found->second->freeze();
}

void Sessions::thaw(SessionId session) {
    if (const auto found = sessions_.find(session); found != sessions_.end()) found->second->thaw();
}

std::optional<std::string> Sessions::screen_socket(SessionId session) const {
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? std::nullopt : found->second->screen_socket();
}

bool Sessions::comes_up(SessionId session, Epoch epoch, Epoch presentation_epoch) const {
    const auto found = sessions_.find(session);
    return found != sessions_.end() && found->second->comes_up(epoch, presentation_epoch);
}

Result<> Sessions::accept_checkpoints(SessionId session, Descriptor socket, Epoch epoch, std::function<void()> on_gone) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return failure(ErrorCode::refused, "this node knows nothing of session " + to_string(session));
    return found->second->accept_checkpoints(std::move(socket), epoch, std::move(on_gone));
}

}  // namespace understudy::node
