// See store_worker.hpp. The worker's thread owns the store once the first order came.
#include "manager/adapters/store/store_worker.hpp"

#include <poll.h>

#include "manager/adapters/system/signals.hpp"

namespace understudy::manager {

StoreWorker::StoreWorker(std::unique_ptr<RecordStore> store, ArrivalSink sink)
    : store_(std::move(store)), sink_(std::move(sink)), thread_(start_thread([this] { run(); })) {}

StoreWorker::~StoreWorker() {
    orders_.push(Stop{});
    thread_.join();
}

void StoreWorker::run() {
    for (;;) {
        pollfd waiting{orders_.descriptor(), POLLIN, 0};
        ::poll(&waiting, 1, -1);
        for (Order& order : orders_.take_all()) {
            if (std::holds_alternative<Stop>(order)) return;
            if (const Batch* batch = std::get_if<Batch>(&order)) {
                sink_(store_->commit(*batch));
                store_->tidy();
            } else {
                sink_(HeadAnswer{store_->head()});
            }
        }
    }
}

}  // namespace understudy::manager
