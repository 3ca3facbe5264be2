// Promised epochs on disk: <run_dir>/epochs-<worker>, so that a restarted process keeps its word.
//
// One write of 128 bytes per adoption, from the worker's thread; it goes to the page cache, which
// survives the process, and with run_dir on a disk the machine too once the kernel has written it
// back. A file that cannot be read or is of another size is an error at start, never guessed at.
#pragma once

#include <array>
#include <expected>
#include <memory>
#include <string>

#include "replication/replicator.h"

namespace holdfast {

class EpochFile final : public EpochMemory {
public:
    static std::expected<std::unique_ptr<EpochFile>, std::string> open(const std::string& path);
    ~EpochFile() override;
    EpochFile(const EpochFile&) = delete;
    EpochFile& operator=(const EpochFile&) = delete;

    void remember(GroupId group, Epoch epoch) override;
    const std::array<Epoch, kMaxGroups>& remembered() const { return epochs_; }

private:
    explicit EpochFile(int fd) : fd_(fd) {}
    int fd_;
    std::array<Epoch, kMaxGroups> epochs_{};
};

}  // namespace holdfast
