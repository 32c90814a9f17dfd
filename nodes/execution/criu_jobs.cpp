// See criu_jobs.hpp.
#include "nodes/execution/criu_jobs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "nodes/agent/base/descriptor.hpp"
#include "nodes/agent/base/worker.hpp"
#include "nodes/execution/criu_process.hpp"
#include "nodes/execution/criu_rpc.hpp"
#include "nodes/execution/session_tree.hpp"

namespace understudy::node {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct OuterMount {
    const char* inside;
    const char* name;
};
constexpr OuterMount kOuterMounts[] = {{"/usr", "usr"}, {"/etc", "etc"}, {"/var", "var"}};

std::vector<std::string> outer_of_dump(const DumpTask& task) {
    std::vector<std::string> words;
    for (const auto& mount : kOuterMounts) words.push_back(std::string("mnt[") + mount.inside + "]:" + mount.name);
    if (task.has_environment) words.emplace_back("mnt[/opt/environment]:environment");
    for (const auto inode : task.outer_sockets) words.push_back("unix[" + std::to_string(inode) + "]");
    return words;
}

std::string reason_of(const Error& error, const std::string& log) {
    const std::string words = errors_of_log(log);
    if (!words.empty()) return words;
    return error.message.empty() ? "criu gave no reason" : error.message;
}

Result<DumpOutcome> dump_into(const DumpTask& task, const std::string& folder, const std::function<void()>& on_resumed) {
    const std::string images = folder + "/images";
    if (::mkdir(folder.c_str(), 0700) != 0 || ::mkdir(images.c_str(), 0700) != 0) {
        return failure(ErrorCode::failed, "can't make " + images + ": " + std::strerror(errno));
    }
    const Descriptor images_folder(::open(images.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CriuOptions options;
    options.images_folder = images_folder.get();
    options.pid = task.pid;
    options.track_memory = true;
    if (task.parent != CheckpointId{}) options.parent_images = "../../" + folder_of(task.parent) + "/images";
    options.external = outer_of_dump(task);

    DumpOutcome outcome;
    Result<TreeMarks> marks;
    // Memory and files of one instant: the processes stand still until this returns.
    const auto copy_files = [&] {
        marks = pack_changes(task.root, task.before, folder + "/files.pack");
        return marks.has_value();
    };
    const auto answer = ask_criu(task.socket, CriuRequest::dump, options, copy_files);
    on_resumed();
    if (!marks) return tl::unexpected(marks.error());
    if (!answer) return failure(answer.error().code, reason_of(answer.error(), images + "/dump.log"));
    outcome.marks = std::move(*marks);
    const StepAside aside;  // the application goes on; what is left of a checkpoint gives way to it
    auto files = digest_files(folder);
    if (!files) return tl::unexpected(files.error());
    auto& meta = outcome.meta;
    meta.session = task.session;
    meta.info.id = task.id;
    meta.info.taken_wall_ms = task.now_wall_ms;
    meta.info.pause_ms = static_cast<std::uint32_t>(stopped_us_of_dump(images) / 1000);
    meta.parent = task.parent;
    meta.application = task.application;
    meta.outer_sockets = task.outer_sockets;
    meta.files = std::move(*files);
    for (const auto& file : meta.files) meta.info.bytes += file.bytes;
    if (auto written = write_meta(folder, meta); !written) return tl::unexpected(written.error());
    return outcome;
}

}  // namespace

Result<DumpOutcome> dump_session(const DumpTask& task, const std::function<void()>& on_resumed) {
    const std::string half_made = task.store_folder + "/.new-" + folder_of(task.id);
    const std::string final_name = task.store_folder + "/" + folder_of(task.id);
    remove_tree(half_made);
    auto outcome = dump_into(task, half_made, on_resumed);
    if (outcome) {
        remove_tree(final_name);
        if (::rename(half_made.c_str(), final_name.c_str()) == 0) return outcome;
        outcome = failure(ErrorCode::failed, "can't rename " + half_made + ": " + std::strerror(errno));
    }
    remove_tree(half_made);
    return outcome;
}

Result<PreparedTree> prepare_tree(PreparedTree tree, const std::vector<CheckpointMeta>& chain, const std::string& store_folder) {
    std::size_t next = 0;
    if (tree.version) {
        for (std::size_t i = 0; i < chain.size(); ++i) {
            if (chain[i].info.id == *tree.version) next = i + 1;
        }
    }
    const std::string root = tree.root;
    if (next == 0) remove_tree(root);
    for (; next < chain.size(); ++next) {
        const auto applied = apply_pack(root, store_folder + "/" + folder_of(chain[next].info.id) + "/files.pack");
        if (!applied) return tl::unexpected(applied.error());
        tree.version = chain[next].info.id;
    }
    return tree;
}

Result<int> restore_session(const RestoreTask& task) {
    const std::string images = task.store_folder + "/" + folder_of(task.meta.info.id) + "/images";
    const Descriptor images_folder(::open(images.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!images_folder) return failure(ErrorCode::not_found, "can't open " + images + ": " + std::strerror(errno));
    CriuOptions options;
    options.images_folder = images_folder.get();
    options.root = task.tree.root;
    options.restore_as_our_child = true;
    options.external_sockets = true;
    for (const auto& mount : kOuterMounts) options.external.push_back(std::string("mnt[") + mount.name + "]:" + mount.inside);
    if (!task.environment.empty()) options.external.push_back("mnt[environment]:" + task.environment);
    int descriptor = CriuProcess::first_dead_socket();
    for (const auto inode : task.meta.outer_sockets) options.inherited["socket:[" + std::to_string(inode) + "]"] = descriptor++;
    const auto answer = ask_criu(task.socket, CriuRequest::restore, options, {});
    if (!answer) return failure(answer.error().code, reason_of(answer.error(), images + "/restore.log"));
    return answer->pid;
}

}  // namespace understudy::node
