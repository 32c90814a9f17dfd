// See dead_children.hpp.
#include "nodes/execution/dead_children.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace understudy::node {
namespace {

constexpr std::size_t kMostProcesses = 1000;

bool is_dead(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    // The name in brackets may hold anything; the state follows the last bracket.
    const auto at = text.rfind(')');
    return at != std::string::npos && at + 2 < text.size() && text[at + 2] == 'Z';
}

void add_children(int pid, std::vector<int>& pids) {
    std::error_code gone;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
        std::ifstream file(thread.path() / "children");
        for (int child = 0; file >> child;) pids.push_back(child);
    }
}

}  // namespace

bool has_dead_children(int pid) {
    std::vector<int> pids;
    add_children(pid, pids);
    for (std::size_t next = 0; next < pids.size() && next < kMostProcesses; ++next) {
        if (is_dead(pids[next])) return true;
        add_children(pids[next], pids);
    }
    return false;
}

}  // namespace understudy::node
