// See dispatcher.hpp. The core's thread.
#include "manager/runtime/dispatcher.hpp"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "protocol/failpoint.hpp"
#include "protocol/planted.hpp"

namespace understudy::manager {
namespace {

constexpr std::size_t kVoidActions = 1024;  ///< so many may stay in the queues before they are taken out

/// A batch that is a step of a failover: it changes the record of an incident.
bool of_incident(const Batch& batch) {
    return std::any_of(batch.writes.begin(), batch.writes.end(), [](const Write& write) { return write.key.starts_with("incident/"); });
}

/// Work of a hypervisor. It takes processors from those who are told something, and nobody waits for its first millisecond.
bool is_work(const Action& action) {
    return std::holds_alternative<CreateInstance>(action) || std::holds_alternative<ResumeInstance>(action) ||
           std::holds_alternative<ScrubInstance>(action) || std::holds_alternative<DeployEnvironment>(action) ||
           std::holds_alternative<DestroyInstance>(action);
}

bool appoints(const Action& action) {
    const auto* send = std::get_if<SendToNode>(&action);
    if (send == nullptr) return false;
    if (const auto* session = std::get_if<AssignSession>(&send->message)) return session->duty == Duty::primary && session->incident;
    const auto* desktop = std::get_if<AssignDesktop>(&send->message);
    return desktop != nullptr && desktop->duty == Duty::primary && desktop->incident;
}

}  // namespace

Dispatcher::Dispatcher(DispatcherSettings settings, StoreHead loaded, std::uint64_t writer, StorePort& store,
                       SealerPort& sealer, OutletPort& outlet)
    : settings_(settings), store_(store), sealer_(sealer), outlet_(outlet), writer_(writer), durable_(loaded) {}

void Dispatcher::accept(TimePoint now, Step step) {
    if (fatal_) return;
    for (Action& action : step.now) carry_out(action);
    if (!step.writes.empty()) {
        // The batch in the store's hands is never touched again; the newest waiting one takes more.
        const std::size_t closed = front_sealed_ ? 1 : 0;
        if (batches_.size() <= closed ||
            batches_.back().writes.size() + step.writes.size() > settings_.batch_writes) {
            batches_.emplace_back();
        }
        for (Write& write : step.writes) {
            batches_.back().writes.insert_or_assign(std::move(write.key), std::move(write.value));
        }
    }
    if (batches_.empty() || UNDERSTUDY_PLANTED("acts_before_durable")) {
        for (Action& action : step.after_durable) carry_out(action);
    } else {
        enqueue(batches_.back(), std::move(step.after_durable));
    }
    begin(now);
}

void Dispatcher::enqueue(Pending& pending, std::vector<Action> actions) {
    for (Action& action : actions) {
        const std::optional<Subject> subject = subject_of(action);
        pending.actions.push_back({std::move(action), false});
        ++waiting_actions_;
        if (!subject) continue;
        // References into a deque stay valid while it only grows at the back.
        const auto [entry, added] = newest_.try_emplace(*subject, &pending.actions.back());
        if (added) continue;
        entry->second->void_now = true;
        entry->second->action = Note{};
        entry->second = &pending.actions.back();
        ++figures_.superseded;
        ++void_actions_;
        --waiting_actions_;
    }
    if (waiting_actions_ > settings_.waiting_actions) shed();
    if (void_actions_ > kVoidActions && void_actions_ > waiting_actions_) compact();
}

/// Takes out what was superseded or dropped, so that a store that fails for hours costs no memory.
void Dispatcher::compact() {
    newest_.clear();
    for (Pending& pending : batches_) {
        std::erase_if(pending.actions, [](const Waiting& waiting) { return waiting.void_now; });
        for (Waiting& waiting : pending.actions) {
            if (const auto subject = subject_of(waiting.action)) newest_[*subject] = &waiting;
        }
    }
    void_actions_ = 0;
}

/// Gives up the oldest messages that the core says again by itself (those with a subject).
void Dispatcher::shed() {
    for (Pending& pending : batches_) {
        for (Waiting& waiting : pending.actions) {
            if (waiting_actions_ <= settings_.waiting_actions) return;
            const std::optional<Subject> subject = waiting.void_now ? std::nullopt : subject_of(waiting.action);
            if (!subject) continue;
            newest_.erase(*subject);
            waiting.void_now = true;
            waiting.action = Note{};
            ++figures_.dropped;
            ++void_actions_;
            --waiting_actions_;
        }
    }
}

std::optional<Dispatcher::Subject> Dispatcher::subject_of(const Action& action) {
    if (const auto* send = std::get_if<SendToNode>(&action)) {
        if (const auto* assign = std::get_if<AssignSession>(&send->message)) {
            return Subject{send->to.value, 1, assign->session.value};
        }
        if (const auto* assign = std::get_if<AssignDesktop>(&send->message)) {
            return Subject{send->to.value, 2, assign->terminal.value};
        }
        // A node repeats its Hello while it waits; the newest answer will do.
        if (std::holds_alternative<Welcome>(send->message)) return Subject{send->to.value, 3, 0};
        return std::nullopt;
    }
    if (const auto* send = std::get_if<SendToClient>(&action)) {
        if (std::holds_alternative<AdminUpdate>(send->message)) return Subject{send->to.value, 4, 0};
        if (const auto* waiting = std::get_if<TerminalWaiting>(&send->message)) {
            return Subject{send->to.value, 5, waiting->terminal.value};
        }
        if (const auto* redirect = std::get_if<TerminalRedirect>(&send->message)) {
            return Subject{send->to.value, 6, redirect->terminal.value};
        }
        if (const auto* reply = std::get_if<AdminReply>(&send->message)) {
            return Subject{send->to.value, 7, reply->request};  // the same request, asked again
        }
        return std::nullopt;
    }
    // What is to become of an instance is said by the newest operation on it alone.
    if (const auto* create = std::get_if<CreateInstance>(&action)) return Subject{create->instance.value, 8, create->host.value};
    if (const auto* resume = std::get_if<ResumeInstance>(&action)) return Subject{resume->instance.value, 8, resume->host.value};
    if (const auto* deploy = std::get_if<DeployEnvironment>(&action)) return Subject{deploy->instance.value, 8, deploy->host.value};
    if (const auto* scrub = std::get_if<ScrubInstance>(&action)) return Subject{scrub->instance.value, 8, scrub->host.value};
    if (const auto* destroy = std::get_if<DestroyInstance>(&action)) return Subject{destroy->instance.value, 8, destroy->host.value};
    if (const auto* fence = std::get_if<FenceHost>(&action)) return Subject{fence->host.value, 9, 0};
    if (const auto* list = std::get_if<ListInstances>(&action)) return Subject{list->host.value, 10, 0};
    return std::nullopt;
}

void Dispatcher::begin(TimePoint now) {
    if (fatal_ || work_ != StoreWork::none || batches_.empty()) return;
    if (!front_sealed_) {
        sent_.guard = durable_;
        sent_.next = {durable_.version + 1, writer_};
        sent_.writes.clear();
        for (auto& [key, value] : batches_.front().writes) sent_.writes.push_back({key, std::move(value)});
        batches_.front().writes.clear();
        front_sealed_ = true;
    }
    work_ = StoreWork::committing;
    asked_at_ = now;
    UNDERSTUDY_FAILPOINT_IF(of_incident(sent_), "records.before_commit");
    store_.commit(sent_);
}

void Dispatcher::commit_answered(TimePoint now, const CommitAnswer& answer) {
    if (fatal_ || work_ != StoreWork::committing || answer.next != sent_.next) return;
    if (UNDERSTUDY_PLANTED("unknown_is_success") && answer.outcome == CommitOutcome::unknown) {
        succeeded(now);
        return;
    }
    switch (answer.outcome) {
        case CommitOutcome::committed: succeeded(now); return;
        case CommitOutcome::failed: failed(now, answer.reason); return;
        case CommitOutcome::unknown:
        case CommitOutcome::conflict:
            // A conflict may be our own earlier try that arrived late: the head tells.
            if (answer.outcome == CommitOutcome::unknown) note_failure(answer.reason);
            work_ = StoreWork::reading;
            asked_at_ = now;
            store_.read_head();
            return;
    }
}

void Dispatcher::head_answered(TimePoint now, const Result<StoreHead>& head) {
    if (fatal_ || work_ != StoreWork::reading) return;
    if (!head) {
        read_again_ = true;
        failed(now, head.error().message);
    } else if (*head == sent_.next) {
        succeeded(now);
    } else if (*head == sent_.guard) {
        failed(now, "the batch did not arrive");
    } else {
        fatal_ = Error{ErrorCode::refused,
                       "another manager owns this store: it stands at version " + std::to_string(head->version) +
                           " by writer " + std::to_string(head->writer) + ", expected version " +
                           std::to_string(sent_.guard.version) + " by writer " + std::to_string(sent_.guard.writer) +
                           "; end one of the two managers"};
        work_ = StoreWork::none;
    }
}

void Dispatcher::succeeded(TimePoint now) {
    work_ = StoreWork::none;
    durable_ = sent_.next;
    front_sealed_ = false;
    failures_ = 0;
    ++figures_.committed;
    if (told_failing_) {
        told_failing_ = false;
        events_.push_back(StoreState{false, "the store commits again"});
    }
    Pending done = std::move(batches_.front());
    batches_.pop_front();
    UNDERSTUDY_FAILPOINT_IF(of_incident(sent_), "records.committed");
    for (const bool work : {false, true}) {
        for (Waiting& waiting : done.actions) {
            if (is_work(waiting.action) != work) continue;
            if (waiting.void_now) {
                --void_actions_;
                continue;
            }
            --waiting_actions_;
            const std::optional<Subject> subject = subject_of(waiting.action);
            if (subject) newest_.erase(*subject);
            carry_out(waiting.action);
            UNDERSTUDY_FAILPOINT_IF(appoints(waiting.action), "primary.told");
        }
    }
    UNDERSTUDY_FAILPOINT_IF(of_incident(sent_), "everybody.told");
    begin(now);
}

void Dispatcher::note_failure(const std::string& reason) {
    ++failures_;
    ++figures_.retries;
    if (failures_ >= settings_.failures_to_tell) tell_failing(reason);
}

void Dispatcher::failed(TimePoint now, const std::string& reason) {
    note_failure(reason);
    work_ = StoreWork::pausing;
    Duration pause = settings_.retry_first;
    for (std::uint32_t i = 1; i < failures_ && pause < settings_.retry_longest; ++i) pause *= 2;
    retry_at_ = now + std::min(pause, settings_.retry_longest);
}

void Dispatcher::tell_failing(const std::string& reason) {
    if (told_failing_) return;
    told_failing_ = true;
    events_.push_back(StoreState{true, reason});
}

void Dispatcher::woken(TimePoint now) {
    if (fatal_) return;
    if (work_ == StoreWork::pausing && now >= retry_at_) {
        asked_at_ = now;
        if (read_again_) {
            read_again_ = false;
            work_ = StoreWork::reading;
            store_.read_head();
        } else {
            work_ = StoreWork::committing;
            store_.commit(sent_);
        }
    } else if ((work_ == StoreWork::committing || work_ == StoreWork::reading) &&
               now >= asked_at_ + settings_.slow_to_tell) {
        tell_failing("the store has not answered for " + std::to_string(to_ms(now - asked_at_)) + " ms");
    }
}

TimePoint Dispatcher::wake_at() const {
    if (fatal_) return kNever;
    if (work_ == StoreWork::pausing) return retry_at_;
    if (work_ != StoreWork::none && !told_failing_) return asked_at_ + settings_.slow_to_tell;
    return kNever;
}

std::optional<Event> Dispatcher::take_event() {
    if (events_.empty()) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

DispatcherFigures Dispatcher::figures() const {
    DispatcherFigures figures = figures_;
    figures.waiting_batches = batches_.size();
    figures.waiting_actions = waiting_actions_;
    return figures;
}

// ---------------------------------------------------------------------------- actions

void Dispatcher::carry_out(Action& action) {
    std::visit(
        [&](auto& wanted) {
            using Wanted = std::decay_t<decltype(wanted)>;
            if constexpr (std::is_same_v<Wanted, SendToNode>) {
                seal(wanted.message);
                outlet_.send_to_node(wanted.to, wanted.message);
            } else if constexpr (std::is_same_v<Wanted, SendToClient>) {
                seal(wanted.message);
                outlet_.send_to_client(wanted.to, wanted.message);
            } else if constexpr (std::is_same_v<Wanted, CreateInstance>) {
                outlet_.create(wanted);
            } else if constexpr (std::is_same_v<Wanted, ResumeInstance>) {
                outlet_.resume(wanted);
            } else if constexpr (std::is_same_v<Wanted, ScrubInstance>) {
                outlet_.scrub(wanted);
            } else if constexpr (std::is_same_v<Wanted, DeployEnvironment>) {
                outlet_.deploy(wanted);
            } else if constexpr (std::is_same_v<Wanted, DestroyInstance>) {
                outlet_.destroy(wanted);
            } else if constexpr (std::is_same_v<Wanted, ListInstances>) {
                outlet_.list(wanted);
            } else if constexpr (std::is_same_v<Wanted, FenceHost>) {
                outlet_.fence(wanted);
            } else if constexpr (std::is_same_v<Wanted, Echo>) {
                events_.push_back(Echoed{wanted.incident});
            } else {
                static_assert(std::is_same_v<Wanted, Note>);
                outlet_.note(wanted);
            }
        },
        action);
}

void Dispatcher::seal(Message& message) {
    const auto seal_one = [&](Ticket& ticket) {
        if (ticket.claims.door) ticket.text = sealer_.seal(ticket.claims);
    };
    if (auto* session = std::get_if<AssignSession>(&message)) {
        for (Peer& peer : session->peers) seal_one(peer.ticket);
    } else if (auto* desktop = std::get_if<AssignDesktop>(&message)) {
        for (WindowSource& source : desktop->windows) seal_one(source.ticket);
    } else if (auto* redirect = std::get_if<TerminalRedirect>(&message)) {
        seal_one(redirect->ticket);
    } else if (auto* welcome = std::get_if<Welcome>(&message)) {
        welcome->ticket_key = sealer_.public_key();
        welcome->wall_ms = sealer_.wall_ms();
    } else if (auto* ack = std::get_if<HeartbeatAck>(&message)) {
        ack->wall_ms = sealer_.wall_ms();
    }
}

}  // namespace understudy::manager
