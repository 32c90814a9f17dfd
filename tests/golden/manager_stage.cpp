// See manager_stage.hpp: time, steps and the store.
#include "tests/golden/manager_stage.hpp"

#include <algorithm>

#include "manager/core/state.hpp"

namespace understudy::golden {
namespace {

constexpr std::uint32_t kWakesAtOnce = 1000;

}  // namespace

std::int64_t ManagerStage::wall_ms() const { return 1'700'000'000'000 + to_ms(now_ - kBegin); }

std::string ManagerStage::run(const std::vector<Statement>& statements) {
    for (const Statement& statement : statements) {
        if (!statement.timed) {
            const auto define = definitions().find(statement.words[0]);
            if (core_) statement.fail("definitions stand before the clock runs");
            if (define == definitions().end()) statement.fail("not a definition; actions begin with 'at TIME'");
            if (statement.words[0] == "settings") define_settings(statement);
            else defined_.push_back(statement);
            continue;
        }
        advance(kBegin + statement.at);
        print("", clock() + " ── " + statement.text);
        perform(statement);
    }
    advance(now_);
    if (core_) judge_reload();
    return out_.str();
}

void ManagerStage::advance(TimePoint until) {
    while (true) {
        const TimePoint wake = core_ ? std::max(wake_at_, stalled_until_) : kNever;
        const TimePoint next = std::min(wake, agenda_.next());
        if (next > until || next == kNever) break;
        if (next > now_) idle_wakes_ = 0;
        now_ = std::max(now_, next);
        if (wake <= agenda_.next()) {
            if (++idle_wakes_ > kWakesAtOnce) broken("the core asks to be woken without end");
            deliver(manager::Woken{});
        } else {
            agenda_.take()();
        }
    }
    now_ = std::max(now_, until);
}

void ManagerStage::deliver(const manager::Event& event) {
    if (!core_) return;
    if (now_ < stalled_until_) {
        agenda_.add(stalled_until_, [this, event] { deliver(event); });
        return;
    }
    std::string what = describe_event(names_, event);
    absorb(core_->handle({now_, wall_ms()}, event), what);
    judge_truth();
}

void ManagerStage::absorb(manager::Step step, const std::string& what) {
    names_.learn(core_->state());
    std::vector<std::string> lines;
    for (const manager::Write& write : step.writes) {
        for (const std::string& line : describe_write(names_, write, latest_[write.key])) lines.push_back("record   " + line);
        if (write.value.empty()) latest_.erase(write.key);
        else latest_[write.key] = write.value;
    }
    const auto describe = [&](const std::vector<manager::Action>& actions, const char* when) {
        for (const manager::Action& action : actions) {
            const std::string line = describe_action(names_, action, detail_);
            if (!line.empty()) lines.push_back((std::holds_alternative<manager::Note>(action) ? "" : when) + line);
        }
    };
    describe(step.now, "now      ");
    describe(step.after_durable, store_holds_ ? "held     " : "durable  ");
    if (!lines.empty() && !quiet_) {
        print("  ", clock() + "  " + what);
        for (const std::string& line : lines) print("      ", line);
    }
    wake_at_ = step.wake_at;
    judge_records();
    for (const manager::Action& action : step.now) {
        judge_action(action);  // what leaves at once must not depend on what is not durable yet
        carry_out(action);
    }
    held_.push_back({std::move(step.writes), std::move(step.after_durable)});
    if (!store_holds_) release_held();
}

void ManagerStage::release_held() {
    while (!held_.empty()) {
        const Held held = std::move(held_.front());
        held_.pop_front();
        for (const manager::Write& write : held.writes) {
            if (write.value.empty()) durable_.erase(write.key);
            else durable_[write.key] = write.value;
        }
        for (const manager::Action& action : held.actions) {
            judge_action(action);
            carry_out(action);
        }
    }
}

void ManagerStage::begin_manager() {
    auto loaded = manager::Core::load(settings_, {durable_.begin(), durable_.end()});
    if (!loaded) broken("S9: the records cannot be loaded: " + loaded.error().message);
    core_.emplace(std::move(*loaded));
    latest_ = durable_;
    names_.learn(core_->state());
    absorb(core_->start({now_, wall_ms()}), "the manager starts");
    for (auto& [id, node] : nodes_) {
        if (!cut_.contains(id)) node->link(true);
    }
}

/// What was not durable is lost, and nothing that waited for it has left.
void ManagerStage::end_manager() {
    core_.reset();
    if (store_holds_) judgement_ = durable_judgement_;
    held_.clear();
    wake_at_ = kNever;
}

void ManagerStage::to_manager(NodeId from, Message message) {
    if (cut_.contains(from) || parted_.contains(from)) return;
    later(kWire, [this, from, said = std::move(message)] {
        if (!cut_.contains(from) && !parted_.contains(from)) deliver(manager::NodeSaid{from, said});
    });
}

FakeNode* ManagerStage::peer(NodeId from, NodeId id) {
    const auto found = nodes_.find(id);
    if (found == nodes_.end() || found->second->dead() || cut_.contains(id) || cut_.contains(from)) return nullptr;
    return found->second.get();
}

std::string run_manager_script(const std::vector<Statement>& statements) { return ManagerStage().run(statements); }

}  // namespace understudy::golden
