// See checkpoint_sender.hpp.
#include "nodes/execution/checkpoint_sender.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "nodes/execution/checkpoint_frames.hpp"

namespace understudy::node {
namespace {

constexpr int kAnswerPatienceMs = 20'000;
constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{2'000};

using SteadyClock = std::chrono::steady_clock;

// Credit may lie in it unread; only the end counts.
bool has_ended(int socket) {
    char next = '\0';
    const auto length = ::recv(socket, &next, 1, MSG_PEEK | MSG_DONTWAIT);
    return length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR);
}

// Sends the files of one checkpoint within the credit that was granted.
class Transfer {
  public:
    Transfer(FrameStream& stream, std::uint32_t& credit_bytes) : stream_(stream), credit_bytes_(credit_bytes) {}

    Result<> send_file(const std::string& path, std::uint64_t bytes) {
        const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) return failure(ErrorCode::failed, "can't open " + path + ": " + std::strerror(errno));
        for (std::uint64_t left = bytes; left > 0;) {
            const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(left, kDataBytes - block_.size()));
            const auto start = block_.size();
            block_.resize(start + want);
            const auto got = ::read(file.get(), block_.data() + start, want);
            if (got != static_cast<ssize_t>(want)) return failure(ErrorCode::failed, path + " is shorter than it was");
            left -= want;
            if (block_.size() == kDataBytes) {
                if (auto sent = flush(); !sent) return sent;
            }
        }
        return {};
    }

    // Many small files share a frame.
    Result<> flush() {
        if (block_.empty()) return {};
        while (credit_bytes_ < block_.size()) {
            auto frame = stream_.receive(kAnswerPatienceMs);
            if (!frame) return tl::unexpected(frame.error());
            if (frame->kind == FrameKind::verdict) {
                const auto verdict = verdict_from(frame->content);
                return failure(ErrorCode::refused, verdict ? verdict->reason : "the backup refused the checkpoint");
            }
            if (frame->kind == FrameKind::credit) credit_bytes_ += decode_credit(frame->content);
        }
        credit_bytes_ -= static_cast<std::uint32_t>(block_.size());
        auto sent = stream_.send(FrameKind::data, block_);
        block_.clear();
        return sent;
    }

  private:
    FrameStream& stream_;
    std::uint32_t& credit_bytes_;
    Bytes block_;
};

}  // namespace

Result<> send_checkpoints(FrameStream& stream, const Offer& offer, std::vector<CheckpointId>& remembered, std::uint32_t& credit_bytes) {
    for (const auto& meta : offer.chain) {
        if (std::find(remembered.begin(), remembered.end(), meta.info.id) != remembered.end()) continue;
        if (auto sent = stream.send(FrameKind::begin, to_bytes(meta)); !sent) return sent;
        Transfer transfer(stream, credit_bytes);
        for (const auto& file : meta.files) {
            if (auto sent = transfer.send_file(offer.folder + "/" + folder_of(meta.info.id) + "/" + file.name, file.bytes); !sent) return sent;
        }
        if (auto sent = transfer.flush(); !sent) return sent;
        for (bool answered = false; !answered;) {
            auto frame = stream.receive(kAnswerPatienceMs);
            if (!frame) return tl::unexpected(frame.error());
            if (frame->kind == FrameKind::credit) credit_bytes += decode_credit(frame->content);
            if (frame->kind != FrameKind::verdict) continue;
            const auto verdict = verdict_from(frame->content);
            if (!verdict) return tl::unexpected(verdict.error());
            if (!verdict->stored) return failure(ErrorCode::refused, verdict->reason);
            answered = true;
        }
        remembered.push_back(meta.info.id);
    }
    return {};
}

CheckpointSender::CheckpointSender(streams::Pump& pump, Endpoint endpoint, Ticket ticket, Listener listener)
    : pump_(pump), endpoint_(std::move(endpoint)), epoch_(ticket.claims.epoch), listener_(std::move(listener)), bearer_(std::move(ticket.text)),
      serial_(ticket.claims.serial), thread_([this] { work(); }) {}

CheckpointSender::~CheckpointSender() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
        if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
    }
    changed_.notify_all();
    thread_.join();
}

void CheckpointSender::offer(Offer offer) {
    {
        const std::lock_guard lock(mutex_);
        newest_ = std::move(offer);
        ++offered_;
    }
    changed_.notify_all();
}

