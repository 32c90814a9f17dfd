// See keysyms.hpp.
#include "client/terminal/keysyms.hpp"

#include <SDL_scancode.h>
#include <X11/keysym.h>
#include <X11/XF86keysym.h>

#include <algorithm>
#include <array>

namespace understudy::terminal {
namespace {

struct Entry {
    int scancode;
    std::uint32_t keysym;
};

constexpr std::array kKeys{
    Entry{SDL_SCANCODE_RETURN, XK_Return}, Entry{SDL_SCANCODE_ESCAPE, XK_Escape},
    Entry{SDL_SCANCODE_BACKSPACE, XK_BackSpace}, Entry{SDL_SCANCODE_TAB, XK_Tab},
    Entry{SDL_SCANCODE_F1, XK_F1}, Entry{SDL_SCANCODE_F2, XK_F2}, Entry{SDL_SCANCODE_F3, XK_F3},
    Entry{SDL_SCANCODE_F4, XK_F4}, Entry{SDL_SCANCODE_F5, XK_F5}, Entry{SDL_SCANCODE_F6, XK_F6},
    Entry{SDL_SCANCODE_F7, XK_F7}, Entry{SDL_SCANCODE_F8, XK_F8}, Entry{SDL_SCANCODE_F9, XK_F9},
    Entry{SDL_SCANCODE_F10, XK_F10}, Entry{SDL_SCANCODE_F11, XK_F11}, Entry{SDL_SCANCODE_F12, XK_F12},
    Entry{SDL_SCANCODE_F13, XK_F13}, Entry{SDL_SCANCODE_F14, XK_F14}, Entry{SDL_SCANCODE_F15, XK_F15},
    Entry{SDL_SCANCODE_F16, XK_F16}, Entry{SDL_SCANCODE_F17, XK_F17}, Entry{SDL_SCANCODE_F18, XK_F18},
    Entry{SDL_SCANCODE_F19, XK_F19}, Entry{SDL_SCANCODE_F20, XK_F20}, Entry{SDL_SCANCODE_F21, XK_F21},
    Entry{SDL_SCANCODE_F22, XK_F22}, Entry{SDL_SCANCODE_F23, XK_F23}, Entry{SDL_SCANCODE_F24, XK_F24},
    Entry{SDL_SCANCODE_PRINTSCREEN, XK_Print}, Entry{SDL_SCANCODE_SYSREQ, XK_Sys_Req},
    Entry{SDL_SCANCODE_SCROLLLOCK, XK_Scroll_Lock}, Entry{SDL_SCANCODE_PAUSE, XK_Pause},
    Entry{SDL_SCANCODE_INSERT, XK_Insert}, Entry{SDL_SCANCODE_HOME, XK_Home},
    Entry{SDL_SCANCODE_PAGEUP, XK_Page_Up}, Entry{SDL_SCANCODE_DELETE, XK_Delete}, Entry{SDL_SCANCODE_END, XK_End},
    Entry{SDL_SCANCODE_PAGEDOWN, XK_Page_Down}, Entry{SDL_SCANCODE_RIGHT, XK_Right}, Entry{SDL_SCANCODE_LEFT, XK_Left},
    Entry{SDL_SCANCODE_DOWN, XK_Down}, Entry{SDL_SCANCODE_UP, XK_Up}, Entry{SDL_SCANCODE_APPLICATION, XK_Menu},
    Entry{SDL_SCANCODE_MENU, XK_Menu}, Entry{SDL_SCANCODE_HELP, XK_Help}, Entry{SDL_SCANCODE_UNDO, XK_Undo},
    Entry{SDL_SCANCODE_AGAIN, XK_Redo}, Entry{SDL_SCANCODE_FIND, XK_Find}, Entry{SDL_SCANCODE_CANCEL, XK_Cancel},
    Entry{SDL_SCANCODE_CLEAR, XK_Clear},
    Entry{SDL_SCANCODE_LCTRL, XK_Control_L}, Entry{SDL_SCANCODE_RCTRL, XK_Control_R},
    Entry{SDL_SCANCODE_LSHIFT, XK_Shift_L}, Entry{SDL_SCANCODE_RSHIFT, XK_Shift_R},
    Entry{SDL_SCANCODE_LALT, XK_Alt_L}, Entry{SDL_SCANCODE_RALT, XK_Alt_R}, Entry{SDL_SCANCODE_MODE, XK_ISO_Level3_Shift},
    Entry{SDL_SCANCODE_LGUI, XK_Super_L}, Entry{SDL_SCANCODE_RGUI, XK_Super_R},
    Entry{SDL_SCANCODE_AUDIONEXT, XF86XK_AudioNext}, Entry{SDL_SCANCODE_AUDIOPREV, XF86XK_AudioPrev},
    Entry{SDL_SCANCODE_AUDIOSTOP, XF86XK_AudioStop}, Entry{SDL_SCANCODE_AUDIOPLAY, XF86XK_AudioPlay},
    Entry{SDL_SCANCODE_AUDIOMUTE, XF86XK_AudioMute}, Entry{SDL_SCANCODE_VOLUMEUP, XF86XK_AudioRaiseVolume},
    Entry{SDL_SCANCODE_VOLUMEDOWN, XF86XK_AudioLowerVolume}, Entry{SDL_SCANCODE_AC_BACK, XF86XK_Back},
    Entry{SDL_SCANCODE_AC_FORWARD, XF86XK_Forward}, Entry{SDL_SCANCODE_AC_SEARCH, XF86XK_Search},
    Entry{SDL_SCANCODE_AC_HOME, XF86XK_HomePage},
};

struct KeypadEntry {
    int scancode;
    std::uint32_t number;    ///< with Num Lock
    std::uint32_t movement;  ///< without
};

constexpr std::array kKeypad{
    KeypadEntry{SDL_SCANCODE_KP_0, XK_KP_0, XK_KP_Insert}, KeypadEntry{SDL_SCANCODE_KP_1, XK_KP_1, XK_KP_End},
    KeypadEntry{SDL_SCANCODE_KP_2, XK_KP_2, XK_KP_Down}, KeypadEntry{SDL_SCANCODE_KP_3, XK_KP_3, XK_KP_Page_Down},
    KeypadEntry{SDL_SCANCODE_KP_4, XK_KP_4, XK_KP_Left}, KeypadEntry{SDL_SCANCODE_KP_5, XK_KP_5, XK_KP_Begin},
    KeypadEntry{SDL_SCANCODE_KP_6, XK_KP_6, XK_KP_Right}, KeypadEntry{SDL_SCANCODE_KP_7, XK_KP_7, XK_KP_Home},
    KeypadEntry{SDL_SCANCODE_KP_8, XK_KP_8, XK_KP_Up}, KeypadEntry{SDL_SCANCODE_KP_9, XK_KP_9, XK_KP_Page_Up},
    KeypadEntry{SDL_SCANCODE_KP_PERIOD, XK_KP_Decimal, XK_KP_Delete},
    KeypadEntry{SDL_SCANCODE_KP_DIVIDE, XK_KP_Divide, XK_KP_Divide},
    KeypadEntry{SDL_SCANCODE_KP_MULTIPLY, XK_KP_Multiply, XK_KP_Multiply},
    KeypadEntry{SDL_SCANCODE_KP_MINUS, XK_KP_Subtract, XK_KP_Subtract},
    KeypadEntry{SDL_SCANCODE_KP_PLUS, XK_KP_Add, XK_KP_Add},
    KeypadEntry{SDL_SCANCODE_KP_ENTER, XK_KP_Enter, XK_KP_Enter},
    KeypadEntry{SDL_SCANCODE_KP_EQUALS, XK_KP_Equal, XK_KP_Equal},
    KeypadEntry{SDL_SCANCODE_KP_COMMA, XK_KP_Separator, XK_KP_Separator},
};

}  // namespace

std::uint32_t keysym_of_key(int scancode, NumLock num_lock) {
    const auto same = [scancode](const auto& entry) { return entry.scancode == scancode; };
    if (const auto found = std::find_if(kKeys.begin(), kKeys.end(), same); found != kKeys.end()) return found->keysym;
    const auto found = std::find_if(kKeypad.begin(), kKeypad.end(), same);
    if (found == kKeypad.end()) return 0;
    return num_lock == NumLock::on ? found->number : found->movement;
}

}  // namespace understudy::terminal
