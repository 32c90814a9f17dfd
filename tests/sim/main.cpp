// understudy-sim: runs seeds, one thread per seed, and says what broke so that it can be read and replayed.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <unistd.h>

#include "base/version.hpp"
#include "tests/sim/coverage.hpp"
#include "tests/sim/instruments.hpp"
#include "tests/sim/planted.hpp"
#include "tests/sim/world.hpp"

#ifndef UNDERSTUDY_COMMIT
#define UNDERSTUDY_COMMIT "unknown"
#endif

namespace {

using namespace understudy::sim;

thread_local std::uint64_t current_seed = 0;

/// An assertion failed: the seed is all that is needed to see it again. Only async-signal-safe calls.
void on_crash(int) {
    char text[96];
    const char* head = "\nCRASH in seed ";
    std::size_t length = std::strlen(head);
    std::memcpy(text, head, length);
    char digits[24];
    std::size_t count = 0;
    std::uint64_t left = current_seed;
    do {
        digits[count++] = static_cast<char>('0' + left % 10);
        left /= 10;
    } while (left != 0);
    while (count > 0) text[length++] = digits[--count];
    text[length++] = '\n';
    [[maybe_unused]] const auto written = ::write(2, text, length);
    ::_exit(static_cast<int>(Exit::crash));
}

void usage() {
    std::puts(
        "understudy-sim: runs the real cores through random faults, each run from one seed\n"
        "  --seed N        first seed (1)             --seeds COUNT   how many seeds (1)\n"
        "  --jobs J        threads (1)                --seed-file F   seeds from a file, one per line\n"
        "  --nodes N       (100)                      --terminals N   (40)\n"
        "  --hosts N       (drawn)                    --minutes M     of faults, simulated (10)\n"
        "  --hours H       of faults, simulated       --faults LIST   all, none, or names joined by commas\n"
        "  --trace         print every event          --coverage      print the marks; exit 13 if one is missing\n"
        "  --cycles N      terminals released N times in turn; each attaches again\n"
        "  --twice         each seed twice: the trace hashes must be equal\n"
        "  --large         20,000 nodes, 5,000 terminals, a domain of 2,000 nodes is lost\n"
        "  --quiet         failures and the summary only     --version\n"
        "  --plant NAME    switch a bug on            --planted FILE  check that all bugs of FILE are caught\n"
        "exit: 0 all promises held, 10 crash, 11 safety, 12 liveness, 13 coverage, 2 usage");
}

struct Command {
    Options options;
    std::string seed_file;
    std::string plant_file;
    bool quiet = false;
    bool version = false;
    bool bad = false;
};

Command parse(int count, char** arguments) {
    Command command;
    Options& options = command.options;
    const auto number = [&](int& i) -> std::uint64_t {
        if (i + 1 >= count) {
            command.bad = true;
            return 0;
        }
        char* end = nullptr;
        const std::uint64_t value = std::strtoull(arguments[++i], &end, 10);
        if (end == arguments[i] || *end != '\0') command.bad = true;
        return value;
    };
    const auto word = [&](int& i) -> std::string {
        if (i + 1 < count) return arguments[++i];
        command.bad = true;
        return {};
    };
    for (int i = 1; i < count && !command.bad; ++i) {
        const std::string option = arguments[i];
        if (option == "--seed") options.seed = number(i);
        else if (option == "--seeds") options.seeds = number(i);
        else if (option == "--jobs") options.jobs = static_cast<std::uint32_t>(number(i));
        else if (option == "--nodes") options.nodes = static_cast<std::uint32_t>(number(i));
        else if (option == "--terminals") options.terminals = static_cast<std::uint32_t>(number(i));
        else if (option == "--hosts") options.hosts = static_cast<std::uint32_t>(number(i));
        else if (option == "--minutes") options.minutes = static_cast<std::uint32_t>(number(i));
        else if (option == "--hours") options.minutes = static_cast<std::uint32_t>(number(i) * 60);
        else if (option == "--faults") options.faults = word(i);
        else if (option == "--seed-file") command.seed_file = word(i);
        else if (option == "--cycles") options.cycles = static_cast<std::uint32_t>(number(i));
        else if (option == "--planted") command.plant_file = word(i);
        else if (option == "--plant") options.plant = word(i);
        else if (option == "--trace") options.trace = true;
        else if (option == "--coverage") options.coverage = true;
        else if (option == "--twice") options.twice = true;
        else if (option == "--quiet") command.quiet = true;
        else if (option == "--version") command.version = true;
        else if (option == "--large") options.large = true;
        else command.bad = true;
    }
    if (options.large) {
        options.nodes = 20000;
        options.terminals = 5000;
    }
    if (options.nodes < 4 || options.nodes > 200000 || options.terminals > 100000 || options.jobs == 0 ||
        options.cycles > 100000) command.bad = true;
    return command;
}

bool read_seeds(const std::string& path, std::vector<std::uint64_t>& seeds) {
    std::FILE* file = std::fopen(path.c_str(), "r");
    if (file == nullptr) {
        std::fprintf(stderr, "cannot read %s\n", path.c_str());
        return false;
    }
    char line[512];
    while (std::fgets(line, sizeof line, file) != nullptr) {
        char* end = nullptr;
        const std::uint64_t seed = std::strtoull(line, &end, 10);
        if (end != line) seeds.push_back(seed);
    }
    std::fclose(file);
    return true;
}

class Batch {
  public:
    Batch(const Command& command, std::vector<std::uint64_t> seeds) : command_(command), seeds_(std::move(seeds)) {}

