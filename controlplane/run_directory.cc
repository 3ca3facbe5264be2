#include "controlplane/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace holdfast {

namespace {

std::string error_text(const std::string& what) {
    return fmt::format("{}: {}", what, std::strerror(errno));
}

// Whoever held the lock before may have removed the file between our open and our lock: then what
// we locked is nobody's.
bool is_still(int fd, const std::string& path) {
    struct stat ours {
    }, theirs{};
    return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &theirs) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

std::string owner_of(int fd) {
    char text[16] = {};
    const ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
    std::string pid(text, n > 0 ? static_cast<size_t>(n) : 0);
    pid.erase(std::min(pid.find('\n'), pid.size()));
    return pid.empty() ? "another process" : "process " + pid;
}

// A process that was just killed keeps its lock until its last thread is gone: a supervisor that
// restarts at once must not be refused for that.
bool lock_soon(int fd) {
    for (int tries = 0; tries < 100; ++tries) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

}  // namespace

std::expected<RunDirectory, std::string> RunDirectory::take(const std::string& path) {
    const std::string file = path + "/lock";
    for (int attempt = 0; attempt < 10; ++attempt) {
        const bool made = ::mkdir(path.c_str(), 0750) == 0;
        if (!made && errno != EEXIST) return std::unexpected(error_text("cannot make " + path));
        const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd < 0 && errno == ENOENT) continue;  // its owner is just removing it
        if (fd < 0) return std::unexpected(error_text("cannot open " + file));
        if (!lock_soon(fd)) {
            const std::string owner = owner_of(fd);
            ::close(fd);
            return std::unexpected(fmt::format("{} already runs in {}", owner, path));
        }
        const std::string pid = fmt::format("{}\n", ::getpid());
        if (is_still(fd, file) && ::ftruncate(fd, 0) == 0 &&
            ::pwrite(fd, pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size()))
            return RunDirectory(file, fd, made ? path : "");
        ::close(fd);
    }
    return std::unexpected("cannot lock " + file);
}

RunDirectory::RunDirectory(RunDirectory&& other) noexcept
    : lock_file_(std::move(other.lock_file_)),
      made_(std::move(other.made_)),
      fd_(std::exchange(other.fd_, -1)) {}

RunDirectory::~RunDirectory() {
    if (fd_ < 0) return;
    ::unlink(lock_file_.c_str());  // before the lock goes, so that it is surely ours
    if (!made_.empty()) ::rmdir(made_.c_str());
    ::close(fd_);
}

}  // namespace holdfast
