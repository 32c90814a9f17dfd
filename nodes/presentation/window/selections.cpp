// The X side of the clipboard (ICCCM, chapter 2). The window's thread.
#include "nodes/presentation/window/selections.hpp"

#include <X11/Xatom.h>
#include <X11/extensions/Xfixes.h>

#include <algorithm>
#include <array>
#include <utility>

#include "nodes/presentation/window/viewer_names.hpp"
#include "viewer/cut_text.hpp"

namespace understudy::window {
namespace {

constexpr long kMaxPropertyWords = static_cast<long>(kMaxClipboardBytes / 4) + 1;

}  // namespace

Selections::Selections(Display* display, Window window)
    : display_(display),
      window_(window),
      clipboard_(XInternAtom(display, "CLIPBOARD", False)),
      utf8_string_(XInternAtom(display, "UTF8_STRING", False)),
      text_(XInternAtom(display, "TEXT", False)),
      text_plain_utf8_(XInternAtom(display, "text/plain;charset=utf-8", False)),
      targets_(XInternAtom(display, "TARGETS", False)),
      incr_(XInternAtom(display, "INCR", False)),
      transfer_(XInternAtom(display, "_UNDERSTUDY_CLIPBOARD", False)) {
    int error_base = 0;
    if (XFixesQueryExtension(display, &fixes_event_base_, &error_base) == 0) {
        fixes_event_base_ = -1;  // then only the session's text comes to the desktop, not the other way
        return;
    }
    for (const Atom selection : {clipboard_, static_cast<Atom>(XA_PRIMARY)}) {
        XFixesSelectSelectionInput(display, window, selection, XFixesSetSelectionOwnerNotifyMask);
        if (XGetSelectionOwner(display, selection) != None) last_foreign_ = foreign_offer_ = selection;
    }
    if (XGetSelectionOwner(display, clipboard_) != None) last_foreign_ = foreign_offer_ = clipboard_;
}

void Selections::take_over(std::string utf8) {
    if (utf8.empty()) return;
    own_text_ = std::move(utf8);
    fetching_ = None;
    foreign_offer_ = last_foreign_ = None;
    XSetSelectionOwner(display_, clipboard_, window_, CurrentTime);
    XSetSelectionOwner(display_, XA_PRIMARY, window_, CurrentTime);
}

void Selections::refetch_later() {
    if (last_foreign_ != None) foreign_offer_ = last_foreign_;
}

void Selections::fetch() {
    fetching_ = foreign_offer_;
    foreign_offer_ = None;
    convert(utf8_string_);
}

void Selections::convert(Atom target) {
    if (fetching_ == None) return;
    fetching_as_ = target;
    is_incremental_ = false;
    incoming_.clear();
    XDeleteProperty(display_, window_, transfer_);
    XConvertSelection(display_, fetching_, target, transfer_, window_, CurrentTime);
}

std::optional<std::string> Selections::handle(const XEvent& event) {
    if (fixes_event_base_ >= 0 && event.type == fixes_event_base_ + XFixesSelectionNotify) {
        note_owner_change(event);
        return std::nullopt;
    }
    switch (event.type) {
        case SelectionRequest:
            answer_request(event.xselectionrequest);
            return std::nullopt;
        case SelectionNotify:
            return note_conversion(event.xselection);
        case PropertyNotify:
            return note_chunk(event.xproperty);
        default:
            return std::nullopt;
    }
}

void Selections::note_owner_change(const XEvent& event) {
    XFixesSelectionNotifyEvent change{};
    static_assert(sizeof change <= sizeof event);
    change = *reinterpret_cast<const XFixesSelectionNotifyEvent*>(&event);
    if (change.owner == window_) return;
    if (change.owner == None) {
        if (foreign_offer_ == change.selection) foreign_offer_ = None;
        if (last_foreign_ == change.selection) last_foreign_ = None;
        return;
    }
    foreign_offer_ = last_foreign_ = change.selection;
}

// Giving.

bool Selections::put_target(const XSelectionRequestEvent& request, Atom property) const {
    const Atom target = request.target;
    if (target == targets_) {
        const std::array<Atom, 5> known{targets_, utf8_string_, text_plain_utf8_, text_, XA_STRING};
        XChangeProperty(display_, request.requestor, property, XA_ATOM, 32, PropModeReplace,
                        reinterpret_cast<const unsigned char*>(known.data()), static_cast<int>(known.size()));
        return true;
    }
    const bool as_latin1 = target == XA_STRING;
    if (!as_latin1 && target != utf8_string_ && target != text_plain_utf8_ && target != text_) return false;
    const std::string text = as_latin1 ? latin1_from_utf8(own_text_) : own_text_;
    // Bounded by kMaxClipboardBytes, which is below the size of a request here; else the server refuses it.
    const long most_bytes = std::max(XExtendedMaxRequestSize(display_), XMaxRequestSize(display_)) * 4 - 64;
    if (static_cast<long>(text.size()) > most_bytes) return false;
    XChangeProperty(display_, request.requestor, property, target == text_ ? utf8_string_ : target, 8, PropModeReplace,
                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    return true;
}

void Selections::answer_request(const XSelectionRequestEvent& request) {
    // Old clients leave the property to us.
    const Atom property = request.property != None ? request.property : request.target;
    XEvent answer{};
    answer.xselection.type = SelectionNotify;
    answer.xselection.requestor = request.requestor;
    answer.xselection.selection = request.selection;
    answer.xselection.target = request.target;
    answer.xselection.property = put_target(request, property) ? property : static_cast<Atom>(None);
    answer.xselection.time = request.time;
    XSendEvent(display_, request.requestor, False, NoEventMask, &answer);
}

// Taking.

std::optional<std::string> Selections::read_property(Atom& type) const {
    int format = 0;
    unsigned long count = 0;
    unsigned long left = 0;
    unsigned char* data = nullptr;
    type = None;
    const int status = XGetWindowProperty(display_, window_, transfer_, 0, kMaxPropertyWords, True, AnyPropertyType,
                                          &type, &format, &count, &left, &data);
    std::optional<std::string> bytes;
    if (status == Success && format == 8 && left == 0) bytes.emplace(reinterpret_cast<const char*>(data), count);
    if (data != nullptr) XFree(data);
    // What is too big was not deleted by reading.
    if (left != 0) XDeleteProperty(display_, window_, transfer_);
    return bytes;
}

std::optional<std::string> Selections::note_conversion(const XSelectionEvent& event) {
    if (fetching_ == None || event.selection != fetching_) return std::nullopt;
    if (event.property == None) {
        if (fetching_as_ == utf8_string_) {
            convert(XA_STRING);
        } else {
            fetching_ = None;  // it has no text
        }
        return std::nullopt;
    }
    Atom type = None;
    auto bytes = read_property(type);
    if (type == incr_) {
        is_incremental_ = true;  // reading has deleted the property: the owner goes on
        return std::nullopt;
    }
    fetching_ = None;
    if (!bytes || bytes->empty()) return std::nullopt;
    return fetching_as_ == utf8_string_ ? std::move(*bytes) : utf8_from_latin1(*bytes);
}

std::optional<std::string> Selections::note_chunk(const XPropertyEvent& event) {
    if (!is_incremental_ || event.atom != transfer_ || event.state != PropertyNewValue) return std::nullopt;
    Atom type = None;
    const auto bytes = read_property(type);
    const bool is_too_big = !bytes || incoming_.size() + bytes->size() > kMaxClipboardBytes;
    if (!is_too_big && !bytes->empty()) {
        incoming_ += *bytes;
        return std::nullopt;
    }
    is_incremental_ = false;
    fetching_ = None;
    std::string text = std::exchange(incoming_, {});
    if (is_too_big || text.empty()) return std::nullopt;
    return fetching_as_ == utf8_string_ ? text : utf8_from_latin1(text);
}

}  // namespace understudy::window
