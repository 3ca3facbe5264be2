#include "controlplane/node/epoch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/bytes.h"

namespace holdfast {
namespace {
constexpr size_t kSize = kMaxGroups * Promise::kMaxSize;

bool read_all(Bytes bytes, std::array<Promise, kMaxGroups>& promises) {
    for (Promise& p : promises) {
        const Bytes slot = bytes.first(Promise::kMaxSize);
        bytes = bytes.subspan(Promise::kMaxSize);
        ByteReader r(slot);
        const size_t length = r.le<uint16_t>();
        if (length == 0) continue;  // nothing was promised
        if (length > slot.size() - 2) return false;
        const auto promise = parse_promise(slot.subspan(2, length));
        if (!promise) return false;
        p = *promise;
    }
    return true;
}
}  // namespace

std::expected<std::unique_ptr<EpochFile>, std::string> EpochFile::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return std::unexpected(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    std::unique_ptr<EpochFile> file(new EpochFile(fd));
    std::array<std::byte, kSize + 1> buffer;
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), 0);
    if (n == 0) return file;
    if (n != static_cast<ssize_t>(kSize) || !read_all(Bytes(buffer).first(kSize), file->promises_))
        return std::unexpected(fmt::format(
            "{} is not a file of promises ({} bytes, expected {}); if this node may forget "
            "which holders it voted away, remove it",
            path, n, kSize));
    return file;
}

EpochFile::~EpochFile() { ::close(fd_); }

void EpochFile::remember(GroupId group, const Promise& promise) {
    promises_[group.value] = promise;
    std::array<std::byte, kSize> buffer{};
    MutableBytes rest = buffer;
    for (const Promise& p : promises_) {
        const MutableBytes slot = rest.first(Promise::kMaxSize);
        rest = rest.subspan(Promise::kMaxSize);
        if (p == Promise{}) continue;
        const size_t length = emit(p, slot.subspan(2));
        ByteWriter(slot).le<uint16_t>(static_cast<uint16_t>(length));
    }
    // A promise that could not be written must not be made.
    CHECK(::pwrite(fd_, buffer.data(), buffer.size(), 0) == static_cast<ssize_t>(kSize));
}

}  // namespace holdfast
