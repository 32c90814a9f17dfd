// See load.hpp.
#include "nodes/agent/load.hpp"

#include <fstream>
#include <string>

namespace understudy::node {
namespace {

std::uint64_t meminfo_kib(const std::string& name) {
    std::ifstream file("/proc/meminfo");
    std::string word;
    std::uint64_t value = 0;
    std::string unit;
    while (file >> word >> value) {
        if (word == name) return value;
        std::getline(file, unit);
    }
    return 0;
}

}  // namespace

LoadMeter::Load LoadMeter::measure() {
    std::ifstream file("/proc/stat");
    std::string name;
    std::uint64_t user = 0, nice = 0, system = 0, idle = 0, waiting = 0, hard = 0, soft = 0, stolen = 0;
    file >> name >> user >> nice >> system >> idle >> waiting >> hard >> soft >> stolen;
    const auto busy = user + nice + system + hard + soft + stolen;
    const auto all = busy + idle + waiting;
    Load load;
    if (all > all_ && all_ != 0) load.busy_permille = static_cast<std::uint32_t>((busy - busy_) * 1000 / (all - all_));
    busy_ = busy;
    all_ = all;
    load.memory_used_mib = static_cast<std::uint32_t>((meminfo_kib("MemTotal:") - meminfo_kib("MemAvailable:")) / 1024);
    return load;
}

std::uint32_t LoadMeter::memory_mib() { return static_cast<std::uint32_t>(meminfo_kib("MemTotal:") / 1024); }

}  // namespace understudy::node
