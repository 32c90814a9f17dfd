// A thread for what would hold up everybody else: hashing a password, waiting for a disk. Owned by the gateway's thread,
// which hands it work and goes on; plain values travel.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "client/gateway/network.hpp"

namespace understudy::gateway {

class Worker {
public:
    /// `most`: pieces of work that may wait or be under way.
    explicit Worker(std::size_t most) : most_(most) {}
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() { thread_.join(); }

    [[nodiscard]] bool busy() const { return open_ >= most_; }

    /// Its result, once it is done. `work` takes nothing and touches nothing of the gateway's thread.
    template <class Work>
    [[nodiscard]] asio::awaitable<std::invoke_result_t<Work&>> run(Work work) {
        using Done = std::invoke_result_t<Work&>;
        ++open_;
        auto there = [work = std::move(work)]() mutable -> asio::awaitable<Done> { co_return work(); };
        // Its result comes back on the thread of whoever waits for it.
        Done done = co_await asio::co_spawn(thread_, std::move(there), asio::use_awaitable);
        --open_;
        co_return done;
    }

    /// Done some time, in the order of the calls.
    template <class Work>
    void post(Work work) { asio::post(thread_, std::move(work)); }

private:
    asio::thread_pool thread_{1};
    std::size_t most_;
    std::size_t open_ = 0;
};

}  // namespace understudy::gateway
