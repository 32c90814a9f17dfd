// See describe.hpp.
#include "client/command/describe.hpp"

#include <map>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/command/exit_codes.hpp"

namespace understudy::client {
namespace {

/// Type names of options that the manager can name.
const std::map<std::string, std::string>& named_kinds() {
    static const std::map<std::string, std::string> kKinds{{"HOST", "hosts"}, {"NODE", "nodes"}, {"TERMINAL", "terminals"},
                                                           {"SESSION", "sessions"}, {"FLAVOUR", "pools"}, {"INCIDENT", "incidents"}};
    return kKinds;
}

struct Word {
    std::string name;   ///< "--host", or the name of what stands alone
    std::string what;
    std::string kind;   ///< of the value; "-": none follows
};

struct Verb {
    std::string name;
    std::string what;
    std::vector<Word> options;
    std::vector<Word> places;
    std::vector<Verb> verbs;
};

/// The type's own name: checks write theirs behind a colon.
std::string kind_of(const CLI::Option& option) {
    const std::string kind = option.get_type_name();
    return option.get_items_expected_max() == 0 ? "-" : kind.substr(0, kind.find(':'));
}

Verb read(const CLI::App& app) {
    Verb verb{app.get_name(), app.get_description(), {}, {}, {}};
    for (const CLI::Option* option : app.get_options()) {
        const std::string what = option->get_description();
        if (option->get_positional()) verb.places.push_back({option->get_name(true), what, kind_of(*option)});
        for (const std::string& name : option->get_lnames()) verb.options.push_back({"--" + name, what, kind_of(*option)});
    }
    for (const CLI::App* one : app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); })) verb.verbs.push_back(read(*one));
    return verb;
}

/// For single quotes of a shell.
std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

std::string words_of(const Verb& verb) {
    std::string out;
    for (const Verb& one : verb.verbs) out += one.name + " ";
    for (const Word& one : verb.options) out += one.name + " ";
    return out.empty() ? out : out.substr(0, out.size() - 1);
}

/// What the value of this kind may be, as a shell's command that prints words; empty: anything.
std::string values_of(const Word& word) {
    const auto kind = named_kinds().find(word.kind);
    if (kind != named_kinds().end()) return "understudy names " + kind->second + " 2>/dev/null";
    if (word.name == "value") return "echo on off";
    if (word.name == "shell") return "echo bash zsh fish";
    if (word.name == "kind") return "echo hosts nodes terminals sessions pools incidents";
    return {};
}

// ---------------------------------------------------------------- bash

std::string bash_text(const Verb& app) {
    std::string out = "# Completion of understudy for bash; made by: understudy completion bash\n_understudy() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= sub= words= places=0 i\n"
                      "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n"
                      "            --config | --timeout) ((i++)) ;;\n            -*) [ -z \"$verb\" ] || case ${COMP_WORDS[i]} in";
    std::string valued;
    for (const Verb& verb : app.verbs) {
        for (const Word& option : verb.options) {
            if (option.kind != "-" && valued.find(" " + option.name + " ") == std::string::npos) valued += (valued.empty() ? " " : "| ") + option.name + " ";
        }
    }
    out += valued + ") ((i++)) ;; esac ;;\n            *) if [ -z \"$verb\" ]; then verb=${COMP_WORDS[i]}; else sub=${COMP_WORDS[i]}; ((places++)); fi ;;\n"
           "        esac\n    done\n    case $verb:$prev in\n        *:--config | *:--out | *:--hook | *:--secret-file | *:--state) compopt -o default; COMPREPLY=(); return ;;\n";
    for (const Verb& verb : app.verbs) {
        for (const Word& option : verb.options) {
            if (const std::string values = values_of(option); !values.empty()) out += "        " + verb.name + ":" + option.name + ") words=$(" + values + ") ;;\n";
        }
    }
    out += "        *) case $verb in\n            '') words=" + quoted(words_of(app)) + " ;;\n";
    for (const Verb& verb : app.verbs) {
        out += "            " + verb.name + ")\n                words=" + quoted(words_of(verb)) + "\n";
        for (std::size_t i = 0; i < verb.places.size(); ++i) {
            const std::string values = values_of(verb.places[i]);
            if (!values.empty()) out += "                [ \"$places\" != " + std::to_string(i) + " ] || words+=\" $(" + values + ")\"\n";
        }
        for (const Verb& sub : verb.verbs) out += "                [ \"$sub\" != " + sub.name + " ] || words=" + quoted(words_of(sub)) + "\n";
        out += "                ;;\n";
    }
    return out + "        esac ;;\n    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _understudy understudy\n";
}

