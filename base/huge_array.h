// A fixed array for tables that are read at random: on huge pages where the kernel gives them,
// since with 4 KiB pages every packet would pay page walks on top of its cache misses.
//
// Memory is taken and touched once, by the constructor: a fault on a huge page takes a millisecond
// and more where the kernel has to make one, and packets would wait for it (at a takeover all the
// adopter's pages were new). Elements must be trivially copyable and are not initialised.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <type_traits>

namespace holdfast {

template <typename T>
class HugeArray {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

public:
    explicit HugeArray(size_t size)
        : size_(size), data_(static_cast<T*>(::operator new[](size * sizeof(T), alignment()))) {
        if (size * sizeof(T) < kHuge) return;
        // Whole pages only, or the rest of the last one would be somebody else's. Advice: if it is
        // not taken (MADV_POPULATE_WRITE is of Linux 5.14), all works as before.
        const size_t whole = size * sizeof(T) / kHuge * kHuge;
        ::madvise(data_, whole, MADV_HUGEPAGE);
        ::madvise(data_, whole, MADV_POPULATE_WRITE);
    }
    ~HugeArray() { ::operator delete[](static_cast<void*>(data_), alignment()); }
    HugeArray(const HugeArray&) = delete;
    HugeArray& operator=(const HugeArray&) = delete;

    T& operator[](size_t i) { return data_[i]; }
    const T& operator[](size_t i) const { return data_[i]; }
    T* begin() { return data_; }
    T* end() { return data_ + size_; }
    size_t size() const { return size_; }

private:
    static constexpr size_t kHuge = 2u << 20;
    std::align_val_t alignment() const {
        return std::align_val_t{size_ * sizeof(T) < kHuge ? 64 : kHuge};
    }
    size_t size_;
    T* data_;
};

}  // namespace holdfast
