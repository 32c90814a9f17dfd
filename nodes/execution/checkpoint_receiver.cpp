// See checkpoint_receiver.hpp.
#include "nodes/execution/checkpoint_receiver.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nodes/execution/checkpoint_frames.hpp"
#include "nodes/execution/os_failure.hpp"
#include "nodes/execution/session_tree.hpp"

namespace understudy::node {
namespace {

constexpr int kIdlePatienceMs = -1;       // between checkpoints: for ever; the door cuts stale streams
constexpr int kTransferPatienceMs = 20'000;

// A folder that is gone again unless keep() was reached.
class HalfMade {
  public:
    explicit HalfMade(std::string path) : path_(std::move(path)) {}
    ~HalfMade() {
        if (!kept_) remove_tree(path_);
    }
    HalfMade(const HalfMade&) = delete;
    HalfMade& operator=(const HalfMade&) = delete;
    void keep() { kept_ = true; }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
    bool kept_ = false;
};

class Reception {
  public:
    Reception(FrameStream& stream, const ReceiverTask& task) : stream_(stream), task_(task), have_(task.have) {}

    Result<> check(const CheckpointMeta& meta) const {
        const auto has = [this](CheckpointId id) { return std::find(have_.begin(), have_.end(), id) != have_.end(); };
        if (meta.session != task_.session) return failure(ErrorCode::refused, "the checkpoint is of another session");
        if (meta.info.id.epoch > task_.epoch) return failure(ErrorCode::refused, "the checkpoint is of an epoch this node has not accepted");
        if (meta.parent != CheckpointId{} && !has(meta.parent)) return failure(ErrorCode::refused, "its parent is not here");
        for (const auto& file : meta.files) {
            if (!is_safe_name(file.name)) return failure(ErrorCode::refused, "the file name '" + file.name + "' is not allowed");
        }
        return {};
    }

    Result<> store(const CheckpointMeta& meta) {
        // Named after the thread: a stream that is being cut may still be busy with the same one.
        HalfMade folder(task_.folder + "/.new-" + folder_of(meta.info.id) + "-" + std::to_string(::gettid()));
        remove_tree(folder.path());
        if (::mkdir(folder.path().c_str(), 0700) != 0 || ::mkdir((folder.path() + "/images").c_str(), 0700) != 0) {
            return os_failure("can't make " + folder.path());
        }
        for (const auto& file : meta.files) {
            if (auto taken = take_file(folder.path(), file); !taken) return taken;
        }
        if (meta.parent != CheckpointId{}) {
            const std::string target = "../../" + folder_of(meta.parent) + "/images";
            if (::symlink(target.c_str(), (folder.path() + "/images/parent").c_str()) != 0) return os_failure("can't link to the parent");
        }
        if (auto written = write_meta(folder.path(), meta); !written) return written;
        if (auto durable = make_durable(folder.path(), task_.folder + "/" + folder_of(meta.info.id)); !durable) return durable;
        folder.keep();
        have_.push_back(meta.info.id);
        return {};
    }

  private:
    Result<> take_file(const std::string& folder, const CheckpointFile& file) {
        const std::string path = folder + "/" + file.name;
        const Descriptor to(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!to) return os_failure("can't make " + path);
        Digest digest;
        for (std::uint64_t left = file.bytes; left > 0;) {
            if (at_ == block_.size()) {
                if (auto next = next_block(); !next) return next;
            }
            const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left, block_.size() - at_));
            const BytesView bytes(block_.data() + at_, part);
            digest.add(bytes);
            for (std::size_t done = 0; done < part;) {
                const auto written = ::write(to.get(), bytes.data() + done, part - done);
                if (written <= 0) return os_failure("can't write " + path);
                done += static_cast<std::size_t>(written);
            }
            at_ += part;
            left -= part;
        }
        if (digest.finish() != file.digest) return failure(ErrorCode::damaged, "the file " + file.name + " does not have its digest");
        return {};
    }

    Result<> next_block() {
        // What has been written is free to be sent again.
        if (!block_.empty()) {
            if (auto sent = stream_.send(FrameKind::credit, encode_credit(static_cast<std::uint32_t>(block_.size()))); !sent) return sent;
        }
        auto frame = stream_.receive(kTransferPatienceMs);
        if (!frame) return tl::unexpected(frame.error());
        if (frame->kind != FrameKind::data || frame->content.empty()) return failure(ErrorCode::invalid, "data was expected");
        block_ = std::move(frame->content);
        at_ = 0;
        return {};
    }

    static Result<> make_durable(const std::string& from, const std::string& to) {
        const Descriptor folder(::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        // One call for a hundred small files.
        if (!folder || ::syncfs(folder.get()) != 0) return os_failure("can't write " + from + " to the disk");
        remove_tree(to);
        if (::rename(from.c_str(), to.c_str()) != 0) return os_failure("can't give " + to + " its name");
        const std::string parent = to.substr(0, to.rfind('/'));
        const Descriptor above(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!above || ::fsync(above.get()) != 0) return os_failure("can't write " + parent + " to the disk");
        return {};
    }

    FrameStream& stream_;
    const ReceiverTask& task_;
    std::vector<CheckpointId> have_;
    Bytes block_;
    std::size_t at_ = 0;
};

}  // namespace

Result<> receive_checkpoints(int socket, const ReceiverTask& task, const std::function<void(const CheckpointMeta&)>& on_stored) {
    FrameStream stream(socket);
    Reception reception(stream, task);
    if (auto sent = stream.send(FrameKind::have, to_bytes(CheckpointList{task.have})); !sent) return sent;
    if (auto sent = stream.send(FrameKind::credit, encode_credit(kCreditBytes)); !sent) return sent;
    for (;;) {
        const auto frame = stream.receive(kIdlePatienceMs);
        if (!frame) return tl::unexpected(frame.error());
        if (frame->kind != FrameKind::begin) return failure(ErrorCode::invalid, "the start of a checkpoint was expected");
        const auto meta = meta_from(frame->content);
        if (!meta) return tl::unexpected(meta.error());
        CheckpointVerdict verdict{meta->info.id, true, ""};
        Result<> stored = reception.check(*meta);
        if (stored) stored = reception.store(*meta);
        if (stored) {
            on_stored(*meta);
        } else {
            verdict.stored = false;
            verdict.reason = stored.error().message;
        }
        if (auto sent = stream.send(FrameKind::verdict, to_bytes(verdict)); !sent) return sent;
        // What is still on its way belongs to the refused one: a new stream is the way to go on.
        if (!stored) return stored;
    }
}

CheckpointReceiver::CheckpointReceiver(Descriptor socket, ReceiverTask task, std::function<void(const CheckpointMeta&)> on_stored,
                                       std::function<void(const std::string&)> on_end)
    : socket_(std::move(socket)),
      thread_([number = socket_.get(), given = std::move(task), stored = std::move(on_stored), end = std::move(on_end)] {
          const auto outcome = receive_checkpoints(number, given, stored);
          // Never reached without a reason: the stream has no regular end.
          end(outcome ? "" : outcome.error().message);
      }) {}

CheckpointReceiver::~CheckpointReceiver() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
}

}  // namespace understudy::node
