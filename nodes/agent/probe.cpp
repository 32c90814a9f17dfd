// See probe.hpp.
#include "nodes/agent/probe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "nodes/agent/base/process.hpp"

namespace understudy::node {
namespace {

std::string read_all(int from) {
    std::string text;
    char part[1024];
    for (ssize_t got = 0; (got = ::read(from, part, sizeof part)) > 0 && text.size() < 64 * 1024;) text.append(part, static_cast<std::size_t>(got));
    return text;
}

std::string first_error(const std::string& text) {
    auto at = text.find("Error");
    if (at == std::string::npos) at = 0;
    return text.substr(at, text.find('\n', at) - at);
}

// `conclusive` is false when there was no time for an answer.
CheckpointProbe ask(int patience_ms, bool& conclusive) {
    conclusive = true;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {false, "no pipe for criu check"};
    const Descriptor out(ends[0]);
    Descriptor in(ends[1]);
    Spawn what;
    what.command = {"criu", "check"};
    what.environment = plain_environment();
    what.descriptors = {{1, in.get()}, {2, in.get()}};
    const auto child = spawn(what);
    in.reset();
    if (!child) return {false, child.error().message};
    pollfd ended{child->pidfd.get(), POLLIN, 0};
    conclusive = ::poll(&ended, 1, patience_ms) == 1;
    if (!conclusive) ::syscall(SYS_pidfd_send_signal, child->pidfd.get(), SIGKILL, nullptr, 0);
    ::poll(&ended, 1, 1000);
    const auto end = take_end(*child);
    // Too busy to tell. The first dump will: what it fails of is reported as it is.
    if (!conclusive) return {true, ""};
    const std::string words = read_all(out.get());
    if (end.clean() || words.find("Looks good") != std::string::npos) return {true, ""};
    return {false, "criu check: " + (words.empty() ? describe(end) : first_error(words))};
}

}  // namespace

CheckpointProbe probe_checkpoints(const std::string& cache_file, int patience_ms) {
    std::ifstream cached(cache_file);
    std::string line;
    if (std::getline(cached, line)) return {line.empty(), line};
    bool conclusive = false;
    const auto probe = ask(patience_ms, conclusive);
    if (conclusive) std::ofstream(cache_file) << probe.reason << "\n";
    return probe;
}

}  // namespace understudy::node
