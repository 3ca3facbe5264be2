// Reading and writing bytes: loads and stores in either byte order, and a bounded reader and
// writer.
//
// The ring's own frames are little-endian; everything that is somebody else's protocol is
// big-endian. This is the only place that knows how a machine orders its bytes. Reader and writer
// never throw and never go past their span: after a step that did not fit, ok() is false, reads
// give zeros and writes do nothing.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace holdfast {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

template <std::unsigned_integral T>
constexpr T little(T v) {
    return std::endian::native == std::endian::little ? v : std::byteswap(v);
}
template <std::unsigned_integral T>
constexpr T big(T v) {
    return std::endian::native == std::endian::big ? v : std::byteswap(v);
}

template <std::unsigned_integral T>
T load_be(const void* p) {
    T v;
    std::memcpy(&v, p, sizeof v);
    return big(v);
}
template <std::unsigned_integral T>
void store_be(void* p, T v) {
    v = big(v);
    std::memcpy(p, &v, sizeof v);
}
template <std::unsigned_integral T>
T load_le(const void* p) {
    T v;
    std::memcpy(&v, p, sizeof v);
    return little(v);
}
template <std::unsigned_integral T>
void store_le(void* p, T v) {
    v = little(v);
    std::memcpy(p, &v, sizeof v);
}

class ByteReader {
public:
    explicit ByteReader(Bytes bytes) : rest_(bytes) {}

    template <std::unsigned_integral T>
    T le() {
        Bytes b = take(sizeof(T));
        return b.empty() ? T{} : load_le<T>(b.data());
    }
    template <std::unsigned_integral T>
    T be() {
        Bytes b = take(sizeof(T));
        return b.empty() ? T{} : load_be<T>(b.data());
    }
    // The next n bytes, or an empty span (and ok() false) when there are fewer.
    Bytes take(size_t n) {
        if (n > rest_.size()) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        Bytes head = rest_.first(n);
        rest_ = rest_.subspan(n);
        return head;
    }
    void copy(MutableBytes to) {
        Bytes b = take(to.size());
        if (!b.empty()) std::memcpy(to.data(), b.data(), b.size());
    }
    bool ok() const { return ok_; }
    bool done() const { return ok_ && rest_.empty(); }
    Bytes rest() const { return rest_; }

private:
    Bytes rest_;
    bool ok_ = true;
};

class ByteWriter {
public:
    explicit ByteWriter(MutableBytes bytes) : bytes_(bytes) {}

    template <std::unsigned_integral T>
    void le(T v) {
        if (std::byte* p = reserve(sizeof v)) store_le(p, v);
    }
    template <std::unsigned_integral T>
    void be(T v) {
        if (std::byte* p = reserve(sizeof v)) store_be(p, v);
    }
    void put(Bytes b) {
        if (std::byte* p = reserve(b.size()); p && !b.empty()) std::memcpy(p, b.data(), b.size());
    }
    // n bytes to be filled in by the caller, or nullptr (and ok() false) when they do not fit.
    std::byte* reserve(size_t n) {
        if (n > bytes_.size() - used_) {
            ok_ = false;
            return nullptr;
        }
        std::byte* p = bytes_.data() + used_;
        used_ += n;
        return p;
    }
    bool ok() const { return ok_; }
    size_t used() const { return used_; }
    size_t room() const { return bytes_.size() - used_; }
    Bytes written() const { return bytes_.first(used_); }

private:
    MutableBytes bytes_;
    size_t used_ = 0;
    bool ok_ = true;
};

}  // namespace holdfast
