// Promises on disk: <run_dir>/epochs-<worker>, so that a restarted process keeps its word and knows
// the last claim it had heard of. A slot of 256 bytes for each group: length (2), then what
// replication/membership/messages.h makes of a promise.
//
// A write of 4 KiB a few times an adoption and once a view, from the worker's thread; it goes to
// the page cache, which survives the process, and with run_dir on a disk the machine too once the
// kernel has written it back. A file that cannot be read or is of another size is an error at
// start, never guessed at.
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

    void remember(GroupId group, const Promise& promise) override;
    const std::array<Promise, kMaxGroups>& remembered() const { return promises_; }

private:
    explicit EpochFile(int fd) : fd_(fd) {}
    int fd_;
    std::array<Promise, kMaxGroups> promises_{};
};

}  // namespace holdfast
