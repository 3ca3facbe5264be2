/* What the steering program (steer.bpf.c) and its loader (steer.cc) share: map names, keys and the
 * order of the counters. Plain C, because clang compiles the program as C. */
#ifndef HOLDFAST_DATAPLANE_STEER_STEER_ABI_H_
#define HOLDFAST_DATAPLANE_STEER_STEER_ABI_H_

#include <linux/types.h>

#define STEER_PROGRAM_NAME "holdfast_steer"
#define STEER_MAX_QUEUES 64
#define STEER_MAX_ADDRESSES 4096 /* of each family: VIPs, pool addresses and own ones together */

/* The ring's datagrams: UDP to one of the groups (0: none), ports first to last. */
struct steer_ring {
    __u8 group_v4[4];
    __u8 group_v6[16];
    __u16 first_port; /* host order */
    __u16 last_port;
};

enum steer_counter {
    STEER_TAKEN_IPV4,
    STEER_TAKEN_IPV6,
    STEER_TAKEN_ARP,
    STEER_TAKEN_ND,
    STEER_TAKEN_RING,
    STEER_PASSED_ARP,
    STEER_PASSED_IP,
    STEER_PASSED_OTHER,
    STEER_PASSED_SHORT,
    STEER_DROPPED_NO_SOCKET,
    STEER_COUNTERS
};

#endif
