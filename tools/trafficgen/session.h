// A run from its start to its last report: by itself (batch), or as somebody says, at the prompt or
// in a file of commands.
//
// The prompt is "holdfast-gen> "; without a terminal it is printed all the same, so that a program
// that drives this one knows when a command is done.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <optional>

#include "tools/trafficgen/command.h"
#include "tools/trafficgen/options.h"

namespace holdfast::gen {

// SIGINT and SIGTERM are taken by Session, which then ends in order.
void block_signals();

class Session {
public:
    Session(Generator& generator, const RunOptions& options);

    // Everything; the exit code.
    int run();

private:
    int run_batch();
    bool run_file(const std::string& path);
    void run_prompt();
    // One command; false: the last one.
    bool execute(const std::string& line);
    bool obey(const Command& command);
    void change(const Command& command);
    void show(Verb verb);
    void wait_as_told(const Command& command);
    bool wait(double seconds, const std::function<bool()>& condition);
    bool drained();
    void print_when_due();
    std::string why_not_running();
    int finish();

    Generator& generator_;
    const RunOptions& options_;
    SystemClock clock_;
    Profile next_;          // for the next start
    bool changed_ = false;  // since the sessions were made
    bool ended_ = false;    // somebody wants us to end
    bool failed_ = false;   // a command of a file was
    Instant next_print_{};
    std::optional<Snapshot> shown_;  // last, for "since last"
};

}  // namespace holdfast::gen
