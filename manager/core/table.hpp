// Tables of records that note what changed, so that a step's writes are exactly its changes.
// Owned by the State, hence by whoever owns the Core.
#pragma once

#include <cassert>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "protocol/ids.hpp"

namespace understudy::manager {

/// Rows of one kind, keyed in order. `edit` marks a row as changed; `drain` hands the changes over.
template <class Key, class Record>
class KeyedTable {
  public:
    explicit KeyedTable(std::string kind) : kind_(std::move(kind)) {}

    [[nodiscard]] const Record* find(const Key& key) const {
        const auto at = rows_.find(key);
        return at == rows_.end() ? nullptr : &at->second;
    }

    /// Precondition: the row exists.
    [[nodiscard]] const Record& at(const Key& key) const {
        const Record* row = find(key);
        assert(row != nullptr);
        return *row;
    }

    /// The row for changing; made when missing. It counts as changed.
    Record& edit(const Key& key) {
        changed_.insert(key);
        return rows_[key];
    }

    void erase(const Key& key) {
        if (rows_.erase(key) != 0) changed_.insert(key);
    }

    /// Puts a loaded row in without marking it changed.
    void load(const Key& key, Record record) { rows_.insert_or_assign(key, std::move(record)); }

    [[nodiscard]] const std::map<Key, Record>& rows() const { return rows_; }
    [[nodiscard]] const std::string& kind() const { return kind_; }
    [[nodiscard]] bool changed() const { return !changed_.empty(); }

    /// Calls visit(key, row or nullptr when erased) for each change, in key order, and forgets them.
    template <class Visit>
    void drain(Visit&& visit) {
        for (const Key& key : changed_) visit(key, find(key));
        changed_.clear();
    }

  private:
    std::string kind_;
    std::map<Key, Record> rows_;
    std::set<Key> changed_;
};

template <class IdType, class Record>
using Table = KeyedTable<IdType, Record>;
template <class Record>
using NamedTable = KeyedTable<std::string, Record>;

/// A table of one row.
template <class Record>
class Single {
  public:
    explicit Single(std::string kind) : kind_(std::move(kind)) {}
    [[nodiscard]] const Record& get() const { return row_; }
    Record& edit() {
        changed_ = true;
        return row_;
    }
    void load(Record record) { row_ = std::move(record); }
    [[nodiscard]] const std::string& kind() const { return kind_; }
    template <class Visit>
    void drain(Visit&& visit) {
        if (changed_) visit(row_);
        changed_ = false;
    }

  private:
    std::string kind_;
    Record row_;
    bool changed_ = false;
};

}  // namespace understudy::manager
