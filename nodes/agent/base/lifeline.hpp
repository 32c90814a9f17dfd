// Lets a result that comes later find out whether whom it concerns is still there. One thread.
#pragma once

#include <memory>
#include <utility>

namespace understudy::node {

/// A member of the object that waits for results. Functions bound by it do nothing once it is gone.
class Lifeline {
  public:
    Lifeline() = default;
    Lifeline(const Lifeline&) = delete;
    Lifeline& operator=(const Lifeline&) = delete;
    ~Lifeline() { *alive_ = false; }

    template <class Function>
    [[nodiscard]] auto bind(Function function) const {
        return [alive = alive_, kept = std::move(function)](auto&&... values) mutable {
            if (*alive) kept(std::forward<decltype(values)>(values)...);
        };
    }

  private:
    // Shared, because the bound function may outlive the object; only the loop's thread reads or writes it.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace understudy::node
