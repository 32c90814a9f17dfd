// Packs of a session's files: what one tree became, another becomes.
#include "nodes/execution/file_tree.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/execution/support.hpp"

using namespace understudy;
using namespace understudy::node;
using namespace understudy::node::test;
namespace fs = std::filesystem;

namespace {

std::string link_target(const std::string& path) { return fs::read_symlink(path).string(); }

mode_t mode_of(const std::string& path) {
    struct stat info{};
    REQUIRE(::lstat(path.c_str(), &info) == 0);
    return info.st_mode;
}

}  // namespace

TEST_CASE("files: a complete pack makes an equal tree") {
    const Scratch scratch;
    const std::string from = scratch / "from";
    fs::create_directories(from + "/home/user/.config");
    write_file(from + "/home/user/letter", "Dear reader");
    write_file(from + "/home/user/large", std::string(700'000, 'x') + "end");
    write_file(from + "/home/user/empty", "");
    ::chmod((from + "/home/user/letter").c_str(), 0640);
    fs::create_symlink("letter", from + "/home/user/link");
    REQUIRE(::mkfifo((from + "/fifo").c_str(), 0600) == 0);
    const auto marks = pack_changes(from, {}, scratch / "pack");
    REQUIRE(marks);
    const std::string to = scratch / "to";
    REQUIRE(apply_pack(to, scratch / "pack"));
    CHECK(read_file(to + "/home/user/letter") == "Dear reader");
    CHECK(read_file(to + "/home/user/large") == read_file(from + "/home/user/large"));
    CHECK(read_file(to + "/home/user/empty").empty());
    CHECK(mode_of(to + "/home/user/letter") == (S_IFREG | 0640));
    CHECK(link_target(to + "/home/user/link") == "letter");
    CHECK(S_ISFIFO(mode_of(to + "/fifo")));
    CHECK(fs::is_directory(to + "/home/user/.config"));
    CHECK(fs::last_write_time(to + "/home/user/letter") == fs::last_write_time(from + "/home/user/letter"));
    CHECK(fs::last_write_time(to + "/home/user") == fs::last_write_time(from + "/home/user"));
}

TEST_CASE("files: what changed, went and came is all that the next pack holds") {
    const Scratch scratch;
    const std::string from = scratch / "from";
    fs::create_directories(from + "/gone/deep");
    write_file(from + "/gone/deep/file", "1");
    write_file(from + "/same", std::string(300'000, 's'));
    write_file(from + "/changed", "before");
    write_file(from + "/kind", "a file");
    const auto first = pack_changes(from, {}, scratch / "pack-1");
    REQUIRE(first);
    const std::string to = scratch / "to";
    REQUIRE(apply_pack(to, scratch / "pack-1"));

    fs::remove_all(from + "/gone");
    write_file(from + "/changed", "after it");
    fs::remove(from + "/kind");
    fs::create_directories(from + "/kind");
    write_file(from + "/kind/inside", "now a folder");
    const auto second = pack_changes(from, *first, scratch / "pack-2");
    REQUIRE(second);
    CHECK(fs::file_size(scratch / "pack-2") < 10'000);
    REQUIRE(apply_pack(to, scratch / "pack-2"));
    CHECK_FALSE(fs::exists(to + "/gone"));
    CHECK(read_file(to + "/changed") == "after it");
    CHECK(read_file(to + "/kind/inside") == "now a folder");
    CHECK(read_file(to + "/same").size() == 300'000);
}

TEST_CASE("files: a file rewritten with the same length and time set back is still seen as changed") {
    const Scratch scratch;
    const std::string from = scratch / "from";
    fs::create_directories(from);
    write_file(from + "/file", "aaaa");
    const auto time = fs::last_write_time(from + "/file");
    const auto first = pack_changes(from, {}, scratch / "pack-1");
    REQUIRE(first);
    // The kernel's clock of change times is coarse; wait until it has moved on.
    struct stat before{};
    ::stat((from + "/file").c_str(), &before);
    struct stat now = before;
    while (now.st_ctim.tv_nsec == before.st_ctim.tv_nsec) {
        write_file(from + "/file", "bbbb");
        ::stat((from + "/file").c_str(), &now);
    }
    fs::last_write_time(from + "/file", time);
    const std::string to = scratch / "to";
    REQUIRE(apply_pack(to, scratch / "pack-1"));
    REQUIRE(pack_changes(from, *first, scratch / "pack-2"));
    REQUIRE(apply_pack(to, scratch / "pack-2"));
    CHECK(read_file(to + "/file") == "bbbb");
}

TEST_CASE("files: sockets are left out") {
    const Scratch scratch;
    fs::create_directories(scratch / "from");
    const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (scratch / "from/socket").copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const auto marks = pack_changes(scratch / "from", {}, scratch / "pack");
    REQUIRE(marks);
    CHECK(marks->empty());
}

TEST_CASE("files: a pack can't write outside of its tree") {
    const Scratch scratch;
    // A tree with a link to the outside, and a pack that wants to write through it.
    fs::create_directories(scratch / "from/out");
    write_file(scratch / "from/out/file", "harm");
    REQUIRE(pack_changes(scratch / "from", {}, scratch / "pack"));
    fs::create_directories(scratch / "elsewhere");
    fs::create_directories(scratch / "to");
    fs::create_directory_symlink(scratch / "elsewhere", scratch / "to/out");
    CHECK_FALSE(apply_pack(scratch / "to", scratch / "pack"));
    CHECK_FALSE(fs::exists(scratch / "elsewhere/file"));
}

TEST_CASE("files: a cut pack is damaged, not half a success") {
    const Scratch scratch;
    fs::create_directories(scratch / "from");
    write_file(scratch / "from/file", std::string(1000, 'x'));
    REQUIRE(pack_changes(scratch / "from", {}, scratch / "pack"));
    fs::resize_file(scratch / "pack", fs::file_size(scratch / "pack") - 1);
    const auto applied = apply_pack(scratch / "to", scratch / "pack");
    REQUIRE_FALSE(applied);
    CHECK(applied.error().code == ErrorCode::damaged);
}
