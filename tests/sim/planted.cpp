// See planted.hpp.
#include "tests/sim/planted.hpp"

#include <atomic>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

#include "tests/sim/instruments.hpp"
#include "tests/sim/world.hpp"

namespace understudy::sim {

namespace {

struct Bug {
    std::string name;
    std::string promise;  ///< that it breaks
    std::uint64_t seeds = 0;
    std::uint32_t minutes = 0;
    std::string faults;
};

std::vector<Bug> read_bugs(const std::string& path) {
    std::vector<Bug> bugs;
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        Bug bug;
        if (line.empty() || line[0] == '#') continue;
        if (words >> bug.name >> bug.promise >> bug.seeds >> bug.minutes >> bug.faults) bugs.push_back(bug);
    }
    return bugs;
}

/// Is it one of the expected promises ("S1,S7")?
bool matches(const std::string& expected, const std::string& promise) {
    std::istringstream list(expected);
    std::string one;
    while (std::getline(list, one, ',')) {
        if (one == promise) return true;
    }
    return false;
}

/// The line for the table; `caught` says whether the promise was seen to break.
std::string hunt(const Bug& bug, Options options, bool& caught) {
    plant(bug.name);
    options.plant = bug.name;
    options.faults = bug.faults;
    options.minutes = bug.minutes;
    std::string error;
    for (std::uint64_t seed = 1; seed <= bug.seeds; ++seed) {
        const Plan plan = draw_plan(options, seed, error);
        if (!error.empty()) break;
        World world(options, plan, seed);
        const Outcome outcome = world.run();
        if (outcome.exit == Exit::ok) continue;
        caught = matches(bug.promise, outcome.promise);
        plant({});
        return "seed " + std::to_string(seed) + ": " + outcome.promise + ": " + outcome.text;
    }
    plant({});
    return error.empty() ? "not caught within " + std::to_string(bug.seeds) + " seeds" : error;
}

}  // namespace

int run_planted(const std::string& path, const Options& options) {
    const std::vector<Bug> bugs = read_bugs(path);
    if (bugs.empty()) {
        std::fprintf(stderr, "no bugs are listed in %s\n", path.c_str());
        return static_cast<int>(Exit::usage);
    }
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> caught_count{0};
    std::mutex print;
    const auto work = [&] {
        for (std::size_t mine = next.fetch_add(1); mine < bugs.size(); mine = next.fetch_add(1)) {
            bool caught = false;
            const std::string line = hunt(bugs[mine], options, caught);
            caught_count += caught ? 1 : 0;
            const std::lock_guard lock(print);
            std::printf("%-7s %-30s %s\n", caught ? "caught" : "MISSED", bugs[mine].name.c_str(), line.c_str());
            std::fflush(stdout);
        }
    };
    std::vector<std::thread> threads;
    for (std::uint32_t i = 1; i < options.jobs; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    std::printf("%zu of %zu planted bugs caught\n", caught_count.load(), bugs.size());
    return static_cast<int>(caught_count == bugs.size() ? Exit::ok : Exit::coverage);
}

}  // namespace understudy::sim
