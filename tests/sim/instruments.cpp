// See instruments.hpp; these definitions take the place of protocol/marks_off.cpp and planted_off.cpp.
#include "tests/sim/instruments.hpp"

#include <utility>

#include "protocol/marks.hpp"
#include "protocol/planted.hpp"

namespace understudy {
namespace {

using Counters = std::map<std::string, std::uint64_t, std::less<>>;

Counters& counters() {
    thread_local Counters table;
    return table;
}

std::string& planted_bug() {
    thread_local std::string name;
    return name;
}

}  // namespace

namespace marks {
const bool kCounted = true;
std::uint64_t& counter(std::string_view name) {
    Counters& table = counters();
    const auto at = table.find(name);
    return at != table.end() ? at->second : table.emplace(std::string(name), 0).first->second;
}
}  // namespace marks

namespace planted {
const bool kPlantable = true;
bool active(std::string_view name) { return planted_bug() == name; }
}  // namespace planted

namespace sim {
const Counters& marks_of_this_thread() { return counters(); }
void plant(std::string bug) { planted_bug() = std::move(bug); }
}  // namespace sim

}  // namespace understudy
