// understudy-session-init: the first process of a session. The agent starts it three ways:
//   enter   --root DIR … -- COMMAND   in new namespaces: makes the session's mounts, then becomes the copy
//                                     of itself inside the session, so that no checkpoint needs this disk
//   keep    … (same words)            process 1 of the session
//   restore DIR COMMAND…              mounts for a restore, then becomes COMMAND
// Linked statically: few mappings make a checkpoint smaller and a start faster. One thread.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "enter.hpp"
#include "keeper.hpp"
#include "options.hpp"

namespace {

using namespace understudy::session;

int fail(const Options& options, const std::string& why) {
    if (options.status >= 0) ::dprintf(options.status, "failed %s\n", why.c_str());
    return static_cast<int>(End::could_not_start);
}

void become(const char* program, const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(program, arguments.data());
}

int enter(Options options) {
    if (const auto wrong = enter_session(options); !wrong.empty()) return fail(options, "the session's mounts: " + wrong);
    // Descriptors of the guest would drag its files into the checkpoint.
    const int nothing = ::open("/dev/null", O_RDWR);
    for (int number = 0; number < 3; ++number) ::dup2(nothing, number);
    ::close_range(3, options.status < 0 ? ~0U : static_cast<unsigned>(options.status) - 1, 0);
    if (options.status >= 0) ::close_range(static_cast<unsigned>(options.status) + 1, ~0U, 0);
    auto words = to_words(options);
    words.insert(words.begin(), {"understudy-session", "keep"});
    become("/.understudy/init", words);
    return fail(options, std::string("the copy of process 1 in the session does not start: ") + std::strerror(errno));
}

}  // namespace

int main(int count, char** words) {
    const std::string_view stage = count > 2 ? words[1] : "";
    Options options;
    if (stage == "restore" && count > 3) {
        if (const auto wrong = prepare_restore(words[2]); !wrong.empty()) {
            ::dprintf(STDERR_FILENO, "%s\n", wrong.c_str());
            return 1;
        }
        ::execvp(words[3], words + 3);
        ::dprintf(STDERR_FILENO, "%s: %s\n", words[3], std::strerror(errno));
        return 1;
    }
    if ((stage != "enter" && stage != "keep") || !parse(count - 2, words + 2, options)) {
        ::dprintf(STDERR_FILENO, "understudy-session-init is started by understudy-agent only\n");
        return 2;
    }
    if (stage == "enter") return enter(options);
    return static_cast<int>(Keeper(options).run());
}
