// Process 1 of a session: starts screen, window manager and application, reaps, and ends with them.
// One thread. It is part of every checkpoint, so it holds nothing that reaches out of the session.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "options.hpp"

namespace understudy::session {

/// Exit status of process 1; the agent reads more in kEndFile.
enum class End : int { closed = 0, application_crashed = 10, screen_crashed = 11, could_not_start = 12 };

inline constexpr const char* kEndFile = "/run/understudy/ended";
inline constexpr const char* kLogFile = "/run/understudy/log";
inline constexpr const char* kScreenSocket = "/run/understudy/rfb";

class Keeper {
  public:
    explicit Keeper(Options options);

    /// Returns when the session is over. Call once.
    [[nodiscard]] End run();

  private:
    [[nodiscard]] bool open_own_descriptors();
    [[nodiscard]] pid_t start(const std::vector<std::string>& command, int keep_from, int keep_as);
    [[nodiscard]] bool start_screen();
    void start_managing();
    void start_window_manager();
    void start_message_bus();
    void say(const std::string& status);
    [[nodiscard]] End end(End how, const std::string& words);
    [[nodiscard]] bool reap(End& how);
    void keep_log();

    Options options_;
    std::vector<std::string> environment_;
    int signals_ = -1;
    int bus_ = -1;       ///< listens; a message bus is started with the first connection
    int output_ = -1;    ///< what the programs write
    int output_in_ = -1;
    int log_ = -1;
    std::size_t logged_bytes_ = 0;
    pid_t screen_ = -1;
    pid_t window_manager_ = -1;
    pid_t bus_process_ = -1;
    pid_t application_ = -1;
    int window_manager_starts_ = 0;
};

}  // namespace understudy::session
