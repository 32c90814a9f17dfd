// How the deciding core's time, memory and restart grow with the site. Prints one JSON object.
//
//   bench-growth --nodes N --terminals N [--failures N] --dir DIR [--keep]
#include <chrono>
#include <filesystem>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "manager/adapters/store/open_store.hpp"
#include "manager/adapters/store/sqlite_store.hpp"
#include "tests/bench/programs/filled_store.hpp"
#include "tests/bench/programs/site.hpp"

namespace {

using namespace understudy;
using namespace understudy::bench;
using namespace std::chrono_literals;

double ms_since(std::chrono::steady_clock::time_point began) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
}

/// From the file to a core that has begun: what people wait for after a crash.
nlohmann::json restart(const std::string& path, const manager::Settings& settings, manager::Moment moment) {
    const auto began = std::chrono::steady_clock::now();
    auto opened = manager::open_store(path, settings);
    if (!opened) throw std::runtime_error(opened.error().message);
    const double loaded = ms_since(began);
    static_cast<void>(opened->core.start(moment));
    return {{"loaded_ms", loaded}, {"started_ms", ms_since(began)}};
}

nlohmann::json summary(const Costs& costs) {
    return {{"count", costs.size()}, {"median_us", quantile(costs, 0.5) / 1000}, {"p99_us", quantile(costs, 0.99) / 1000}};
}

}  // namespace

int main(int count, char** words) {
    CLI::App program{"How the deciding core grows with the site"};
    SiteSize size;
    std::size_t failures = 50;
    std::string dir;
    bool keep = false;
    program.add_option("--nodes", size.nodes, "virtual machines");
    program.add_option("--terminals", size.terminals, "people at work");
    program.add_option("--failures", failures, "machines that are killed, one after another");
    program.add_option("--dir", dir, "where the store is written")->required();
    program.add_flag("--keep", keep, "leave the store there, as growth-N.db");
    CLI11_PARSE(program, count, words);
    try {
        Site site(size);
        if (const std::string lacks = site.build(); !lacks.empty()) throw std::runtime_error("the site does not come up: " + lacks);
        site.run(10s);
        static_cast<void>(site.take_costs());
        site.run(10s);
        nlohmann::json answer{{"nodes", size.nodes}, {"terminals", size.terminals}};
        answer["heartbeat"] = summary(site.take_costs()["Heartbeat"]);
        for (std::size_t i = 0; i < failures; ++i) {
            site.kill(site.busiest());
            site.run(2s);
        }
        answer["failure"] = summary(site.take_costs()["InstanceEnded"]);
        site.run(120s);
        {
            const std::size_t before = allocated_bytes();
            const manager::Core twin = site.core().copy();
            answer["memory_bytes"] = allocated_bytes() - before;
        }
        const std::string path = dir + "/growth-" + std::to_string(size.nodes) + ".db";
        const manager::Image image = site.core().durable_image();
        answer["records"] = image.size();
        {
            auto store = manager::SqliteStore::open(path);
            if (!store) throw std::runtime_error(store.error().message);
            fill(**store, image);
        }
        answer["restart"] = restart(path, site.settings(), site.moment());
        for (const auto& entry : std::filesystem::directory_iterator(dir)) {
            if (!keep && entry.path().string().starts_with(path)) std::filesystem::remove(entry.path());
        }
        std::cout << answer.dump() << '\n';
    } catch (const std::exception& problem) {
        std::cerr << problem.what() << '\n';
        return 1;
    }
    return 0;
}
