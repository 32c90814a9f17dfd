// What administrators really use: agents of Debian's package `fence-agents`, as far as they work without hardware.
// fence_dummy's device is a file; fence_ipmilan talks to a simulated BMC in tests/e2e/operators.py.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "manager/adapters/fencing/fence_agent.hpp"
#include "manager/adapters/system/files.hpp"
#include "tests/contract/temporary_directory.hpp"

using namespace understudy;
using namespace understudy::manager;
using understudy::test::TemporaryDirectory;

namespace {

constexpr const char* kDummy = "/usr/sbin/fence_dummy";

/// Debian's fence_dummy; what its device says stands in a file.
class Dummy {
  public:
    explicit Dummy(const std::string& power) {
        INFO("install the Debian package fence-agents");
        REQUIRE(std::filesystem::exists(kDummy));
        std::ofstream(file()) << power;
    }
    [[nodiscard]] std::string file() const { return directory_ / "power"; }
    [[nodiscard]] std::string power() const { return read_file(file()).value_or("unreadable"); }

    /// With more of the agent's options; `limit` for one run of it, which takes part of a second.
    [[nodiscard]] Result<> switch_off(const std::vector<std::string>& more = {}, std::chrono::milliseconds limit = std::chrono::seconds(30)) const {
        FenceOptions options{kDummy, {"status_file=" + file()}, limit, 1};
        options.options.insert(options.options.end(), more.begin(), more.end());
        return FenceAgent("alpha", options).switch_off();
    }

  private:
    TemporaryDirectory directory_;
};

}  // namespace

TEST_CASE("Debian's fence agents: off, and off when asked afterwards, is proof") {
    const Dummy dummy("on");
    const auto outcome = dummy.switch_off();
    INFO((outcome ? std::string() : outcome.error().message));
    CHECK(outcome);
    CHECK(dummy.power() == "off");
}

TEST_CASE("Debian's fence agents: what is off already is not switched again") {
    const Dummy dummy("off");
    const auto before = std::filesystem::last_write_time(dummy.file());
    CHECK(dummy.switch_off());
    CHECK(std::filesystem::last_write_time(dummy.file()) == before);
}

TEST_CASE("Debian's fence agents: one that fails is quoted, and its host is not believed off") {
    const Dummy dummy("on");
    const auto outcome = dummy.switch_off({"type=fail", "power_timeout=1"});
    REQUIRE_FALSE(outcome);
    INFO(outcome.error().message);
    CHECK_THAT(outcome.error().message, Catch::Contains("fence_dummy could not switch host alpha off: it ended with 1"));
    CHECK_THAT(outcome.error().message, Catch::Contains("Timed out waiting to power OFF"));
    CHECK(dummy.power() == "on");
}

TEST_CASE("Debian's fence agents: a device that tells nonsense is no proof") {
    const Dummy dummy("perhaps");
    const auto outcome = dummy.switch_off();
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().message, Catch::Contains("Unable to obtain correct plug status"));
    CHECK(dummy.power() == "perhaps");
}

TEST_CASE("Debian's fence agents: one that hangs is ended when its time is over, and the host is not believed off") {
    const Dummy dummy("on");
    const auto begin = std::chrono::steady_clock::now();
    const auto outcome = dummy.switch_off({"delay=3600"}, std::chrono::seconds(2));
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().message, Catch::Contains("did not end within 2000 ms"));
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
    CHECK(dummy.power() == "on");
}
