// See hypervisor_suite.hpp.
#include "tests/contract/hypervisor_suite.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "manager/adapters/system/content_digests.hpp"

namespace understudy::test {

using namespace understudy::manager;

void Told::operator()(const Arrival& arrival) {
    const std::lock_guard lock(mutex_);
    if (const auto* issued = std::get_if<IdentityIssued>(&arrival)) keys_[issued->node] = issued->public_key;
    else if (const auto* revoked = std::get_if<IdentityRevoked>(&arrival)) keys_.erase(revoked->node);
}

std::map<NodeId, std::string> Told::keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
}

InstanceSpec small_spec(std::uint64_t id, const std::string& host) {
    InstanceSpec spec;
    spec.id = NodeId(id);
    spec.host = host;
    spec.image = "base";
    spec.vcpus = 1;
    spec.memory_mib = 256;
    return spec;
}

void clear(const Subject& subject) {
    for (std::uint64_t id = 1; id < kMostInstances; ++id) {
        const auto destroyed = subject.hypervisor.destroy(NodeId(id));
        INFO(words(destroyed));
        CHECK(destroyed);
        subject.hypervisor.tidy(NodeId(id));
    }
    CHECK(subject.told.keys().empty());
}

Bundle put_bundle(const std::string& folder) {
    std::filesystem::create_directories(folder);
    const std::string draft = folder + "/draft";
    std::ofstream(draft) << std::string(8192, 'b');
    ContentDigests digests;
    const std::string digest = *digests.of(draft);
    std::filesystem::rename(draft, folder + "/" + digest + ".env");
    return {"tools", "sha256:" + digest};
}

