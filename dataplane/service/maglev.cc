#include "dataplane/service/maglev.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"

namespace holdfast {

MaglevTable::MaglevTable(uint16_t slots, uint16_t max_backends) : table_(slots, kNone) {
    CHECK(slots > 1);
    cursors_.reserve(max_backends);
}

void MaglevTable::build(std::span<const Choice> choices) {
    const auto slots = static_cast<uint32_t>(table_.size());
    cursors_.clear();
    uint32_t heaviest = 0;
    for (const Choice& c : choices) {
        if (c.weight == 0) continue;
        CHECK(cursors_.size() < cursors_.capacity());
        heaviest = std::max(heaviest, c.weight);
        cursors_.push_back({static_cast<uint32_t>(mix64(c.identity) % slots),
                            static_cast<uint32_t>(mix64(~c.identity) % (slots - 1)) + 1, c.weight,
                            0, c.identity, c.index});
    }
    std::ranges::fill(table_, kNone);
    if (cursors_.empty()) return;
    // Turns are taken in the order of identity, so that configuration order does not matter.
    std::ranges::sort(cursors_, {}, &Cursor::identity);
    // Each round the heaviest takes one slot, and a lighter one as often as its share says.
    for (uint32_t filled = 0; filled < slots;) {
        for (Cursor& c : cursors_) {
            c.credit += c.weight;
            if (c.credit < heaviest) continue;
            c.credit -= heaviest;
            while (table_[c.offset] != kNone) c.offset = (c.offset + c.skip) % slots;
            table_[c.offset] = c.index;
            if (++filled == slots) break;
        }
    }
}

uint64_t MaglevTable::bytes() const {
    return table_.size() * sizeof(uint16_t) + cursors_.capacity() * sizeof(Cursor);
}

}  // namespace holdfast
