#include "tools/holdctl/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace holdfast {

namespace {

// One case for each path of subcommands: the words that may come next.
void add_cases(const CLI::App& app, const std::string& path, const std::string& inherited,
               std::string& cases) {
    std::string words = inherited;
    if (!path.empty())
        for (const CLI::Option* option : app.get_options())
            for (const std::string& name : option->get_lnames()) words += " --" + name;
    std::string verbs;
    for (const CLI::App* sub : app.get_subcommands({})) verbs += " " + sub->get_name();
    cases += fmt::format("        \"{}\") words=\"{}\" ;;\n", path, (verbs + words).substr(1));
    for (const CLI::App* sub : app.get_subcommands({}))
        add_cases(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), inherited,
                  cases);
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
    std::string everywhere;
    for (const CLI::Option* option : app.get_options())
        for (const std::string& name : option->get_lnames())
            if (name != "help") everywhere += " --" + name;
    std::string cases;
    add_cases(app, "", everywhere + " --help", cases);
    return fmt::format(R"(# bash completion for holdctl; made by: holdctl completion bash
_holdctl() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" path="" words="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{COMP_WORDS[i]}}" in
        --socket) i=$((i + 1)) ;;
        -*) ;;
        *) path="$path${{path:+ }}${{COMP_WORDS[i]}}" ;;
        esac
    done
    if [ "${{COMP_WORDS[COMP_CWORD - 1]}}" = --socket ]; then
        COMPREPLY=($(compgen -f -- "$cur"))
        return
    fi
    case "$path" in
{}    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -F _holdctl holdctl
)",
                       cases);
}

}  // namespace holdfast
