// What is believed of a fence agent, with programs that speak as the family does: good ones, and ones that lie, hang,
// fail, or are not there.
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

/// A program whose `off` and `status` do what is given, in sh; $dir is its folder, $plug its option.
class Program {
  public:
    Program(const std::string& off, const std::string& status) : path_(directory_ / "fence_test") {
        std::ofstream(path_) << "#!/bin/sh\ndir=" << directory_.path() << "\nwhile read -r line; do case $line in\n"
                             << "action=*) action=${line#action=};; plug=*) plug=${line#plug=};; esac; done\n"
                             << "echo \"$action\" >> $dir/asked\n"
                             << "on() { echo 'Status: ON'; exit 0; }\noff() { echo 'Status: OFF'; exit 2; }\n"
                             << "case $action in off) " << off << ";; status) " << status << ";; esac\n";
        std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
    }
    [[nodiscard]] FenceOptions options() const { return {path_, {"plug=host-7"}, std::chrono::milliseconds(1500), 2}; }
    [[nodiscard]] std::string asked() const { return read_file(directory_ / "asked").value_or(""); }

  private:
    TemporaryDirectory directory_;
    std::string path_;
};

Result<> fence(const Program& program) { return FenceAgent("alpha", program.options()).switch_off(); }

}  // namespace

TEST_CASE("fence agent: off and confirmed off is proof; the options reach the program") {
    const Program program("test $plug = host-7 && touch $dir/is-off", "test -e $dir/is-off && off; on");
    const auto outcome = fence(program);
    INFO((outcome ? std::string() : outcome.error().message));
    CHECK(outcome);
    CHECK(program.asked() == "status\noff\nstatus\n");
}

TEST_CASE("fence agent: a host that is off already is proven off and not switched again") {
    const Program program("exit 1", "off");
    CHECK(fence(program));
    CHECK(program.asked() == "status\n");
}

TEST_CASE("fence agent: the power may take a moment to go") {
    const Program program("touch $dir/pressed", "test -e $dir/pressed && test -e $dir/seen && off; test -e $dir/pressed && touch $dir/seen; on");
    CHECK(fence(program));
}

TEST_CASE("fence agent: one that claims success while the host is on is not believed") {
    const Program program("exit 0", "on");
    const auto outcome = fence(program);
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().message, Catch::Contains("claims") && Catch::Contains("alpha"));
}

TEST_CASE("fence agent: an exit code alone is no proof, whatever it is") {
    const Program program("exit 0", "echo 'usage: fence_test'; exit 2");
    CHECK_FALSE(fence(program));
}

TEST_CASE("fence agent: one that fails is quoted, and tried as often as was asked for") {
    const Program program("echo 'Unable to connect/login to fencing device'; exit 1", "echo 'Unable to connect'; exit 1");
    const auto outcome = fence(program);
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().message, Catch::Contains("Unable to connect/login"));
    CHECK(program.asked() == "status\noff\noff\n");
}

TEST_CASE("fence agent: one that hangs is killed with its children when its time is over") {
    const Program program("sleep 60", "sleep 60");
    const auto begin = std::chrono::steady_clock::now();
    const auto outcome = fence(program);
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().message, Catch::Contains("did not end within 1500 ms"));
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(12));
}

TEST_CASE("fence agent: one that is missing is named") {
    const auto outcome = FenceAgent("alpha", {"/nowhere/fence_none", {}, std::chrono::milliseconds(1000), 1}).switch_off();
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().message, Catch::Contains("/nowhere/fence_none") && Catch::Contains("No such file"));
}
