#include "base/cluster.h"

namespace holdfast {

std::string to_string(NodeSet nodes) {
    std::string text = "{";
    for (NodeId n : nodes) {
        if (text.size() > 1) text += ',';
        text += std::to_string(n.value);
    }
    return text + '}';
}

}  // namespace holdfast
