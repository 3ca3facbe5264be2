// holdfastd: arguments, log, and what happens before the daemon's life begins.
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "controlplane/config/load.h"
#include "controlplane/config/schema.h"
#include "controlplane/daemon.h"

namespace {

using namespace holdfast;

constexpr const char* kFooter = R"(
Signals: SIGTERM and SIGINT hand over what this node holds (at most 2 s) and stop.
Exit codes: 0 stopped, 1 could not start, 2 not understood, 4 configuration refused.)";

// The journal reads a line's priority from "<N>" in front of it (sd-daemon(3)).
class JournalPriority : public spdlog::custom_flag_formatter {
public:
    void format(const spdlog::details::log_msg& message, const std::tm&,
                spdlog::memory_buf_t& out) override {
        using namespace spdlog::level;
        const char priority = message.level >= critical ? '2'
                              : message.level >= err    ? '3'
                              : message.level >= warn   ? '4'
                              : message.level >= info   ? '6'
                                                        : '7';
        out.push_back('<');
        out.push_back(priority);
        out.push_back('>');
    }
    std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<JournalPriority>();
    }
};

void set_up_log(const std::string& level) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "holdfastd", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    if (std::getenv("JOURNAL_STREAM"))
        formatter->add_flag<JournalPriority>('*').set_pattern("%*%v");
    else
        formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %-8l %v");
    spdlog::set_formatter(std::move(formatter));
    spdlog::set_level(spdlog::level::from_str(level));
    spdlog::flush_on(spdlog::level::trace);
}

struct Arguments {
    std::string config;
    std::string log_level = "info";
    bool check = false;
    bool version = false;
    bool help_config = false;
};

int start(const Arguments& arguments) {
    const Loaded loaded = load_config(arguments.config);
    std::fputs(loaded.report.c_str(), stderr);
    if (!loaded.config) return kExitConfig;
    if (arguments.check) {
        std::printf("%s: the configuration is valid\n", arguments.config.c_str());
        return kExitStopped;
    }
    return run_daemon(*loaded.config, HOLDFAST_VERSION);
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    CLI::App app("Carries live TCP connections across the death of the appliance that holds them.",
                 "holdfastd");
    app.footer(kFooter);
    app.add_option("--config", arguments.config, "the configuration (holdfast.toml(5))");
    app.add_flag("--check", arguments.check, "check the configuration and do nothing else");
    app.add_flag("--help-config", arguments.help_config, "print every key of the configuration");
    app.add_option("--log-level", arguments.log_level, "debug, info (default), warning or error")
        ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
    app.add_flag("--version", arguments.version, "print the version");
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        std::fputs(app.help().c_str(), stdout);
        return kExitStopped;
    } catch (const CLI::ParseError& error) {
        std::fprintf(stderr, "holdfastd: %s\nTry: holdfastd --help\n", error.what());
        return kExitUsage;
    }
    if (arguments.version) return std::puts("holdfastd " HOLDFAST_VERSION), kExitStopped;
    if (arguments.help_config) return std::fputs(reference_text().c_str(), stdout), kExitStopped;
    if (arguments.config.empty()) {
        std::fputs("holdfastd: --config is required\nTry: holdfastd --help\n", stderr);
        return kExitUsage;
    }
    forbid_memory_dumps();  // before the secret is read
    block_stop_signals();
    set_up_log(arguments.log_level);
    return start(arguments);
}
