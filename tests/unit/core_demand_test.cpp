// Claims about what a pool aims at: what it follows from, its limits, and that it has words.
#include <catch2/catch.hpp>

#include "manager/core/decide.hpp"
#include "manager/core/demand.hpp"

using namespace understudy;
using namespace understudy::manager;
using namespace std::chrono_literals;

namespace {

/// Two hosts and a pool that follows demand; a window of ten minutes.
struct DemandSite {
    State state{Settings{}};
    PoolRecord& pool = state.pools.edit("small");
    PoolLive& live = state.pool_live["small"];

    DemandSite() {
        state.now = TimePoint{} + 1h;
        for (const std::uint64_t id : {1, 2}) {
            state.hosts.edit(HostId(id)).id = HostId(id);
            state.hosts.edit(HostId(id)).name = "host-" + std::to_string(id);
        }
        pool.flavour = "small";
        pool.min_idle = 1;
        pool.max_idle = 6;
        pool.max_paused = 4;
        pool.follow_demand = true;
    }
    void taken(int times, Duration ago) {
        for (int i = 0; i < times; ++i) live.taken.push_back(state.now - ago);
    }
};

}  // namespace

TEST_CASE("demand: a pool that does not follow it aims at its minima") {
    DemandSite site;
    site.pool.follow_demand = false;
    site.taken(100, 1min);
    site.live.usual.made = 60s;
    const Target target = target_of(site.state, site.pool);
    CHECK(target.idle == 1);
    CHECK(target.paused == 0);
    CHECK(explain(site.state, site.pool, target) == "fixed: min_idle");
}

TEST_CASE("demand: as many idle as are taken while one is made, rounded up") {
    DemandSite site;
    site.live.usual.made = 60s;
    site.taken(21, 5min);
    CHECK(target_of(site.state, site.pool).idle == 3);  // 21 in 600 s, 60 s each
    site.taken(9, 1min);
    CHECK(target_of(site.state, site.pool).idle == 3);
    site.taken(1, 1min);
    CHECK(target_of(site.state, site.pool).idle == 4);
}

TEST_CASE("demand: what was taken before the window is forgotten, and an unknown time counts as none") {
    DemandSite site;
    site.taken(60, 11min);
    site.live.usual.made = 60s;
    CHECK(target_of(site.state, site.pool).idle == 1);
    site.live.usual = {};
    site.taken(60, 1min);
    const Target target = target_of(site.state, site.pool);
    CHECK(target.idle == 1);
    CHECK_THAT(explain(site.state, site.pool, target), Catch::Contains("not known yet"));
}

TEST_CASE("demand: machines that stand still cover the long way, idle ones the short way") {
    DemandSite site;
    site.live.usual = {60s, 50s, 1s};
    site.taken(30, 1min);
    const Target target = target_of(site.state, site.pool);
    CHECK(target.idle == 1);    // 30 in 600 s, 1 s each
    CHECK(target.paused == 3);  // 50 s each
}

TEST_CASE("demand: the loss of the largest host is covered, where another host could cover it") {
    DemandSite site;
    site.live.serving_on = {{HostId(1), 2}, {HostId(2), 3}};
    const Target target = target_of(site.state, site.pool);
    CHECK(target.idle == 3);
    CHECK(target.largest == HostId(2));
    CHECK_THAT(explain(site.state, site.pool, target), Catch::Contains("the loss of host host-2 would cost 3"));
    site.state.hosts.edit(HostId(1)).maintenance = true;
    CHECK(target_of(site.state, site.pool).idle == 1);
}

TEST_CASE("demand: never outside of the pool's limits, and the limit that decides is named") {
    DemandSite site;
    site.live.serving_on = {{HostId(1), 40}};
    const Target target = target_of(site.state, site.pool);
    CHECK(target.idle == 6);
    CHECK_THAT(explain(site.state, site.pool, target), Catch::Contains("max_idle allows 6"));
    site.live.serving_on.clear();
    CHECK_THAT(explain(site.state, site.pool, target_of(site.state, site.pool)), Catch::Contains("min_idle demands 1"));
}
