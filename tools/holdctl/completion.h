// A bash completion made from the command table itself, so that it cannot lag behind it.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace holdfast {
std::string bash_completion(const CLI::App& app);
}
