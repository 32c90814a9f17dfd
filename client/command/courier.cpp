// See courier.hpp.
#include "client/command/courier.hpp"

#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace understudy::client {
namespace {

std::string system_words(int error) { return std::strerror(error); }

/// Writes everything unless the reader goes away; a reader that does not read is ended by the caller's limit.
void write_all(int descriptor, const std::string& text, std::chrono::steady_clock::time_point deadline) {
    std::size_t written = 0;
    while (written < text.size()) {
        pollfd ready{descriptor, POLLOUT, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        if (left <= 0 || poll(&ready, 1, static_cast<int>(left)) <= 0) return;
        const ssize_t step = write(descriptor, text.data() + written, text.size() - written);
        if (step < 0 && errno != EAGAIN && errno != EINTR) return;
        if (step > 0) written += static_cast<std::size_t>(step);
    }
}

Result<> ended(const std::string& program, int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return failure(ErrorCode::failed, "hook " + program + (WIFEXITED(status) ? " ended with " + std::to_string(WEXITSTATUS(status))
                                                                             : " was ended by signal " + std::to_string(WTERMSIG(status))));
}

/// Waits for the child without polling; kills it when the time is over.
Result<> wait_for(const std::string& program, pid_t child, std::chrono::steady_clock::time_point deadline) {
    const int handle = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    pollfd waiting{handle, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    const bool late = handle >= 0 && poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) == 0;
    if (late) kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (handle >= 0) close(handle);
    if (late) return failure(ErrorCode::failed, "hook " + program + " did not end in time and was killed");
    return ended(program, status);
}

std::string hex_of(const unsigned char* bytes, std::size_t count) {
    std::string text(count * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes, count);
    text.pop_back();
    return text;
}

std::string signature_of(const std::string& body, const std::string& secret) {
    crypto_auth_hmacsha256_state state;
    std::array<unsigned char, crypto_auth_hmacsha256_BYTES> code{};
    crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
    crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(body.data()), body.size());
    crypto_auth_hmacsha256_final(&state, code.data());
    return "sha256=" + hex_of(code.data(), code.size());
}

std::size_t ignored(char*, std::size_t size, std::size_t count, void*) { return size * count; }

Result<> post(const std::string& url, const std::string& secret, std::chrono::seconds limit, const Notice& notice) {
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
    if (!handle) return failure(ErrorCode::failed, "the HTTP library cannot start");
    curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
    list = curl_slist_append(list, ("X-Understudy-Event: " + notice.event).c_str());
    if (!secret.empty()) list = curl_slist_append(list, ("X-Understudy-Signature: " + signature_of(notice.body, secret)).c_str());
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
    CURL* curl = handle.get();
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, notice.body.c_str());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(notice.body.size()));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(limit.count()));
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "understudy");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignored);
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) return failure(ErrorCode::unavailable, "webhook " + plain_address(url) + ": " + curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299) return failure(ErrorCode::failed, "webhook " + plain_address(url) + " answered " + std::to_string(status));
    return {};
}

}  // namespace

Deliver to_program(std::string program, std::chrono::seconds limit) {
    return [program = std::move(program), limit](const Notice& notice) -> Result<> {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        std::array<int, 2> pipe{};
        if (pipe2(pipe.data(), O_CLOEXEC) != 0) return failure(ErrorCode::failed, "no pipe for hook " + program + ": " + system_words(errno));
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pipe[0], STDIN_FILENO);
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        sigset_t usual;
        sigemptyset(&usual);
        sigaddset(&usual, SIGPIPE);
        posix_spawnattr_setsigdefault(&attributes, &usual);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        std::string name = program;
        std::string event = notice.event;
        std::string subject = notice.subject;
        std::array<char*, 4> arguments{name.data(), event.data(), subject.empty() ? nullptr : subject.data(), nullptr};
        pid_t child = 0;
        const int error = posix_spawn(&child, program.c_str(), &actions, &attributes, arguments.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        close(pipe[0]);
        if (error != 0) {
            close(pipe[1]);
            return failure(ErrorCode::failed, "hook " + program + " cannot be started: " + system_words(error));
        }
        fcntl(pipe[1], F_SETFL, O_NONBLOCK);
        write_all(pipe[1], notice.body + "\n", deadline);
        close(pipe[1]);
        return wait_for(program, child, deadline);
    };
}

Deliver to_address(std::string url, std::string secret, std::chrono::seconds limit) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    static_cast<void>(ready);
    return [url = std::move(url), secret = std::move(secret), limit](const Notice& notice) { return post(url, secret, limit, notice); };
}

std::string plain_address(const std::string& url) {
    const auto scheme = url.find("://");
    if (scheme == std::string::npos) return "(an address)";
    const std::string rest = url.substr(scheme + 3);
    std::string host = rest.substr(0, rest.find_first_of("/?#"));
    if (const auto user = host.rfind('@'); user != std::string::npos) host = host.substr(user + 1);
    return url.substr(0, scheme + 3) + host;
}

Courier::Courier(std::string name, Deliver deliver, std::vector<std::chrono::milliseconds> waits, std::function<void(const std::string&)> say)
    : name_(std::move(name)), deliver_(std::move(deliver)), waits_(std::move(waits)), say_(std::move(say)), thread_([this] { run(); }) {}

Courier::~Courier() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
    if (!queue_.empty()) say_(name_ + ": " + std::to_string(queue_.size()) + " notices were not delivered");
}

void Courier::bring(Notice notice) {
    bool lost = false;
    {
        const std::lock_guard lock(mutex_);
        lost = queue_.size() >= kQueued;
        if (lost) queue_.pop_front();
        queue_.push_back(std::move(notice));
    }
    changed_.notify_all();
    if (lost) say_(name_ + " does not keep up: the oldest notice is lost");
}

bool Courier::settle(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [this] { return queue_.empty() && !busy_; });
}

void Courier::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
        if (ending_) return;
        const Notice notice = std::move(queue_.front());
        queue_.pop_front();
        busy_ = true;
        lock.unlock();
        deliver(notice);
        lock.lock();
        busy_ = false;
        changed_.notify_all();
    }
}

void Courier::deliver(const Notice& notice) {
    for (std::size_t attempt = 0;; ++attempt) {
        const auto outcome = deliver_(notice);
        if (outcome) return;
        if (attempt == waits_.size()) {
            say_(outcome.error().message + "; given up after " + std::to_string(attempt + 1) + " attempts: " + notice.event + " " + notice.subject);
            return;
        }
        say_(outcome.error().message + "; tried again in " + std::to_string(waits_[attempt].count()) + " ms");
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, waits_[attempt], [this] { return ending_; })) return;
    }
}

}  // namespace understudy::client
