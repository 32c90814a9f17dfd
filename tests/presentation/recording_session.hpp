// A session that is not one: the smallest RFB server, which writes down what it is told and shows plain
// colours when the test says so. For what a real X server would hide (exact keysyms, silence, half a picture).
// It has a thread of its own; every public function may be called from the test's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/presentation/rig.hpp"

namespace rig {

class RecordingSession {
public:
    RecordingSession(int width, int height);
    RecordingSession(const RecordingSession&) = delete;
    RecordingSession& operator=(const RecordingSession&) = delete;
    ~RecordingSession();

    [[nodiscard]] std::string rfb_socket() const { return folder_.path("rfb"); }
    [[nodiscard]] int connections() const;
    /// Sends rows `from` up to, not including, `to` in one colour to the newest connection.
    void show(std::uint32_t colour, int from, int to);
    void show_all(std::uint32_t colour) { show(colour, 0, height_); }
    /// Sends bytes as they are.
    void send_raw(const std::vector<std::uint8_t>& bytes);
    /// Ends the newest connection.
    void hang_up();
    /// "down 61", "up ffe1" in hexadecimal keysyms, "pointer x y buttons", "size w h", "cut".
    [[nodiscard]] std::vector<std::string> record() const;
    [[nodiscard]] bool has_recorded(const std::string& entry) const;

private:
    struct State;
    Folder folder_;
    const int width_;
    const int height_;
    std::shared_ptr<State> state_;
    std::thread thread_;
};

}  // namespace rig
