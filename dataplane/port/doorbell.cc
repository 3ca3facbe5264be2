#include "dataplane/port/doorbell.h"

#include <dirent.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace holdfast {
namespace {

int domain_of(int fd) {
    int domain = -1;
    socklen_t length = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 ? domain : -1;
}

}  // namespace

std::vector<int> packet_sockets() {
    std::vector<int> found;
    DIR* dir = opendir("/proc/self/fd");
    if (dir == nullptr) return found;
    while (const dirent* entry = readdir(dir)) {
        if (entry->d_name[0] == '.') continue;
        int fd = std::atoi(entry->d_name);
        int domain = domain_of(fd);
        if (domain == AF_PACKET || domain == AF_XDP) found.push_back(fd);
    }
    closedir(dir);
    std::ranges::sort(found);
    return found;
}

std::vector<int> opened_between(const std::vector<int>& before, const std::vector<int>& after) {
    std::vector<int> opened;
    std::ranges::set_difference(after, before, std::back_inserter(opened));
    return opened;
}

void ignore_outgoing(int packet_socket) {
    int on = 1;
    (void)setsockopt(packet_socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
}

bool is_af_packet(int socket) { return domain_of(socket) == AF_PACKET; }

}  // namespace holdfast
