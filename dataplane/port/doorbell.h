// The kernel sockets behind a poll-mode driver, found from outside.
//
// net_af_packet and net_af_xdp receive through a memory-mapped ring of a socket they do not show.
// Such a socket is readable while frames wait in its ring, so an idle worker can sleep on it
// instead of polling. We find it by comparing the process's AF_PACKET and AF_XDP sockets before and
// after the driver opened its queue. Linux only; without /proc nothing is found and workers sleep
// by the clock.
#pragma once

#include <string>
#include <vector>

namespace holdfast {

// The process's AF_PACKET and AF_XDP sockets, ascending: the order in which a driver opened them.
std::vector<int> packet_sockets();
// What is in `after` and not in `before`; both ascending.
std::vector<int> opened_between(const std::vector<int>& before, const std::vector<int>& after);
// Frames that the kernel itself sends on the interface do not come back up this AF_PACKET socket.
// The driver does not ask for that; without it a node reads its own kernel's traffic. Best effort.
void ignore_outgoing(int packet_socket);
bool is_af_packet(int socket);

}  // namespace holdfast