namespace {

std::size_t running(const Subject& subject) {
    const auto listed = subject.hypervisor.list(subject.host);
    INFO(words(listed));
    REQUIRE(listed);
    return listed->size();
}

void created_is_listed(const Subject& subject) {
    const auto door = subject.hypervisor.create(small_spec(5, subject.host));
    INFO(words(door));
    REQUIRE(door);
    CHECK(door->port != 0);
    CHECK(subject.told.keys().size() == 1);
    const auto listed = subject.hypervisor.list(subject.host);
    REQUIRE(listed);
    REQUIRE(listed->size() == 1);
    CHECK(listed->at(0).id == NodeId(5));
    CHECK(listed->at(0).running);
    CHECK(listed->at(0).door == *door);
    CHECK(subject.hypervisor.list("another host")->empty());
}

void created_once(const Subject& subject) {
    const auto first = subject.hypervisor.create(small_spec(5, subject.host));
    INFO(words(first));
    REQUIRE(first);
    const auto keys = subject.told.keys();
    const auto second = subject.hypervisor.create(small_spec(5, subject.host));
    REQUIRE(second);
    CHECK(*first == *second);
    CHECK(subject.told.keys() == keys);
    CHECK(running(subject) == 1);
}

void doors_differ(const Subject& subject) {
    const auto first = subject.hypervisor.create(small_spec(5, subject.host));
    const auto second = subject.hypervisor.create(small_spec(6, subject.host));
    INFO(words(first) << words(second));
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(*first == *second);
    CHECK(running(subject) == 2);
}

void destroyed_is_gone(const Subject& subject) {
    REQUIRE(subject.hypervisor.create(small_spec(5, subject.host)));
    const auto destroyed = subject.hypervisor.destroy(NodeId(5));
    INFO(words(destroyed));
    CHECK(destroyed);
    CHECK(subject.told.keys().empty());
    subject.hypervisor.tidy(NodeId(5));
    CHECK(running(subject) == 0);
    CHECK(subject.hypervisor.destroy(NodeId(5)));
    CHECK(subject.hypervisor.destroy(NodeId(9)));
}

void scrubbed_is_new(const Subject& subject) {
    const auto door = subject.hypervisor.create(small_spec(5, subject.host));
    REQUIRE(door);
    const auto keys = subject.told.keys();
    const auto scrubbed = subject.hypervisor.scrub(NodeId(5));
    INFO(words(scrubbed));
    REQUIRE(scrubbed);
    CHECK(scrubbed->door == *door);
    CHECK_FALSE(scrubbed->receipt.empty());
    CHECK(subject.told.keys().size() == 1);
    CHECK(subject.told.keys() != keys);
    CHECK(running(subject) == 1);
}

void unknown_is_not_scrubbed(const Subject& subject) {
    const auto scrubbed = subject.hypervisor.scrub(NodeId(8));
    REQUIRE_FALSE(scrubbed);
    CHECK(scrubbed.error().code == ErrorCode::not_found);
}

void unknown_gets_nothing(const Subject& subject) {
    const auto resumed = subject.hypervisor.resume(NodeId(8));
    REQUIRE_FALSE(resumed);
    CHECK(resumed.error().code == ErrorCode::not_found);
    const auto deployed = subject.hypervisor.deploy(NodeId(8), subject.bundle);
    REQUIRE_FALSE(deployed);
    CHECK(deployed.error().code == ErrorCode::not_found);
}

void paused_is_nobody(const Subject& subject) {
    InstanceSpec spec = small_spec(5, subject.host);
    spec.tier = Tier::paused;
    const auto door = subject.hypervisor.create(spec);
    INFO(words(door));
    REQUIRE(door);
    CHECK(running(subject) == 1);
    CHECK(subject.told.keys().empty());
    CHECK(subject.hypervisor.create(spec) == door);  // asked twice: one, and it still stands still
    CHECK(subject.told.keys().empty());
    const auto resumed = subject.hypervisor.resume(NodeId(5));
    INFO(words(resumed));
    REQUIRE(resumed);
    CHECK(*resumed == *door);
    const auto keys = subject.told.keys();
    CHECK(keys.size() == 1);
    CHECK(subject.hypervisor.resume(NodeId(5)) == resumed);
    CHECK(subject.told.keys() == keys);
    const auto scrubbed = subject.hypervisor.scrub(NodeId(5));
    INFO(words(scrubbed));
    REQUIRE(scrubbed);
    CHECK(subject.told.keys() != keys);
}

void two_paused_differ(const Subject& subject) {
    for (const std::uint64_t id : {5U, 6U}) {
        InstanceSpec spec = small_spec(id, subject.host);
        spec.tier = Tier::paused;
        REQUIRE(subject.hypervisor.create(spec));
    }
    CHECK(running(subject) == 2);
    const auto first = subject.hypervisor.resume(NodeId(5));
    const auto second = subject.hypervisor.resume(NodeId(6));
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(*first == *second);
    CHECK(subject.told.keys()[NodeId(5)] != subject.told.keys()[NodeId(6)]);
}

void deployed_twice_is_there_once(const Subject& subject) {
    REQUIRE(subject.hypervisor.create(small_spec(5, subject.host)));
    for (int time = 0; time < 2; ++time) {
        const auto deployed = subject.hypervisor.deploy(NodeId(5), subject.bundle);
        INFO(words(deployed));
        CHECK(deployed);
    }
}

}  // namespace

const std::vector<Claim>& hypervisor_suite() {
    static const std::vector<Claim> claims{
        {"a created instance is listed with its door, on its host alone", created_is_listed},
        {"asked twice to create, it makes one, with the same door and identity", created_once},
        {"doors of two instances differ", doors_differ},
        {"a destroyed instance is gone, its key with it, and destroying it again is success", destroyed_is_gone},
        {"scrubbing gives a new identity behind the same door", scrubbed_is_new},
        {"what it knows nothing about cannot be scrubbed", unknown_is_not_scrubbed},
        {"what it knows nothing about cannot go on, and gets no environment", unknown_gets_nothing},
        {"an environment deployed twice is there once", deployed_twice_is_there_once},
    };
    return claims;
}

const std::vector<Claim>& paused_suite() {
    static const std::vector<Claim> claims{
        {"one that stands still is listed and nobody; it goes on as somebody, once", paused_is_nobody},
        {"two that stood still go on as two", two_paused_differ},
    };
    return claims;
}

}  // namespace understudy::test
