// Brings notices to one place outside: a program or a web address. Each courier has a thread and a bounded queue of
// its own, so that a slow receiver delays neither the manager's view nor other receivers. Notices arrive in order;
// one that cannot be delivered is tried again a few times and then given up, and it is said.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/command/notices.hpp"
#include "protocol/result.hpp"

namespace understudy::client {

/// Delivers once; blocking. Errors: `failed` or `unavailable`, in the receiver's words, without any secret.
using Deliver = std::function<Result<>(const Notice&)>;

/// Runs `program` with the event's name as its argument and the body on standard input; it must end with 0.
[[nodiscard]] Deliver to_program(std::string program, std::chrono::seconds limit);

/// Posts the body as application/json to `url` (http or https, no redirects). With a secret the header
/// X-Understudy-Signature is "sha256=" and the hex HMAC-SHA-256 of the body.
[[nodiscard]] Deliver to_address(std::string url, std::string secret, std::chrono::seconds limit);

/// The address without what may be secret: user, path and query.
[[nodiscard]] std::string plain_address(const std::string& url);

class Courier {
public:
    static constexpr std::size_t kQueued = 256;

    /// `waits`: before each further attempt; when they are used up the notice is given up. `say` is called from
    /// the courier's thread.
    Courier(std::string name, Deliver deliver, std::vector<std::chrono::milliseconds> waits, std::function<void(const std::string&)> say);
    Courier(const Courier&) = delete;
    Courier& operator=(const Courier&) = delete;
    /// Ends at once; what is under way is finished, what waits is dropped and counted.
    ~Courier();

    /// Never blocks; a full queue loses its oldest notice, and it is said.
    void bring(Notice notice);

    /// Waits until all is delivered or given up, at most so long.
    bool settle(std::chrono::milliseconds limit);

private:
    void run();
    void deliver(const Notice& notice);
    std::string name_;
    Deliver deliver_;
    std::vector<std::chrono::milliseconds> waits_;
    std::function<void(const std::string&)> say_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Notice> queue_;
    bool busy_ = false;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace understudy::client