// The thread sleeps on the socket as well while it waits: a backup that goes away is noticed then.
bool CheckpointSender::wait_for_offer(Offer& next) {
    std::unique_lock lock(mutex_);
    while (!ending_ && done_ == offered_) {
        changed_.wait_for(lock, std::chrono::milliseconds(500));
        if (socket_ && has_ended(socket_.get())) return false;
    }
    next = newest_;
    done_ = offered_;
    return !ending_;
}

void CheckpointSender::set_ticket(Ticket ticket) {
    {
        const std::lock_guard lock(mutex_);
        bearer_.set_ticket(std::move(ticket.text));
        serial_ = ticket.claims.serial;
    }
    changed_.notify_all();
}

Result<> CheckpointSender::knock(int socket, const streams::Ending& ending) {
    Bearer bearer;
    std::uint64_t serial = 0;
    {
        const std::lock_guard lock(mutex_);
        bearer = bearer_;
        serial = serial_;
    }
    const std::string line = bearer.first_line(Purpose::checkpoint);
    if (::send(socket, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
        return failure(ErrorCode::unavailable, "the door does not take a ticket: " + ending.words());
    }
    DoorAnswer answer;
    for (char next = '\0'; answer.state() == DoorAnswer::State::incomplete; answer.take({&next, 1})) {
        pollfd ready{socket, POLLIN, 0};
        if (::poll(&ready, 1, kAnswerPatienceMs) != 1) return failure(ErrorCode::unavailable, "the door does not answer");
        if (::recv(socket, &next, 1, 0) != 1) return failure(ErrorCode::unavailable, "the door does not answer: " + ending.words());
    }
    const bool admitted = answer.state() == DoorAnswer::State::admitted;
    {
        const std::lock_guard lock(mutex_);
        if (admitted) bearer_.admitted(answer.renewal());
        else if (answer.is_void() && !bearer_.voided() && bearer_.ticket() == bearer.ticket()) listener_.on_void(serial);
    }
    if (!admitted) return failure(ErrorCode::refused, "the door says: " + answer.reason());
    if (::send(socket, kDoorGo.data(), kDoorGo.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kDoorGo.size())) {
        return failure(ErrorCode::unavailable, "the door does not let the stream begin: " + ending.words());
    }
    return {};
}

Result<> CheckpointSender::serve_one_connection() {
    auto secured = pump_.dial(endpoint_);
    if (!secured) return tl::unexpected(secured.error());
    const int socket = secured->socket.get();
    {
        const std::lock_guard lock(mutex_);
        if (ending_) return {};
        socket_.reset(secured->socket.release());
        done_ = offered_ == 0 ? 0 : offered_ - 1;  // whatever is on offer is to be looked at again
    }
    if (auto knocked = knock(socket, *secured->ending); !knocked) return knocked;
    FrameStream stream(socket);
    auto frame = stream.receive(kAnswerPatienceMs);
    if (!frame) return tl::unexpected(frame.error());
    if (frame->kind != FrameKind::have) return failure(ErrorCode::invalid, "the backup did not say what it has");
    auto have = list_from(frame->content);
    if (!have) return tl::unexpected(have.error());
    std::vector<CheckpointId> remembered = std::move(have->ids);
    std::uint32_t credit_bytes = 0;
    for (Offer next; wait_for_offer(next);) {
        const auto began = SteadyClock::now();
        if (auto sent = send_checkpoints(stream, next, remembered, credit_bytes); !sent) return sent;
        if (!next.chain.empty()) {
            listener_.on_stored(next.chain.back().info.id, std::chrono::duration_cast<Duration>(SteadyClock::now() - began));
        }
    }
    return failure(ErrorCode::unavailable, "the backup ended the stream");
}

void CheckpointSender::work() {
    auto pause = kFirstPause;
    for (;;) {
        const auto began = SteadyClock::now();
        const auto outcome = serve_one_connection();
        std::unique_lock lock(mutex_);
        socket_.reset();
        if (ending_) return;
        if (!outcome) listener_.on_trouble(outcome.error().message);
        if (SteadyClock::now() - began > std::chrono::seconds(5)) pause = kFirstPause;
        changed_.wait_for(lock, pause, [this] { return ending_; });
        if (ending_) return;
        pause = std::min(pause * 2, kLongestPause);
    }
}

}  // namespace understudy::node
