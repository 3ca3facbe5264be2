// The directory a daemon owns while it runs, and the lock that makes it the only one.
//
// take() makes the directory (mode 0750) when it is not there and refuses when another process
// holds it, however that one was started. The lock is the kernel's: it goes with the process, also
// with kill -9. The destructor removes the lock file, and
// the directory if take() made it and it is empty.
#pragma once

#include <expected>
#include <string>

namespace holdfast {

class RunDirectory {
public:
    static std::expected<RunDirectory, std::string> take(const std::string& path);
    RunDirectory(RunDirectory&& other) noexcept;
    RunDirectory& operator=(RunDirectory&&) = delete;
    ~RunDirectory();

private:
    RunDirectory(std::string lock_file, int fd, std::string made)
        : lock_file_(std::move(lock_file)), made_(std::move(made)), fd_(fd) {}
    std::string lock_file_;
    std::string made_;  // the directory, when it was not there before
    int fd_ = -1;
};

}  // namespace holdfast
