// See audit_worker.hpp. The worker's thread owns the log.
#include "manager/adapters/audit/audit_worker.hpp"

#include <poll.h>

#include <algorithm>

#include "manager/adapters/system/signals.hpp"

namespace understudy::manager {

AuditWorker::AuditWorker(std::string path, ArrivalSink sink)
    : log_(std::move(path)), sink_(std::move(sink)), thread_(start_thread([this] { run(); })) {}

AuditWorker::~AuditWorker() {
    orders_.push(Stop{});
    thread_.join();
}

void AuditWorker::run() {
    for (;;) {
        pollfd waiting{orders_.descriptor(), POLLIN, 0};
        ::poll(&waiting, 1, -1);
        const std::vector<Order> orders = orders_.take_all();
        write(orders);
        for (const Order& order : orders) {
            if (const auto* read = std::get_if<Read>(&order)) sink_(AuditRead{read->client, read->request, log_.newest(read->count)});
        }
        const bool stop = std::any_of(orders.begin(), orders.end(), [](const Order& order) { return std::holds_alternative<Stop>(order); });
        if (stop) return;
    }
}

void AuditWorker::write(const std::vector<Order>& orders) {
    std::string lines;
    for (const Order& order : orders) {
        if (const auto* entry = std::get_if<AuditEntry>(&order)) lines += audit_line(*entry);
        else if (const auto* result = std::get_if<AuditResult>(&order)) lines += audit_line(*result);
    }
    if (lines.empty()) return;
    const Result<> written = log_.append(lines);
    bool results = false;
    for (const Order& order : orders) {
        if (const auto* entry = std::get_if<AuditEntry>(&order)) sink_(AuditWritten{entry->id, written});
        else results = results || std::holds_alternative<AuditResult>(order);
    }
    if (!written && results) sink_(Remark{true, "results of acts are missing in the audit log: " + written.error().message});
}

}  // namespace understudy::manager
