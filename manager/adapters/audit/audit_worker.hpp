// Gives the audit log a thread of its own: a disk that is slow delays acts, and nothing else. What came while one
// sync was under way is synced together.
#pragma once

#include <string>
#include <thread>
#include <variant>

#include "manager/adapters/audit/audit_log.hpp"
#include "manager/runtime/arrivals.hpp"
#include "manager/runtime/mailbox.hpp"

namespace understudy::manager {

class AuditWorker : public AuditPort {
  public:
    /// Answers go to `sink`, from the worker's thread.
    AuditWorker(std::string path, ArrivalSink sink);
    /// Writes what it was given before.
    ~AuditWorker() override;

    void begin(const AuditEntry& entry) override { orders_.push(entry); }
    void end(const AuditResult& result) override { orders_.push(result); }
    void read(ClientId client, std::uint64_t request, std::size_t count) override { orders_.push(Read{client, request, count}); }

  private:
    struct Read {
        ClientId client;
        std::uint64_t request = 0;
        std::size_t count = 0;
    };
    struct Stop {};
    using Order = std::variant<AuditEntry, AuditResult, Read, Stop>;
    void run();
    void write(const std::vector<Order>& orders);

    AuditLog log_;
    ArrivalSink sink_;
    Mailbox<Order> orders_;
    std::thread thread_;
};

}  // namespace understudy::manager