// ---------------------------------------------------------------- zsh

std::string zsh_name(std::string text) {
    std::string out;
    for (const char c : text) {
        if (c == '[' || c == ']' || c == ':') out += '\\';
        out += c;
    }
    return out;
}

std::string zsh_action(const Word& word) {
    if (word.kind == "FILE") return "_files";
    const std::string values = values_of(word);
    return values.empty() ? "" : "($(" + values + "))";
}

std::string zsh_arguments(const Verb& verb, const std::string& indent) {
    std::string out = indent + "_arguments";
    for (const Word& option : verb.options) {
        const std::string value = option.kind == "-" ? "" : ":" + zsh_name(option.kind.empty() ? "value" : option.kind) + ":" + zsh_action(option);
        out += " \\\n" + indent + "    " + quoted(option.name + "[" + zsh_name(option.what) + "]" + value);
    }
    for (const Word& place : verb.places) out += " \\\n" + indent + "    " + quoted(":" + zsh_name(place.name) + ":" + zsh_action(place));
    return out + "\n";
}

std::string zsh_text(const Verb& app) {
    std::string out = "#compdef understudy\n# Completion of understudy for zsh; made by: understudy completion zsh\n_understudy() {\n"
                      "    local -a verbs\n    verbs=(\n";
    for (const Verb& verb : app.verbs) out += "        " + quoted(verb.name + ":" + zsh_name(verb.what)) + "\n";
    out += "    )\n    if (( CURRENT == 2 )); then\n        _describe verb verbs\n        return\n    fi\n    local verb=${words[2]}\n    shift words\n    (( CURRENT-- ))\n    case $verb in\n";
    for (const Verb& verb : app.verbs) {
        out += "        " + verb.name + ")\n";
        if (verb.verbs.empty()) {
            out += zsh_arguments(verb, "            ");
        } else {
            out += "            _values word";
            for (const Verb& sub : verb.verbs) out += " " + quoted(sub.name + "[" + zsh_name(sub.what) + "]");
            out += "\n";
        }
        out += "            ;;\n";
    }
    return out + "    esac\n}\nif [ \"$funcstack[1]\" = _understudy ]; then _understudy \"$@\"; else compdef _understudy understudy; fi\n";
}

// ---------------------------------------------------------------- fish

std::string fish_line(const std::string& condition, const std::string& rest, const std::string& what) {
    return "complete -c understudy -n " + quoted(condition) + " " + rest + (what.empty() ? "" : " -d " + quoted(what)) + "\n";
}

std::string fish_text(const Verb& app) {
    std::string out = "# Completion of understudy for fish; made by: understudy completion fish\ncomplete -c understudy -f\n";
    for (const Word& option : app.options) {
        out += "complete -c understudy -l " + option.name.substr(2) + (option.kind == "-" ? "" : option.kind == "FILE" ? " -r -F" : " -x") + " -d " + quoted(option.what) + "\n";
    }
    for (const Verb& verb : app.verbs) {
        out += fish_line("__fish_use_subcommand", "-a " + verb.name, verb.what);
        const std::string inside = "__fish_seen_subcommand_from " + verb.name;
        for (const Verb& sub : verb.verbs) out += fish_line(inside, "-a " + sub.name, sub.what);
        for (const Word& option : verb.options) {
            const std::string values = values_of(option);
            const std::string value = option.kind == "-" ? "" : option.kind == "FILE" ? " -r -F" : values.empty() ? " -x" : " -x -a " + quoted("(" + values + " | string split ' ')");
            out += fish_line(inside, "-l " + option.name.substr(2) + value, option.what);
        }
        for (const Word& place : verb.places) {
            if (const std::string values = values_of(place); !values.empty()) out += fish_line(inside, "-a " + quoted("(" + values + " | string split ' ')"), place.what);
        }
    }
    return out;
}

