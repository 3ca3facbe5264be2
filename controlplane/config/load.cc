#include "controlplane/config/load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "controlplane/config/bind.h"
#include "controlplane/config/document.h"

namespace holdfast {

namespace {

constexpr size_t kLongestFile = 1 << 20;

// The whole of a file of at most `most` bytes, and its mode.
struct FileText {
    std::string text;
    mode_t mode = 0;
};
std::expected<FileText, std::string> read_file(const std::string& path, size_t most) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return std::unexpected(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    FileText file;
    struct stat status {};
    std::string trouble;
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) trouble = "is not a regular file";
    file.mode = status.st_mode;
    file.text.resize(most + 1);
    size_t used = 0;
    while (trouble.empty() && used <= most) {
        const ssize_t n = ::read(fd, file.text.data() + used, file.text.size() - used);
        if (n < 0) trouble = std::strerror(errno);
        if (n <= 0) break;
        used += static_cast<size_t>(n);
    }
    ::close(fd);
    if (used > most) trouble = fmt::format("is longer than {} bytes", most);
    file.text.resize(used);
    if (trouble.empty()) return file;
    return std::unexpected(fmt::format("{}: {}", path, trouble));
}

void finish(Loaded& loaded, Problems& problems, std::string_view text,
            const std::string& file_name) {
    loaded.problems = problems.sorted();
    for (const Problem& problem : loaded.problems)
        loaded.report += render(problem, file_name, text);
    if (problems.errors() != 0) loaded.config.reset();
}

std::optional<int> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return std::nullopt;
}

}  // namespace

std::expected<Secret, std::string> read_secret_file(const std::string& path) {
    constexpr size_t kMost = 128;
    auto file = read_file(path, kMost);
    if (!file) return std::unexpected(file.error());
    std::string& text = file->text;
    if (file->mode & 07)
        return std::unexpected(fmt::format("{} is open to other users (mode {:04o}): chmod o= it",
                                           path, file->mode & 07777));
    Secret secret{};
    if (text.size() == secret.size()) {
        std::memcpy(secret.data(), text.data(), secret.size());
    } else {
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
        bool ok = text.size() == 2 * secret.size();
        for (size_t i = 0; ok && i < secret.size(); ++i) {
            const auto high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
            ok = high && low;
            if (ok) secret[i] = static_cast<std::byte>(*high << 4 | *low);
        }
        if (!ok)
            return std::unexpected(
                fmt::format("{} must hold 32 bytes or 64 hexadecimal digits", path));
    }
    explicit_bzero(text.data(), text.size());
    return secret;
}

Loaded parse_config(std::string_view text, const std::string& file_name,
                    const ReadSecret& read_secret) {
    Loaded loaded;
    Problems problems;
    const auto document = parse_toml(text);
    if (!document) {
        problems.error(document.error().mark, document.error().message);
        finish(loaded, problems, text, file_name);
        return loaded;
    }
    Config& config = loaded.config.emplace();
    AddressBook book;
    const Section root("", &*document, {}, problems);
    bind_cluster(root, read_secret, config, book);
    bind_ring(root, config);
    bind_ports(root, config, book);
    bind_workers(root, config);
    bind_groups(root, config);
    bind_services(root, config, book);
    finish(loaded, problems, text, file_name);
    return loaded;
}

Loaded load_config(const std::string& path) {
    const auto file = read_file(path, kLongestFile);
    if (!file) {
        Loaded loaded;
        loaded.problems.push_back({Problem::Severity::error, {}, file.error()});
        loaded.report = fmt::format("error: {}\n", file.error());
        return loaded;
    }
    const size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    return parse_config(file->text, path, [&](const std::string& name) {
        return read_secret_file(name.starts_with('/') ? name : directory + name);
    });
}

}  // namespace holdfast
