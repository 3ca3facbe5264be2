// Puts the schema into holdfast.toml.5.in: the manual page cannot lag behind the reader.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "controlplane/config/schema.h"

int main(int argc, char** argv) {
    if (argc != 2) return std::fputs("usage: config_reference TEMPLATE\n", stderr), 2;
    std::ifstream file(argv[1]);
    std::stringstream text;
    text << file.rdbuf();
    std::string page = text.str();
    constexpr std::string_view kPlace = "@REFERENCE@\n";
    const size_t at = page.find(kPlace);
    if (at == std::string::npos) return std::fputs("nothing to fill in\n", stderr), 1;
    std::cout << page.replace(at, kPlace.size(), holdfast::reference_man());
    return std::cout.flush() ? 0 : 1;
}
