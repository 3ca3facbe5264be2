#include "dataplane/port/sleeper.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

namespace holdfast {

Sleeper::Sleeper() {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(fd >= 0);
    descriptors_.push_back({fd, POLLIN, 0});
}

Sleeper::~Sleeper() { close(descriptors_[0].fd); }

void Sleeper::add(int descriptor) { descriptors_.push_back({descriptor, POLLIN, 0}); }

Sleeper::Woken Sleeper::sleep(Duration at_most) {
    timespec t{.tv_sec = at_most.ns / 1'000'000'000, .tv_nsec = at_most.ns % 1'000'000'000};
    int ready = ppoll(descriptors_.data(), descriptors_.size(), &t, nullptr);
    cancel();
    if (ready <= 0) return Woken::timeout;
    if (descriptors_[0].revents != 0) {
        uint64_t count;
        (void)!read(descriptors_[0].fd, &count, sizeof count);
        return Woken::command;
    }
    for (size_t i = 1; i < descriptors_.size(); ++i) {
        if (!(descriptors_[i].revents & POLLERR)) continue;
        // An interface that went down: the error must be taken, or it keeps waking us.
        int error;
        socklen_t length = sizeof error;
        (void)getsockopt(descriptors_[i].fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    return Woken::descriptor;
}

void Sleeper::wake() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!asleep_.load(std::memory_order_relaxed)) return;
    uint64_t one = 1;
    (void)!write(descriptors_[0].fd, &one, sizeof one);
}

}  // namespace holdfast
