// Bytes in the order in which they came, taken from the front; one piece in memory.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/check.h"

namespace holdfast {

class ByteQueue {
public:
    void append(Bytes bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    // Amortised: what was dropped is moved over when it is more than what is left.
    void drop_front(size_t n) {
        CHECK(n <= size());
        begin_ += n;
        if (begin_ <= bytes_.size() / 2) return;
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
        begin_ = 0;
    }
    void clear() {
        bytes_.clear();
        begin_ = 0;
    }
    void assign(Bytes bytes) {
        clear();
        append(bytes);
    }

    Bytes view() const { return Bytes(bytes_).subspan(begin_); }
    size_t size() const { return bytes_.size() - begin_; }
    bool empty() const { return size() == 0; }

private:
    std::vector<std::byte> bytes_;
    size_t begin_ = 0;
};

}  // namespace holdfast
