// What the agent tells the first process of a session. No thread of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace understudy::session {

struct Options {
    std::string root;           ///< the session's tree, as the guest sees it
    std::string host_name = "session";
    std::string geometry = "1024x768";
    std::string user_name = "session";
    std::string home = "/home/session";
    std::string environment;    ///< folder of an environment bundle, mounted at /opt/environment; may be empty
    uid_t user = 1000;
    gid_t group = 1000;
    int status = -1;            ///< descriptor that hears "screen", "running" or "failed REASON"
    std::vector<std::string> command;
};

/// `--name value … -- command`. Returns false for anything else; the agent is the only caller.
[[nodiscard]] bool parse(int count, char** words, Options& options);

/// The same as words again, for the second stage.
[[nodiscard]] std::vector<std::string> to_words(const Options& options);

}  // namespace understudy::session
