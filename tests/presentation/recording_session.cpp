// The recording RFB server. Its thread takes one connection after the other.
#include <catch2/catch.hpp>  // before Xlib, whose macros would break it

#include "tests/presentation/recording_session.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <sstream>

namespace rig {
namespace {

void append(std::vector<std::uint8_t>& out, std::uint32_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

unsigned u16(const std::uint8_t* at) { return static_cast<unsigned>(at[0] << 8 | at[1]); }
std::uint32_t u32(const std::uint8_t* at) { return static_cast<std::uint32_t>(u16(at)) << 16U | u16(at + 2); }

}  // namespace

struct RecordingSession::State {
    mutable std::mutex mutex;
    int width = 0;
    int height = 0;
    int listener = -1;
    int wake_read = -1;
    int wake_write = -1;
    int client = -1;
    int connections = 0;
    std::vector<std::string> record;
    std::vector<std::uint8_t> corner;  ///< the pixel at 0, 0 as last shown

    void run();
    [[nodiscard]] bool read_exactly(std::uint8_t* to, std::size_t size) const;
    [[nodiscard]] bool greet();
    [[nodiscard]] bool handle_message();
    void answer_probe(bool is_probe);
    void send(const std::vector<std::uint8_t>& bytes) const {
        if (client >= 0) (void)::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    void note(const std::string& entry) {
        const std::lock_guard lock(mutex);
        record.push_back(entry);
    }
};

bool RecordingSession::State::read_exactly(std::uint8_t* to, std::size_t size) const {
    while (size > 0) {
        std::array<pollfd, 2> fds{pollfd{client, POLLIN, 0}, pollfd{wake_read, POLLIN, 0}};
        (void)poll(fds.data(), fds.size(), -1);
        if (fds[1].revents != 0) return false;
        const ssize_t got = recv(client, to, size, 0);
        if (got <= 0) return false;
        to += got;
        size -= static_cast<std::size_t>(got);
    }
    return true;
}

bool RecordingSession::State::greet() {
    std::array<std::uint8_t, 16> scratch{};
    const std::string version = "RFB 003.008\n";
    send({version.begin(), version.end()});
    if (!read_exactly(scratch.data(), 12)) return false;
    send({1, 1});  // one security type: none
    if (!read_exactly(scratch.data(), 1)) return false;
    send({0, 0, 0, 0});
    if (!read_exactly(scratch.data(), 1)) return false;
    std::vector<std::uint8_t> init;
    append(init, static_cast<std::uint32_t>(width), 2);
    append(init, static_cast<std::uint32_t>(height), 2);
    const std::array<std::uint8_t, 16> format{32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0};
    init.insert(init.end(), format.begin(), format.end());
    append(init, 1, 4);
    init.push_back('r');
    send(init);
    return true;
}

/// A session that lives answers at least this, or the window would call it silent.
void RecordingSession::State::answer_probe(bool is_probe) {
    const std::lock_guard lock(mutex);
    if (!is_probe || corner.empty()) return;
    std::vector<std::uint8_t> update{0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0};
    update.insert(update.end(), corner.begin(), corner.end());
    send(update);
}

bool RecordingSession::State::handle_message() {
    std::array<std::uint8_t, 20> m{};
    if (!read_exactly(m.data(), 1)) return false;
    std::ostringstream entry;
    switch (m[0]) {
        case 0:  // pixel format
            return read_exactly(m.data(), 19);
        case 2: {  // encodings
            if (!read_exactly(m.data(), 3)) return false;
            std::vector<std::uint8_t> list(u16(m.data() + 1) * 4);
            return read_exactly(list.data(), list.size());
        }
        case 3:  // update request
            if (!read_exactly(m.data(), 9)) return false;
            answer_probe(m[0] == 0 && u16(m.data() + 5) == 1 && u16(m.data() + 7) == 1);
            return true;
        case 4:
            if (!read_exactly(m.data(), 7)) return false;
            entry << (m[0] != 0 ? "down " : "up ") << std::hex << u32(m.data() + 3);
            break;
        case 5:
            if (!read_exactly(m.data(), 5)) return false;
            entry << "pointer " << u16(m.data() + 1) << " " << u16(m.data() + 3) << " " << int{m[0]};
            break;
        case 6: {
            if (!read_exactly(m.data(), 7)) return false;
            const auto raw = u32(m.data() + 3);
            std::vector<std::uint8_t> text((raw & 0x80000000U) != 0 ? 0U - raw : raw);
            if (!read_exactly(text.data(), text.size())) return false;
            entry << "cut";
            break;
        }
        case 251: {
            if (!read_exactly(m.data(), 7)) return false;
            entry << "size " << u16(m.data() + 1) << " " << u16(m.data() + 3);
            std::vector<std::uint8_t> screens(std::size_t{m[5]} * 16);
            if (!read_exactly(screens.data(), screens.size())) return false;
            break;
        }
        default:
            entry << "unknown " << int{m[0]};
            note(entry.str());
            return false;
    }
    note(entry.str());
    return true;
}

void RecordingSession::State::run() {
    while (true) {
        std::array<pollfd, 2> fds{pollfd{listener, POLLIN, 0}, pollfd{wake_read, POLLIN, 0}};
        (void)poll(fds.data(), fds.size(), -1);
        if (fds[1].revents != 0) return;
        const int taken = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (taken < 0) continue;
        {
            const std::lock_guard lock(mutex);
            client = taken;
        }
        if (greet()) {
            {
                const std::lock_guard lock(mutex);
                ++connections;
            }
            while (handle_message()) {
            }
        }
        const std::lock_guard lock(mutex);
        close(client);
        client = -1;
    }
}

RecordingSession::RecordingSession(int width, int height)
    : width_(width), height_(height), state_(std::make_shared<State>()) {
    state_->width = width;
    state_->height = height;
    state_->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, rfb_socket().c_str(), sizeof address.sun_path - 1);
    REQUIRE(bind(state_->listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(state_->listener, 8) == 0);
    std::array<int, 2> wake{};
    REQUIRE(pipe2(wake.data(), O_CLOEXEC) == 0);
    state_->wake_read = wake[0];
    state_->wake_write = wake[1];
    thread_ = std::thread([state = state_] { state->run(); });
}

RecordingSession::~RecordingSession() {
    (void)!write(state_->wake_write, "q", 1);
    thread_.join();
    close(state_->listener);
    close(state_->wake_read);
    close(state_->wake_write);
}

int RecordingSession::connections() const {
    const std::lock_guard lock(state_->mutex);
    return state_->connections;
}

void RecordingSession::show(std::uint32_t colour, int from, int to) {
    std::vector<std::uint8_t> update{0, 0, 0, 1};
    for (const int value : {0, from, width_, to - from}) append(update, static_cast<std::uint32_t>(value), 2);
    append(update, 0, 4);  // raw
    for (int pixel = 0; pixel < width_ * (to - from); ++pixel) {
        for (const unsigned shift : {0U, 8U, 16U, 24U}) update.push_back(static_cast<std::uint8_t>(colour >> shift));
    }
    send_raw(update);
    const std::lock_guard lock(state_->mutex);
    if (from == 0) state_->corner.assign(update.end() - 4, update.end());
}

void RecordingSession::send_raw(const std::vector<std::uint8_t>& bytes) {
    const std::lock_guard lock(state_->mutex);
    state_->send(bytes);
}

void RecordingSession::hang_up() {
    const std::lock_guard lock(state_->mutex);
    if (state_->client >= 0) shutdown(state_->client, SHUT_RDWR);
}

std::vector<std::string> RecordingSession::record() const {
    const std::lock_guard lock(state_->mutex);
    return state_->record;
}

bool RecordingSession::has_recorded(const std::string& entry) const {
    const auto all = record();
    return std::find(all.begin(), all.end(), entry) != all.end();
}

}  // namespace rig
