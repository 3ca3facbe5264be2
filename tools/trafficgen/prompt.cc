#include "tools/trafficgen/prompt.h"

#include <poll.h>
#include <stdio.h>
// stdio first: readline's header needs FILE.
#include <readline/history.h>
#include <readline/readline.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdlib>

#include "base/check.h"

namespace holdfast::gen {
namespace {

// What readline's callback was given; it has no argument of ours.
enum class Typed : uint8_t { part, line, end } state = Typed::part;
std::string typed;

void take_line(char* line) {
    state = line == nullptr ? Typed::end : Typed::line;
    if (line == nullptr) return;
    typed = line;
    if (*line != '\0') add_history(line);
    std::free(line);
    rl_callback_handler_remove();  // so that what a command prints is not mixed with a new prompt
}

}  // namespace

Prompt::Prompt(std::string text, const sigset_t& signals)
    : text_(std::move(text)),
      signals_(signalfd(-1, &signals, SFD_CLOEXEC)),
      terminal_(isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0) {
    CHECK(signals_ >= 0);
    rl_catch_signals = 0;
    rl_bind_key('\t', rl_insert);
}

Prompt::~Prompt() {
    if (terminal_) rl_callback_handler_remove();
    close(signals_);
}

// False: the input is to end.
bool Prompt::wait(const std::function<void()>& idle) {
    for (;;) {
        pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {signals_, POLLIN, 0}};
        const int ready = poll(fds, 2, 100);
        if (ready > 0 && fds[1].revents != 0) return false;
        if (ready > 0 && fds[0].revents != 0) return true;
        idle();
    }
}

std::optional<std::string> Prompt::read(const std::function<void()>& idle) {
    if (terminal_) {
        state = Typed::part;
        rl_callback_handler_install(text_.c_str(), take_line);
        while (state == Typed::part) {
            if (!wait(idle)) return std::nullopt;
            rl_callback_read_char();
        }
        return state == Typed::line ? std::optional(typed) : std::nullopt;
    }
    fputs(text_.c_str(), stdout);
    fflush(stdout);
    for (;;) {
        if (const size_t end = rest_.find('\n'); end != std::string::npos) {
            std::string line = rest_.substr(0, end);
            rest_.erase(0, end + 1);
            return line;
        }
        if (!wait(idle)) return std::nullopt;
        char buffer[4096];
        const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (n <= 0) return std::nullopt;
        rest_.append(buffer, static_cast<size_t>(n));
    }
}

}  // namespace holdfast::gen
