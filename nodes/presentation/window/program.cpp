// The loop, the commands and the link's news. The main thread.
#include "nodes/presentation/window/program.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>

namespace understudy::window {
namespace {

using std::chrono::milliseconds;

/// A break shorter than this is not shown: checkpoints interrupt a connection for about that long.
constexpr milliseconds kGrace{1500};
/// How long the session may take to adopt the window's size before the picture is fitted instead.
constexpr milliseconds kSilenceCheck{1000};
/// So long a session may leave what a person did without any answer, and this many times the longest that it has taken
/// so far: on a slow machine it takes long.
constexpr milliseconds kAnswer{5000};
constexpr int kTimesTheLongest = 4;
/// A window manager that is just starting can lose the request to show a window; it is repeated.
constexpr milliseconds kMapAgain{300};

constexpr const char* kStartingText = "Connecting to the application";
constexpr const char* kLostText = "The connection to the application was lost. Trying again";
constexpr const char* kChangingText = "Connecting to the application again";
constexpr const char* kSilentText = "The application does not answer at the moment";

}  // namespace

Result<std::unique_ptr<Program>> Program::create(const ProgramOptions& options) {
    std::unique_ptr<Program> program(new Program(options));
    auto window = DesktopWindow::open(options.window);
    if (!window) return tl::unexpected(window.error());
    program->window_ = std::move(*window);
    Display* const display = program->window_->display();
    auto painter = Painter::create(display, program->window_->id());
    if (!painter) return tl::unexpected(painter.error());
    program->painter_ = std::move(*painter);
    program->selections_ = std::make_unique<Selections>(display, program->window_->id());
    program->news_fd_ = OwnedFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (program->news_fd_.get() < 0) return failure(ErrorCode::unavailable, "out of file descriptors");
    program->mode_ = options.mode;
    program->window_size_ = options.window.size;
    return program;
}

void Program::run() {
    show_notice(Notice::starting, kStartingText);
    window_->use_waiting_shape();
    window_->map();
    map_again_due_ = Clock::now() + kMapAgain;
    emit(EventLine("ready")
             .add("session", static_cast<std::int64_t>(options_.window.session.value))
             .add("window", static_cast<std::int64_t>(window_->id()))
             .add("pid", static_cast<std::int64_t>(getpid())));
    while (!is_closing_ && !commands_.is_at_end()) {
        handle_x_events();
        run_due_timers();
        if (needs_redraw_) {
            update_view();
            painter_->draw(view_, window_size_);
            needs_redraw_ = false;
        }
        tell_first_picture();
        std::erase_if(retired_, [](const auto& link) { return link->has_ended(); });
        XFlush(window_->display());
        wait_for_something();
    }
    painter_->release_source();
}

void Program::wait_for_something() {
    // Events that Xlib has read already don't make its descriptor readable.
    const bool has_x_events = XEventsQueued(window_->display(), QueuedAlready) > 0;
    std::array<pollfd, 4> fds{pollfd{ConnectionNumber(window_->display()), POLLIN, 0}, pollfd{0, POLLIN, 0},
                              pollfd{news_fd_.get(), POLLIN, 0},
                              pollfd{events_.wants_room() ? events_.fd() : -1, POLLOUT, 0}};
    const int ready = poll(fds.data(), fds.size(), has_x_events ? 0 : milliseconds_to_next_timer());
    if (ready <= 0) return;
    if (fds[1].revents != 0) {
        for (const auto& line : commands_.read_lines()) handle_line(line);
    }
    if (fds[2].revents != 0) take_news();
    if (fds[3].revents != 0) events_.flush();
}

int Program::milliseconds_to_next_timer() const {
    Due next;
    for (const Due& due : {map_again_due_, geometry_due_, size_wish_due_, size_answer_due_, lost_notice_due_, silence_check_due_}) {
        if (due && (!next || *due < *next)) next = due;
    }
    if (!next) return -1;
    const auto left = std::chrono::ceil<milliseconds>(*next - Clock::now());
    return static_cast<int>(std::max<milliseconds::rep>(0, left.count()));
}

void Program::run_due_timers() {
    const auto now = Clock::now();
    const auto fires = [now](Due& due) {
        if (!due || *due > now) return false;
        due.reset();
        return true;
    };
    if (fires(map_again_due_)) {
        window_->map();
        map_again_due_ = now + kMapAgain;
    }
    if (fires(geometry_due_)) report_geometry();
    if (fires(size_wish_due_)) wish_size();
    if (fires(size_answer_due_) && painter_->picture_size() != window_size_) {
        fit_ = Fit::shrink;
        needs_redraw_ = true;
    }
    if (fires(lost_notice_due_) && notice_ == Notice::none) {
        release_everything();
        show_notice(Notice::lost, last_attempt_.empty() ? kChangingText : kLostText);
    }
    if (fires(silence_check_due_)) check_silence();
}

// Commands.

void Program::handle_line(const Result<std::string>& line) {
    if (!line) return report_error(line.error().message);
    auto command = parse_command(*line);
    if (!command) return report_error(command.error().message);
    std::visit([this](auto& known) { carry_out(std::move(known)); }, *command);
}

void Program::report_error(const std::string& message) { emit(EventLine("error").add("message", message)); }

void Program::carry_out(ConnectCommand command) {
    if (command.source.epoch < highest_epoch_) {
        return report_error("epoch " + std::to_string(command.source.epoch) + " is older than " +
                            std::to_string(highest_epoch_) + ", which was accepted before");
    }
    highest_epoch_ = command.source.epoch;
    retire_link();
    if (command.has_mode) mode_ = command.mode;
    waiting_since_ = Clock::now();
    if (notice_ == Notice::none) lost_notice_due_ = waiting_since_ + kGrace;
    // Whatever was wrong with the old connection is over.
    if (notice_ == Notice::silent) show_notice(Notice::lost, kChangingText);
    link_ = std::make_unique<Link>(std::move(command.source), options_.encodings, news_fd_.get());
}

void Program::carry_out(WaitingCommand command) {
    retire_link();
    lost_notice_due_.reset();
    show_notice(Notice::commanded, command.text);
}

void Program::carry_out(ModeCommand command) {
    if (command.mode == mode_) return;
    if (command.mode == Mode::standby) release_everything();
    mode_ = command.mode;
    if (mode_ == Mode::standby) return;
    selections_->refetch_later();
    fetch_clipboard_if_due();
    wish_size();
}

void Program::carry_out(PlaceCommand command) { window_->place(command.place); }

void Program::carry_out(TitleCommand command) { window_->set_title(command.text); }

void Program::carry_out(IconCommand command) {
    auto set = window_->set_icon(command.png);
    if (!set) report_error(set.error().message);
}

void Program::carry_out(CloseCommand) { is_closing_ = true; }

// News of the link.

void Program::retire_link() {
    if (link_ == nullptr) return;
    release_everything();
    keyboard_.forget();
    pointer_.forget();
    link_->stop();
    retired_.push_back(std::move(link_));
    painter_->release_source();
    is_connected_ = has_picture_ = untold_picture_ = false;
    asked_at_.reset();
    last_attempt_.clear();
    silence_check_due_.reset();
    size_answer_due_.reset();
}

void Program::take_news() {
    std::uint64_t count = 0;
    (void)!read(news_fd_.get(), &count, sizeof count);
    if (link_ == nullptr) return;
    LinkNews news = link_->take_news();
    for (const LinkEvent& event : news.events) {
        std::visit([this](const auto& known) { note(known); }, event);
    }
    if (news.picture) show_change(*news.picture);
    if (notice_ == Notice::silent) check_silence();
}

std::int64_t Program::took_ms() const {
    return std::chrono::duration_cast<milliseconds>(Clock::now() - waiting_since_).count();
}

void Program::note(const LinkConnected& event) {
    is_connected_ = true;
    last_attempt_.clear();
    emit(EventLine("connected").add("epoch", static_cast<std::int64_t>(link_->source().epoch)).add("took_ms", took_ms()).add("renewal", event.renewal));
    silence_check_due_ = Clock::now() + kSilenceCheck;
    selections_->refetch_later();
    fetch_clipboard_if_due();
    wish_size();
}

void Program::report_attempt(const char* event, const std::string& reason) {
    if (last_attempt_ == event + reason) return;
    last_attempt_ = event + reason;
    emit(EventLine(event).add("epoch", static_cast<std::int64_t>(link_->source().epoch)).add("reason", reason));
}

void Program::note(const LinkUnreachable& event) { report_attempt("unreachable", event.reason); }

void Program::note(const LinkRefused& event) {
    if (last_attempt_ == "refused" + event.reason) return;
    last_attempt_ = "refused" + event.reason;
    EventLine line("refused");
    line.add("epoch", static_cast<std::int64_t>(link_->source().epoch)).add("reason", event.reason);
    emit(event.is_void ? line.add("void", std::int64_t{1}) : line);
}

void Program::note(const LinkLost& event) {
    is_connected_ = has_picture_ = untold_picture_ = false;
    asked_at_.reset();
    silence_check_due_.reset();
    size_answer_due_.reset();
    waiting_since_ = Clock::now();
    report_attempt("disconnected", event.reason);
    // The session's X server has released what this connection had pressed.
    keyboard_.forget();
    pointer_.forget();
    if (notice_ == Notice::none) lost_notice_due_ = waiting_since_ + kGrace;
    if (notice_ == Notice::silent) show_notice(Notice::lost, kLostText);
}

void Program::note(const PointerShape& event) {
    if (notice_ == Notice::none || !has_picture_) window_->use_shape(event);
}

void Program::note(const RemoteText& event) { selections_->take_over(event.utf8); }

void Program::note(const Bell&) { XBell(window_->display(), 0); }

void Program::show_change(const PictureChange& change) {
    const bool has_new_size = painter_->picture_size() != Size{change.picture->width(), change.picture->height()};
    painter_->keep(change);
    const bool is_first = !has_picture_;
    has_picture_ = true;
    if (is_first) {
        lost_notice_due_.reset();
        drop_notice();
    }
    if (has_new_size) {
        if (painter_->picture_size() == window_size_) size_answer_due_.reset();
        // Nobody asked, or nobody may: the session's size is as it is.
        fit_ = painter_->picture_size() == window_size_ || size_answer_due_ ? Fit::follow : Fit::shrink;
    }
    update_view();
    if (is_first || has_new_size || needs_redraw_ || notice_ != Notice::none) {
        painter_->draw(view_, window_size_);
        needs_redraw_ = false;
    } else {
        painter_->draw_parts(view_, window_size_, change.parts);
    }
    untold_picture_ = untold_picture_ || is_first;
}

void Program::tell_first_picture() {
    // Told when it is on the screen, not when it was sent there; a window that the window manager has not shown yet
    // is on nobody's.
    if (!untold_picture_ || map_again_due_) return;
    untold_picture_ = false;
    XSync(window_->display(), False);
    emit(EventLine("picture")
             .add("epoch", static_cast<std::int64_t>(link_->source().epoch))
             .add("width", painter_->picture_size().width)
             .add("height", painter_->picture_size().height)
             .add("took_ms", took_ms()));
}

/// A session that says nothing may have nothing to say, and a machine that is busy answers late. What a person did and
/// got no answer to, not even to the link's own question, is what shows that it does not answer.
void Program::check_silence() {
    if (!is_connected_ || link_ == nullptr) return;
    const auto now = Clock::now();
    const auto silence = link_->silence();
    if (asked_at_ && now - silence > *asked_at_) asked_at_.reset();
    const auto epoch = static_cast<std::int64_t>(link_->source().epoch);
    const auto patience = std::max(kAnswer, kTimesTheLongest * link_->longest_silence());
    if (asked_at_ && now - *asked_at_ >= patience && notice_ == Notice::none) {
        emit(EventLine("silent").add("epoch", epoch).add("silent_ms", silence.count()));
        release_everything();
        show_notice(Notice::silent, kSilentText);
    } else if (!asked_at_ && notice_ == Notice::silent) {
        emit(EventLine("answering").add("epoch", epoch));
        drop_notice();
    }
    silence_check_due_ = now + kSilenceCheck;
}

// What is shown.

void Program::show_notice(Notice reason, const std::string& text) {
    notice_ = reason;
    painter_->set_notice(text.empty() ? " " : text);
    window_->use_waiting_shape();
    needs_redraw_ = true;
}

void Program::drop_notice() {
    if (notice_ == Notice::none) return;
    notice_ = Notice::none;
    painter_->set_notice({});
    window_->use_default_shape();
    needs_redraw_ = true;
}

void Program::update_view() { view_ = make_view(painter_->picture_size(), window_size_, fit_); }

}  // namespace understudy::window