// ---------------------------------------------------------------- manual page

std::string roff(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') out += "\\e";
        else if (c == '-') out += "\\-";
        else if (c == '\n') out += "\n.br\n";
        else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += std::string("\\&") + c;
        else out += c;
    }
    return out;
}

std::string usage_of(const Verb& verb) {
    std::string out = "\\fB" + roff(verb.name) + "\\fR";
    for (const Word& place : verb.places) out += " \\fI" + roff(place.name) + "\\fR";
    for (const Verb& sub : verb.verbs) out += (&sub == &verb.verbs.front() ? " " : "|") + std::string("\\fB") + roff(sub.name) + "\\fR";
    return out;
}

void describe(std::string& out, const std::vector<Word>& words) {
    for (const Word& word : words) {
        if (word.name == "--help") continue;
        out += ".TP\n\\fB" + roff(word.name) + "\\fR" + (word.kind == "-" || word.kind.empty() ? "" : " \\fI" + roff(word.kind) + "\\fR") + "\n" + roff(word.what) + "\n";
    }
}

std::string roff_of(const Verb& app, const std::string& version) {
    std::string out = ".\\\" Made by: understudy manual\n.TH UNDERSTUDY 1 \"\" \"Understudy " + roff(version) + "\" \"User commands\"\n.SH NAME\nunderstudy \\- look at and steer the Understudy node manager\n"
                      ".SH SYNOPSIS\n.B understudy\n[\\fIoptions\\fR] \\fIverb\\fR [\\fIarguments\\fR]\n.SH DESCRIPTION\n"
                      "Understudy keeps applications on the screens of thin terminals while the machines under them fail. This program shows what its node manager knows and does, "
                      "and asks it to act. Every act needs a reason, which the manager keeps; with \\fB\\-\\-dry\\-run\\fR it is only rehearsed: the manager\\(aqs own deciding core says what would happen, and nothing does.\n"
                      ".SH OPTIONS\n";
    describe(out, app.options);
    out += ".SH VERBS\n";
    for (const Verb& verb : app.verbs) {
        out += ".SS " + usage_of(verb) + "\n" + roff(verb.what) + "\n";
        describe(out, verb.places);
        describe(out, verb.options);
        for (const Verb& sub : verb.verbs) {
            out += ".TP\n" + std::string("\\fB") + roff(sub.name) + "\\fR\n" + roff(sub.what) + "\n";
            for (const Word& option : sub.options) {
                if (option.name != "--help") out += ".br\n\\fB" + roff(option.name) + "\\fR: " + roff(option.what) + "\n";
            }
        }
    }
    out += ".SH EXIT STATUS\n";
    for (const auto& [code, meaning] : kExitMeanings) out += ".TP\n.B " + std::to_string(code) + "\n" + roff(std::string(meaning)) + "\n";
    return out + ".SH FILES\n.TP\n.I ~/.config/understudy/client.toml, /etc/understudy/client.toml\nwhere the manager is and which key is used; another one is named with \\fB\\-\\-config\\fR or the variable \\fBUNDERSTUDY_CONFIG\\fR.\n"
                 ".SH EXAMPLES\n.TP\n.B understudy what\\-if alpha\nwho would go where if host alpha died now\n.TP\n.B understudy drain \\-\\-host alpha \\-\\-dry\\-run\nwhat draining it would move\n"
                 ".TP\n.B understudy nodes \\-\\-json | jq \\(aq.[] | select(.health != \\(dqhealthy\\(dq)\\(aq\nfor programs\n";
}

}  // namespace

std::string completion_text(const CLI::App& app, const std::string& shell) {
    const Verb tree = read(app);
    return shell == "zsh" ? zsh_text(tree) : shell == "fish" ? fish_text(tree) : bash_text(tree);
}

std::string manual_text(const CLI::App& app, const std::string& version) { return roff_of(read(app), version); }

}  // namespace understudy::client
