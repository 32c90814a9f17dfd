// Opens the manager's store and builds the core from it; a damaged one is set aside, never guessed at.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "manager/adapters/store/record_store.hpp"
#include "manager/core/core.hpp"

namespace understudy::manager {

struct OpenedStore {
    std::unique_ptr<RecordStore> store;
    Core core;
    StoreHead head;
    std::vector<std::string> alarms;  ///< for the log and the console
};

/// Beside the store lies a marker that says that there was one: a store that is missing or empty then is a lost
/// one, not a first start. After damage or loss the core begins with nothing but numbers that were never given
/// out before and the order to rebuild the records from what agents and hypervisors report.
/// Errors: `unavailable` (cannot be opened at all), `version` (written by a newer program).
[[nodiscard]] Result<OpenedStore> open_store(const std::string& path, const Settings& settings);

}  // namespace understudy::manager
