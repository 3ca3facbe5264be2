#include "controlplane/node/epoch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/bytes.h"

namespace holdfast {
namespace {
constexpr size_t kSize = kMaxGroups * sizeof(uint64_t);
}

std::expected<std::unique_ptr<EpochFile>, std::string> EpochFile::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return std::unexpected(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    std::unique_ptr<EpochFile> file(new EpochFile(fd));
    std::array<std::byte, kSize + 1> buffer;
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), 0);
    if (n == 0) return file;
    if (n != static_cast<ssize_t>(kSize))
        return std::unexpected(fmt::format(
            "{} is not a file of epochs ({} bytes, expected {}); if this node may forget "
            "which holders it voted away, remove it",
            path, n, kSize));
    ByteReader r(Bytes(buffer).first(kSize));
    for (Epoch& e : file->epochs_) e.value = r.le<uint64_t>();
    return file;
}

EpochFile::~EpochFile() { ::close(fd_); }

void EpochFile::remember(GroupId group, Epoch epoch) {
    epochs_[group.value] = epoch;
    std::array<std::byte, kSize> buffer;
    ByteWriter w(buffer);
    for (const Epoch& e : epochs_) w.le<uint64_t>(e.value);
    // A promise that could not be written must not be made.
    CHECK(::pwrite(fd_, buffer.data(), buffer.size(), 0) == static_cast<ssize_t>(kSize));
}

}  // namespace holdfast
