// See hypervisor_suite.hpp.
#include "tests/contract/hypervisor_suite.hpp"

#include <catch2/catch.hpp>

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

}  // namespace

const std::vector<Claim>& hypervisor_suite() {
    static const std::vector<Claim> claims{
        {"a created instance is listed with its door, on its host alone", created_is_listed},
        {"asked twice to create, it makes one, with the same door and identity", created_once},
        {"doors of two instances differ", doors_differ},
        {"a destroyed instance is gone, its key with it, and destroying it again is success", destroyed_is_gone},
        {"scrubbing gives a new identity behind the same door", scrubbed_is_new},
        {"what it knows nothing about cannot be scrubbed", unknown_is_not_scrubbed},
    };
    return claims;
}

}  // namespace understudy::test
