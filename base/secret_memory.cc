#include "base/secret_memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "base/check.h"

namespace holdfast {

void wipe(MutableBytes bytes) {
    if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

SecretArena::SecretArena(size_t slot_size, size_t slots)
    : slot_size_((slot_size + 15) & ~size_t{15}), slots_(slots) {
    CHECK(slot_size > 0 && slots > 0 && slots <= UINT32_MAX);
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (slot_size_ * slots_ + page - 1) / page * page;
    map_secret();
    if (base_ == nullptr) map_locked();
    // Written to once, so that running short of memory is found out here.
    std::memset(base_, 0, mapped_);
    free_.reserve(slots_);
    for (size_t i = slots_; i-- > 0;) free_.push_back(static_cast<uint32_t>(i));
}

// Pages of a memfd_secret are locked by nature, are in no dump, and not even the kernel maps them.
void SecretArena::map_secret() {
    const int fd = static_cast<int>(syscall(SYS_memfd_secret, 0));
    if (fd < 0) return;
    if (ftruncate(fd, static_cast<off_t>(mapped_)) == 0) {
        void* p = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            base_ = static_cast<std::byte*>(p);
            protection_ = SecretProtection::secret;
            madvise(p, mapped_, MADV_DONTFORK);
        }
    }
    close(fd);
}

void SecretArena::map_locked() {
    void* p = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    base_ = static_cast<std::byte*>(p);
    madvise(p, mapped_, MADV_WIPEONFORK);
    const bool hidden = madvise(p, mapped_, MADV_DONTDUMP) == 0;
    const bool locked = mlock(p, mapped_) == 0;
    protection_ = hidden && locked ? SecretProtection::locked : SecretProtection::unlocked;
}

SecretArena::~SecretArena() {
    wipe({base_, mapped_});
    munmap(base_, mapped_);
}

SecretRegion::SecretRegion(size_t size) : size_(size) {
    if (size == 0) return;
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    base_ = static_cast<std::byte*>(p);
    madvise(p, size, MADV_WIPEONFORK);
    const bool hidden = madvise(p, size, MADV_DONTDUMP) == 0;
    const bool locked = mlock2(p, size, MLOCK_ONFAULT) == 0;
    protection_ = hidden && locked ? SecretProtection::locked : SecretProtection::unlocked;
}

SecretRegion::~SecretRegion() {
    if (base_ != nullptr) munmap(base_, size_);  // its pages are cleared before anybody has them
}

void* SecretArena::take() {
    if (free_.empty()) {
        ++counters_.refused;
        return nullptr;
    }
    ++counters_.taken;
    const uint32_t index = free_.back();
    free_.pop_back();
    return base_ + index * slot_size_;
}

void SecretArena::give_back(void* slot) {
    const auto offset = static_cast<size_t>(static_cast<std::byte*>(slot) - base_);
    CHECK(offset < slot_size_ * slots_ && offset % slot_size_ == 0 && free_.size() < slots_);
    wipe({static_cast<std::byte*>(slot), slot_size_});
    ++counters_.given_back;
    free_.push_back(static_cast<uint32_t>(offset / slot_size_));
}

}  // namespace holdfast
