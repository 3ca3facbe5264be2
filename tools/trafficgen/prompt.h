// Lines somebody types, or a program writes: with editing and history (readline) at a terminal.
#pragma once

#include <signal.h>

#include <functional>
#include <optional>
#include <string>

namespace holdfast::gen {

class Prompt {
public:
    // `signals` are blocked, and end the input.
    Prompt(std::string text, const sigset_t& signals);
    ~Prompt();
    Prompt(const Prompt&) = delete;
    Prompt& operator=(const Prompt&) = delete;

    // The next line; nullopt at the end of the input, or when one of the signals came. Calls idle()
    // some ten times a second meanwhile.
    std::optional<std::string> read(const std::function<void()>& idle);

private:
    bool wait(const std::function<void()>& idle);

    std::string text_;
    int signals_;  // a descriptor that tells of them
    bool terminal_;
    std::string rest_;  // read, and not a whole line yet
};

}  // namespace holdfast::gen
