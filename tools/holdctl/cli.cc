#include "tools/holdctl/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>

#include "controlplane/config/units.h"
#include "tools/holdctl/client.h"
#include "tools/holdctl/completion.h"
#include "tools/holdctl/print.h"

namespace holdfast {

namespace {

using nlohmann::json;

constexpr const char* kDefaultSocket = "/run/holdfast/api.sock";

constexpr const char* kFooter = R"(
A session is named CLIENT:PORT>VIP:PORT; quote it for the shell:
  holdctl session set '198.51.100.101:40000>198.51.100.10:80' billing '1 Example Street'

Exit codes: 0 done, 1 refused, 2 not understood, 3 holdfastd cannot be reached.)";

// What the words and options of the command line are put into.
struct Words {
    std::string socket = kDefaultSocket;
    bool as_json = false;
    std::string limit = "100", vip, client, state;
    std::string key, name, value;
    std::string service, backend;
    std::string group, wait = "2s";
};

using Print = std::function<std::string(const json&)>;

class Commands {
public:
    explicit Commands(const Words& words) : words_(words) {}
    CliResult result;

    void fetch(const std::string& method, const std::string& path, const std::string& body,
               const Print& print);
    void sessions();
    void get();
    void set();
    void handover();
    void backend(bool drain);
    void version();

private:
    std::string attributes_path() const {
        return "/v1/sessions/" + percent_encoded(words_.key) + "/attributes";
    }
    const Words& words_;
};

void Commands::fetch(const std::string& method, const std::string& path, const std::string& body,
                     const Print& print) {
    const auto reply = ask(words_.socket, method, path, body);
    if (!reply) {
        result = {kUnreachable, "", reply.error() + "\n"};
        return;
    }
    const json document = json::parse(reply->body, nullptr, false);
    if (reply->status != 200) {
        const bool said =
            document.is_object() && document.contains("error") && document["error"].is_string();
        result = {kRefused, words_.as_json ? reply->body : "",
                  fmt::format("holdfastd: {}\n", said ? document["error"].get<std::string>()
                                                      : fmt::format("status {}", reply->status))};
        return;
    }
    if (!document.is_object()) {
        result = {kUnreachable, "", "whoever answers at " + words_.socket + " is not holdfastd\n"};
        return;
    }
    result = {kDone, words_.as_json ? reply->body : print(document), ""};
}

void Commands::sessions() {
    std::string path = "/v1/sessions?limit=" + percent_encoded(words_.limit);
    if (!words_.vip.empty()) path += "&vip=" + percent_encoded(words_.vip);
    if (!words_.client.empty()) path += "&client=" + percent_encoded(words_.client);
    if (!words_.state.empty()) path += "&state=" + percent_encoded(words_.state);
    fetch("GET", path, "", sessions_text);
}

void Commands::get() {
    if (words_.name.empty()) return fetch("GET", attributes_path(), "", attributes_text);
    fetch("GET", attributes_path() + "/" + percent_encoded(words_.name), "",
          [](const json& document) { return document.value("value", "") + "\n"; });
}

void Commands::set() {
    const json body{{"value", words_.value}};
    fetch("PUT", attributes_path() + "/" + percent_encoded(words_.name),
          body.dump(-1, ' ', false, json::error_handler_t::replace),
          [](const json&) { return std::string(); });
}

void Commands::handover() {
    json body = json::object();
    if (!words_.group.empty()) {
        const auto group = parse_digits(words_.group);
        if (!group) {
            result = {kUsage, "", "--group must be a number\n"};
            return;
        }
        body["group"] = *group;
    }
    const auto wait = parse_duration(words_.wait);
    if (!wait) {
        result = {kUsage, "", "--wait must have a unit, such as 2s or 500ms\n"};
        return;
    }
    body["wait_ms"] = wait->as_milliseconds();
    fetch("POST", "/v1/handover", body.dump(), [](const json& document) {
        return fmt::format("{} group(s) handed over\n", document.value("groups_moved", 0));
    });
}

void Commands::backend(bool drain) {
    const json body{{"weight", drain ? json(0) : json(nullptr)}};
    fetch("PUT",
          "/v1/backends/" + percent_encoded(words_.service) + "/" + percent_encoded(words_.backend),
          body.dump(), [&](const json&) {
              return fmt::format("{}/{} {}\n", words_.service, words_.backend,
                                 drain ? "takes no new sessions" : "has its configured weight");
          });
}

void Commands::version() {
    fetch("GET", "/v1/version", "", [](const json& document) {
        return fmt::format("holdctl {}\nholdfastd {}\n", HOLDFAST_VERSION,
                           document.value("version", "?"));
    });
    if (result.code == kDone) return;
    const std::string out = words_.as_json ? json{{"holdctl", HOLDFAST_VERSION}}.dump() + "\n"
                                           : fmt::format("holdctl {}\n", HOLDFAST_VERSION);
    result = {kDone, out, ""};  // our own version needs no daemon
}

void add_session_commands(CLI::App& app, Words& words, Commands& run) {
    CLI::App* session = app.add_subcommand("session", "attributes that a session carries along");
    session->require_subcommand(1);
    CLI::App* get = session->add_subcommand("get", "print one attribute, or all");
    get->add_option("KEY", words.key, "CLIENT:PORT>VIP:PORT")->required();
    get->add_option("NAME", words.name, "the attribute");
    get->callback([&run] { run.get(); });
    CLI::App* set = session->add_subcommand("set", "set one attribute");
    set->add_option("KEY", words.key, "CLIENT:PORT>VIP:PORT")->required();
    set->add_option("NAME", words.name, "letters, digits, '.', '_', '-'")->required();
    set->add_option("VALUE", words.value, "any text")->required();
    set->callback([&run] { run.set(); });
    CLI::App* all = session->add_subcommand("attributes", "print all attributes");
    all->add_option("KEY", words.key, "CLIENT:PORT>VIP:PORT")->required();
    all->callback([&run] { run.get(); });
}

void add_backend_commands(CLI::App& app, Words& words, Commands& run) {
    CLI::App* backend = app.add_subcommand("backend", "take a server out of service, or back");
    backend->require_subcommand(1);
    for (const bool drain : {true, false}) {
        CLI::App* verb = backend->add_subcommand(
            drain ? "drain" : "undrain",
            drain ? "give it no new sessions" : "give it its configured weight again");
        verb->add_option("SERVICE", words.service, "the service's name")->required();
        verb->add_option("BACKEND", words.backend, "the backend's name")->required();
        verb->callback([&run, drain] { run.backend(drain); });
    }
}

void add_commands(CLI::App& app, Words& words, Commands& run) {
    app.add_subcommand("status", "roles, peers, sessions, backends and takeovers of this node")
        ->callback([&run] { run.fetch("GET", "/v1/status", "", status_text); });
    CLI::App* sessions = app.add_subcommand("sessions", "sessions this node holds");
    sessions->add_option("--limit", words.limit, "at most so many (default 100)");
    sessions->add_option("--vip", words.vip, "only of this virtual address");
    sessions->add_option("--client", words.client, "only of this client address");
    sessions->add_option("--state", words.state, "embryonic, established, closing or closed");
    sessions->callback([&run] { run.sessions(); });
    app.add_subcommand("ring", "the replication rings: views, peers, counters")->callback([&run] {
        run.fetch("GET", "/v1/ring", "", ring_text);
    });
    add_session_commands(app, words, run);
    add_backend_commands(app, words, run);
    CLI::App* handover = app.add_subcommand("handover", "give what this node holds to a standby");
    handover->add_option("--group", words.group, "only this group");
    handover->add_option("--wait", words.wait, "how long to wait for it (default 2s)");
    handover->callback([&run] { run.handover(); });
    app.add_subcommand("version", "versions of holdctl and of the daemon")->callback([&run] {
        run.version();
    });
    CLI::App* completion = app.add_subcommand("completion", "print a shell's completion script");
    completion->require_subcommand(1);
    completion->add_subcommand("bash", "for bash")->callback([&run, &app] {
        run.result = {kDone, bash_completion(app), ""};
    });
}

}  // namespace

CliResult run_holdctl(const std::vector<std::string>& arguments) {
    Words words;
    if (const char* socket = std::getenv("HOLDFAST_SOCKET")) words.socket = socket;
    Commands run(words);
    CLI::App app("Looks at a running holdfastd and tells it what to do.", "holdctl");
    app.require_subcommand(1);
    app.fallthrough();
    app.footer(kFooter);
    app.add_option("--socket", words.socket,
                   "the daemon's socket (default $HOLDFAST_SOCKET or /run/holdfast/api.sock)");
    app.add_flag("--json", words.as_json, "print what the daemon said, as JSON");
    add_commands(app, words, run);
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
        app.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        return {kDone, app.help(), ""};
    } catch (const CLI::ParseError& error) {
        return {kUsage, "", fmt::format("holdctl: {}\nTry: holdctl --help\n", error.what())};
    }
    return run.result;
}

}  // namespace holdfast
