// Bundles of environments: what is mounted and what is not. Disks that come while a machine runs are tried by
// the tests with real machines.
#include <catch2/catch.hpp>

#include <sodium.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "nodes/execution/environments.hpp"

using namespace understudy;
using namespace understudy::node;

namespace {

std::string block(const std::string& text) {
    std::string label = text;
    label.resize(4096, '\0');
    return label;
}

const std::string kLabel = block("understudy-environment 1\nname tools\nfilesystem erofs\n");

std::string digest_of(const std::string& content) {
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, reinterpret_cast<const unsigned char*>(content.data()), content.size());
    std::string text(2 * sizeof digest + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), digest, sizeof digest);
    text.pop_back();
    return text;
}

struct Folder {
    Folder() {
        char name[] = "/tmp/usXXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

}  // namespace

TEST_CASE("environments: a label says a name and a file system, and nothing that leads elsewhere") {
    const auto label = read_label(kLabel);
    REQUIRE(label);
    CHECK(label->name == "tools");
    CHECK(label->filesystem == "erofs");
    for (const char* text : {"", "something else", "understudy-environment 2\nname tools\nfilesystem erofs\n", "understudy-environment 1\nfilesystem erofs\n",
                             "understudy-environment 1\nname ../etc\nfilesystem erofs\n", "understudy-environment 1\nname ..\nfilesystem erofs\n",
                             "understudy-environment 1\nname tools\nfilesystem ext4\n"}) {
        CAPTURE(text);
        CHECK_FALSE(read_label(block(text)));
    }
    CHECK_FALSE(read_label({}));
}

TEST_CASE("environments: a bundle is believed only with the content that its disk promises") {
    const Folder folder;
    const std::string file = folder.path + "/bundle";
    const std::string content = std::string(3 << 20, 'e') + kLabel;
    std::ofstream(file, std::ios::binary) << content;
    const std::string digest = digest_of(content);
    const auto label = verify_bundle(file, digest.substr(0, 20));
    REQUIRE(label);
    CHECK(label->name == "tools");
    std::ofstream(file, std::ios::binary) << "f" << content.substr(1);
    const auto other = verify_bundle(file, digest.substr(0, 20));
    REQUIRE_FALSE(other);
    CHECK(other.error().code == ErrorCode::damaged);
    CHECK_FALSE(verify_bundle(folder.path + "/missing", digest.substr(0, 20)));
}

TEST_CASE("environments: one that is there is not waited for, and one that does not come does not stop anybody for ever") {
    const Folder folder;
    Loop loop;
    Environments environments(loop, folder.path, [](const std::string&, const std::string&) {});
    int called = 0;
    environments.when_there("", [&] { ++called; });
    CHECK(called == 1);
    std::filesystem::create_directory(folder.path + "/tools");
    environments.when_there("tools", [&] { ++called; });
    CHECK(called == 2);
    CHECK_FALSE(environments.there("missing"));
    environments.when_there("missing", [&] { ++called; });
    CHECK(called == 2);
    CHECK(loop.timeout_ms() >= 0);
    CHECK(loop.timeout_ms() <= 10'000);
}
