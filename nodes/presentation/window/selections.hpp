// The desktop's two selections, CLIPBOARD and PRIMARY, joined with the session's one clipboard.
// Owned by the window's thread; never waits for another client.
#pragma once

#include <X11/Xlib.h>

#include <optional>
#include <string>

namespace understudy::window {

class Selections {
public:
    /// Begins to watch both selections. The display and the window must outlive it.
    Selections(Display* display, Window window);
    Selections(const Selections&) = delete;
    Selections& operator=(const Selections&) = delete;

    /// The session has new text: this window offers it to the desktop as both selections.
    void take_over(std::string utf8);
    /// Handles events of selections; others are ignored. Returns text that fetch() asked for, once complete.
    [[nodiscard]] std::optional<std::string> handle(const XEvent& event);
    /// True when another client has offered something that was not fetched yet.
    [[nodiscard]] bool has_foreign_offer() const { return foreign_offer_ != None; }
    /// Asks the owner of the newest offer for its text.
    void fetch();
    /// The session has to be told again (it is another one now).
    void refetch_later();

private:
    void note_owner_change(const XEvent& event);
    void answer_request(const XSelectionRequestEvent& request);
    [[nodiscard]] bool put_target(const XSelectionRequestEvent& request, Atom property) const;
    [[nodiscard]] std::optional<std::string> note_conversion(const XSelectionEvent& event);
    [[nodiscard]] std::optional<std::string> note_chunk(const XPropertyEvent& event);
    [[nodiscard]] std::optional<std::string> read_property(Atom& type) const;
    void convert(Atom target);

    Display* const display_;
    const Window window_;
    Atom clipboard_;
    Atom utf8_string_;
    Atom text_;
    Atom text_plain_utf8_;
    Atom targets_;
    Atom incr_;
    Atom transfer_;  ///< the property through which text comes to us
    int fixes_event_base_ = 0;

    std::string own_text_;
    Atom foreign_offer_ = None;    ///< selection with an offer not fetched yet
    Atom last_foreign_ = None;     ///< newest selection that another client owns
    Atom fetching_ = None;         ///< selection being converted
    Atom fetching_as_ = None;
    bool is_incremental_ = false;
    std::string incoming_;
};

}  // namespace understudy::window
