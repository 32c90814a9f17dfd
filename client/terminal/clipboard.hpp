// Joins this computer's clipboard with the desktop's. Belongs to the window's thread.
#pragma once

#include <optional>
#include <string>

namespace understudy::terminal {

class ClipboardBridge {
public:
    /// The desktop has new text: it becomes this computer's, to be pasted by keys and by the middle button.
    void take_over(const std::string& utf8);
    /// Text that the desktop does not know yet; nothing when it knows. Asks the owner of the clipboard, which may take
    /// it a moment.
    [[nodiscard]] std::optional<std::string> news();
    /// Another desktop now, which knows nothing.
    void forget() { shared_.clear(); }

private:
    std::string shared_;  ///< the text that both sides have
};

}  // namespace understudy::terminal
