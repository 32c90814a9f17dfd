// UNDERSTUDY_FIELDS(a, b, c) lists the members of a struct that cross a border (wire or store), by
// name. One list serves encoding, decoding, limits and printing.
#pragma once

// Applies `macro` to up to 342 arguments without recursion limits of its own.
#define UNDERSTUDY_PARENS ()
#define UNDERSTUDY_EXPAND(...) UNDERSTUDY_EXPAND3(UNDERSTUDY_EXPAND3(UNDERSTUDY_EXPAND3(__VA_ARGS__)))
#define UNDERSTUDY_EXPAND3(...) UNDERSTUDY_EXPAND2(UNDERSTUDY_EXPAND2(UNDERSTUDY_EXPAND2(__VA_ARGS__)))
#define UNDERSTUDY_EXPAND2(...) UNDERSTUDY_EXPAND1(UNDERSTUDY_EXPAND1(UNDERSTUDY_EXPAND1(__VA_ARGS__)))
#define UNDERSTUDY_EXPAND1(...) __VA_ARGS__
#define UNDERSTUDY_EACH(macro, ...) __VA_OPT__(UNDERSTUDY_EXPAND(UNDERSTUDY_EACH_STEP(macro, __VA_ARGS__)))
#define UNDERSTUDY_EACH_STEP(macro, first, ...) \
    macro(first) __VA_OPT__(UNDERSTUDY_EACH_AGAIN UNDERSTUDY_PARENS(macro, __VA_ARGS__))
#define UNDERSTUDY_EACH_AGAIN() UNDERSTUDY_EACH_STEP

#define UNDERSTUDY_FIELD(name) visit(#name, self.name);

/// Gives the struct `each_field(self, visit)`, which calls `visit("name", self.name)` per member in
/// order, and equality by value.
#define UNDERSTUDY_FIELDS(Type, ...)                                            \
    template <class Self, class Visit>                                          \
    static void each_field([[maybe_unused]] Self& self, [[maybe_unused]] Visit& visit) { \
        UNDERSTUDY_EACH(UNDERSTUDY_FIELD, __VA_ARGS__)                          \
    }                                                                           \
    bool operator==(const Type&) const = default;
