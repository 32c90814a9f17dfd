// Frozen machines that others are copies of, below STATE/templates/KEY/: disk.qcow2 (what it wrote while it
// booted), memory.save (its memory), seed.img and console.log (its own), template.toml (last: it is whole).
// Its agent is held: it is nobody yet. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "protocol/result.hpp"

namespace understudy::manager {

class MachineTemplates {
  public:
    explicit MachineTemplates(std::string directory) : directory_(std::move(directory)) {}

    /// Held while a template is made, or while its memory file bears the name of one copy.
    struct Use {
        std::unique_lock<std::mutex> lock;
        bool ready = false;  ///< false: it has to be made, by the bearer
    };
    [[nodiscard]] Use use(const std::string& key);

    /// An empty folder for one that is to be made. Precondition: `use` is held. Errors: `failed`.
    [[nodiscard]] Result<> begin(const std::string& key);
    /// It is whole. Errors: `failed`.
    [[nodiscard]] Result<> finish(const std::string& key);
    /// It could not be made: nothing of it is left.
    void give_up(const std::string& key);

    /// Being made at this moment, by this program.
    [[nodiscard]] bool being_made(const std::string& key) const;
    [[nodiscard]] std::string path(const std::string& key, const std::string& file) const;

    /// Takes away those that are not named and not in use: nothing is a copy of them any more. Precondition: the
    /// bearer of a `use` names what it uses.
    void keep_only(const std::set<std::string>& keys);

  private:
    [[nodiscard]] std::mutex& lock_of(const std::string& key);

    std::string directory_;
    mutable std::mutex mutex_;
    std::map<std::string, std::unique_ptr<std::mutex>> locks_;  ///< by key; bounded by the flavours there are
    std::set<std::string> making_;
};

/// Waits until the file has this text; false after `patience_ms`. The kernel says when to look.
[[nodiscard]] bool wait_for_text(const std::string& file, const std::string& text, int patience_ms);

}  // namespace understudy::manager
