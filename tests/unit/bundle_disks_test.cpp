// Disks with bundles: every one that is listed is verified once, whatever the order and whatever was not said about it.
#include "nodes/core/bundle_disks.hpp"

#include <catch2/catch.hpp>

using namespace understudy;
using namespace understudy::node;
using namespace std::chrono_literals;

namespace {

const BundleDisk kTools{"vdd", "1111"};
const BundleDisk kOffice{"vde", "2222"};
const BundleDisk kDrawing{"vdf", "3333"};

Result<MountedBundle> mounted(const std::string& environment) { return MountedBundle{environment, "/mounted/" + environment}; }

}  // namespace

TEST_CASE("bundle disks: disks found at the start, and several that come together, are each verified once") {
    BundleDisks disks;
    CHECK(disks.compare({kTools}) == std::vector{kTools});
    CHECK(disks.compare({kDrawing, kTools, kOffice}) == std::vector{kOffice, kDrawing});
    CHECK(disks.compare({kTools, kOffice, kDrawing}).empty());
}

TEST_CASE("bundle disks: one whose arrival was not heard of is found with the next look, in whatever order they end") {
    BundleDisks disks;
    CHECK(disks.compare({}).empty());
    CHECK(disks.compare({kOffice, kDrawing}) == std::vector{kOffice, kDrawing});
    disks.note(kDrawing, mounted("drawing"));
    CHECK_FALSE(disks.folder_of("office"));
    disks.note(kOffice, mounted("office"));
    CHECK(disks.folder_of("office") == "/mounted/office");
    CHECK(disks.folder_of("drawing") == "/mounted/drawing");
}

TEST_CASE("bundle disks: what was refused is not there and hides no other") {
    BundleDisks disks;
    CHECK(disks.compare({kTools, kOffice}).size() == 2);
    disks.note(kTools, failure(ErrorCode::damaged, "other content"));
    disks.note(kOffice, mounted("office"));
    CHECK_FALSE(disks.folder_of("tools"));
    CHECK(disks.folder_of("office"));
    CHECK(disks.compare({kTools, kOffice}).empty());
}

TEST_CASE("bundle disks: one that went is forgotten, one that came in its place is verified") {
    BundleDisks disks;
    CHECK(disks.compare({kTools}).size() == 1);
    disks.note(kTools, mounted("tools"));
    const BundleDisk other{kTools.name, "4444"};
    CHECK(disks.compare({other}) == std::vector{other});
    CHECK_FALSE(disks.folder_of("tools"));
    disks.note(kTools, mounted("tools"));  // its verification ended too late
    CHECK_FALSE(disks.folder_of("tools"));
    CHECK(disks.compare({}).empty());
    CHECK(disks.compare({kTools}) == std::vector{kTools});
}

TEST_CASE("bundle disks: who waits has patience while something is done, and no longer than promised after that") {
    TimePoint now{1s};
    ProgressWait wait(now, 0, 10s);
    for (std::uint64_t bytes = 1; bytes <= 100; ++bytes) CHECK_FALSE(wait.is_over(now += 9s, bytes));
    CHECK_FALSE(wait.is_over(now + 9s, 100));
    CHECK(wait.is_over(now + 10s, 100));
}
