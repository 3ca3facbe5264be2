// Memory for keys: locked, left out of core dumps, not inherited by a child, wiped when given back.
//
// An arena has a fixed number of slots of a fixed size and is mapped once: from memfd_secret(2),
// which the kernel itself cannot read, where there is one; else anonymous memory under mlock(2),
// MADV_DONTDUMP and MADV_WIPEONFORK. Where the limit of locked memory (RLIMIT_MEMLOCK) forbids
// both, protection() says so and the caller decides whether to run. One thread uses an arena at a
// time; nothing is allocated after construction. What is not here: guard pages and protection from
// other code in the same process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/counters.h"

namespace holdfast {

// Overwrites with zeros, also where the compiler sees that nobody reads them.
void wipe(MutableBytes bytes);

// A plain value that is wiped at its end; for secrets on their way from one owner to the next.
template <typename T>
requires std::is_trivially_copyable_v<T>
class Wiped {
public:
    Wiped() = default;
    explicit Wiped(const T& value) : value_(value) {}
    Wiped(Wiped&& other) noexcept : value_(other.value_) { other.clear(); }
    Wiped& operator=(Wiped&& other) noexcept {
        if (this != &other) {
            value_ = other.value_;
            other.clear();
        }
        return *this;
    }
    ~Wiped() { clear(); }

    T& operator*() { return value_; }
    const T& operator*() const { return value_; }
    T* operator->() { return &value_; }
    const T* operator->() const { return &value_; }
    void clear() {
        wipe(std::as_writable_bytes(std::span(&value_, 1)));
        value_ = T{};
    }

private:
    T value_{};
};

enum class SecretProtection : uint8_t { secret, locked, unlocked };

struct SecretArenaCounters {
    uint64_t taken = 0;
    uint64_t given_back = 0;
    uint64_t refused = 0;
};

inline constexpr CounterInfo<SecretArenaCounters> kSecretArenaCounters[] = {
    {"taken", "Slots of secret memory handed out.", &SecretArenaCounters::taken},
    {"given_back", "Slots of secret memory wiped and taken back.",
     &SecretArenaCounters::given_back},
    {"refused", "Requests refused because every slot was in use.", &SecretArenaCounters::refused},
};

class SecretArena {
public:
    SecretArena(size_t slot_size, size_t slots);
    ~SecretArena();
    SecretArena(const SecretArena&) = delete;
    SecretArena& operator=(const SecretArena&) = delete;

    // A slot full of zeros, aligned to 16 bytes, or nullptr when all are in use.
    void* take();
    // Wipes it.
    void give_back(void* slot);

    SecretProtection protection() const { return protection_; }
    size_t capacity() const { return slots_; }
    size_t in_use() const { return slots_ - free_.size(); }
    size_t memory() const { return mapped_; }
    const SecretArenaCounters& counters() const { return counters_; }

private:
    void map_secret();
    void map_locked();

    size_t slot_size_;
    size_t slots_;
    size_t mapped_ = 0;
    std::byte* base_ = nullptr;
    SecretProtection protection_ = SecretProtection::unlocked;
    std::vector<uint32_t> free_;
    SecretArenaCounters counters_;
};

// Memory for what may be secret among much that is not: mapped once and full of zeros, left out of
// core dumps, locked page by page as it is touched. Whoever uses it wipes what goes.
class SecretRegion {
public:
    explicit SecretRegion(size_t size);
    ~SecretRegion();
    SecretRegion(const SecretRegion&) = delete;
    SecretRegion& operator=(const SecretRegion&) = delete;

    std::byte* data() { return base_; }
    const std::byte* data() const { return base_; }
    size_t size() const { return size_; }
    SecretProtection protection() const { return protection_; }

private:
    size_t size_;
    std::byte* base_ = nullptr;
    SecretProtection protection_ = SecretProtection::unlocked;
};

// A T in a slot of an arena, wiped at its end. Empty when the arena was full.
template <typename T>
requires std::is_trivially_copyable_v<T>
class SecretPtr {
public:
    SecretPtr() = default;
    explicit SecretPtr(SecretArena& arena) : arena_(&arena) {
        if (void* slot = arena.take()) value_ = new (slot) T{};
    }
    SecretPtr(SecretPtr&& other) noexcept
        : arena_(other.arena_), value_(std::exchange(other.value_, nullptr)) {}
    SecretPtr& operator=(SecretPtr&& other) noexcept {
        if (this != &other) {
            reset();
            arena_ = other.arena_;
            value_ = std::exchange(other.value_, nullptr);
        }
        return *this;
    }
    ~SecretPtr() { reset(); }

    void reset() {
        if (value_ != nullptr) arena_->give_back(std::exchange(value_, nullptr));
    }
    explicit operator bool() const { return value_ != nullptr; }
    T& operator*() const { return *value_; }
    T* operator->() const { return value_; }

private:
    SecretArena* arena_ = nullptr;
    T* value_ = nullptr;
};

}  // namespace holdfast
