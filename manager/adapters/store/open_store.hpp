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

/// Errors: `unavailable` (cannot be opened at all), `version` (written by a newer program).
/// After damage the core begins with nothing but numbers that were never given out before, so that nothing
/// new can be taken for something old that still runs; agents and hypervisors report the rest.
[[nodiscard]] Result<OpenedStore> open_store(const std::string& path, const Settings& settings);

}  // namespace understudy::manager