    int run() {
        const auto began = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        const std::size_t jobs = std::min<std::size_t>(command_.options.jobs, seeds_.size());
        for (std::size_t i = 1; i < jobs; ++i) threads.emplace_back([this] { work(); });
        work();
        for (std::thread& thread : threads) thread.join();
        const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        std::printf("%zu seeds, %zu failed; %.0f simulated s in %.1f s on %zu threads: %.0f x real time per thread, %.0f events/s\n",
                    done_, failed_, simulated_s_, took, jobs, simulated_s_ / took / static_cast<double>(jobs),
                    static_cast<double>(events_) / took);
        if (command_.options.coverage && !print_coverage(marks_) && worst_ == Exit::ok) worst_ = Exit::coverage;
        return static_cast<int>(worst_);
    }

  private:
    void work() {
        while (true) {
            const std::size_t mine = next_.fetch_add(1);
            if (mine >= seeds_.size()) break;
            one(seeds_[mine]);
        }
        const std::lock_guard lock(mutex_);
        for (const auto& [name, count] : marks_of_this_thread()) marks_[name] += count;
    }

    Outcome simulate(std::uint64_t seed, std::string& error) {
        const Plan plan = draw_plan(command_.options, seed, error);
        if (!error.empty()) return {};
        World world(command_.options, plan, seed);
        return world.run();
    }

    void one(std::uint64_t seed) {
        current_seed = seed;
        plant(command_.options.plant);
        std::string error;
        const auto began = std::chrono::steady_clock::now();
        Outcome outcome = simulate(seed, error);
        if (!error.empty()) {
            outcome.exit = Exit::usage;
            outcome.text = error;
        } else if (command_.options.twice && outcome.exit == Exit::ok) {
            const Outcome again = simulate(seed, error);
            if (again.hash != outcome.hash) {
                outcome.exit = Exit::safety;
                outcome.promise = "determinism";
                outcome.text = "the same seed gave two different histories";
            }
        }
        const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        const std::lock_guard lock(mutex_);
        note(seed, outcome, took);
    }

    void note(std::uint64_t seed, const Outcome& outcome, double took) {
        ++done_;
        events_ += outcome.events;
        const double simulated = static_cast<double>(outcome.simulated.count()) / 1e6;
        simulated_s_ += simulated;
        if (outcome.exit == Exit::ok) {
            if (command_.quiet) return;
            std::printf("seed %llu ok: hash %016llx, %.0f s simulated in %.2f s, %llu events, %zu of %zu terminals served, all well %.0f s after the faults\n",
                        static_cast<unsigned long long>(seed), static_cast<unsigned long long>(outcome.hash), simulated, took,
                        static_cast<unsigned long long>(outcome.events), outcome.served, outcome.present,
                        static_cast<double>(outcome.healed_after.count()) / 1e6);
            std::fflush(stdout);
            return;
        }
        ++failed_;
        if (worst_ == Exit::ok || outcome.exit < worst_) worst_ = outcome.exit;
        const Options& options = command_.options;
        if (outcome.exit == Exit::usage) {
            std::fprintf(stderr, "%s\n", outcome.text.c_str());
            return;
        }
        if (!command_.quiet || failed_ <= 3) std::printf("---- last events\n%s", outcome.last_lines.c_str());
        if (!command_.quiet || failed_ <= 3) {
            for (const std::string& said : outcome.notes) std::printf("     note: %s\n", said.c_str());
        }
        std::printf("seed %llu FAILED after %.1f s: %s violated: %s\n  replay: --seed %llu --nodes %u --terminals %u --minutes %u --cycles %u --faults %s%s%s (commit %s)\n",
                    static_cast<unsigned long long>(seed), simulated, outcome.promise.c_str(), outcome.text.c_str(),
                    static_cast<unsigned long long>(seed), options.nodes, options.terminals, options.minutes, options.cycles, options.faults.c_str(),
                    options.plant.empty() ? "" : " --plant ", options.plant.c_str(), UNDERSTUDY_COMMIT);
        std::fflush(stdout);
    }

    const Command& command_;
    std::vector<std::uint64_t> seeds_;
    std::atomic<std::size_t> next_{0};
    std::mutex mutex_;
    std::size_t done_ = 0;
    std::size_t failed_ = 0;
    std::uint64_t events_ = 0;
    double simulated_s_ = 0;
    Exit worst_ = Exit::ok;
    std::map<std::string, std::uint64_t> marks_;
};

}  // namespace

int main(int count, char** arguments) {
    const Command command = parse(count, arguments);
    if (command.bad) {
        usage();
        return static_cast<int>(Exit::usage);
    }
    if (command.version) {
        std::printf("understudy-sim %s\n", understudy::kRelease);
        return 0;
    }
    std::vector<std::uint64_t> seeds;
    if (!command.seed_file.empty()) {
        if (!read_seeds(command.seed_file, seeds)) return static_cast<int>(Exit::usage);
    } else {
        for (std::uint64_t i = 0; i < command.options.seeds; ++i) seeds.push_back(command.options.seed + i);
    }
    std::signal(SIGABRT, on_crash);
    std::signal(SIGSEGV, on_crash);
    if (!command.plant_file.empty()) return run_planted(command.plant_file, command.options);
    Batch batch(command, std::move(seeds));
    return batch.run();
}
