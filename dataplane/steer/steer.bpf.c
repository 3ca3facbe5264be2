/* Decides for each frame of an interface whether it is the packet worker's or the kernel's.
 *
 * Ours is what is addressed to a VIP, a pool address or an address of the worker's own: IP packets
 * (ICMP errors among them), ARP and neighbour discovery about those addresses, and the ring's
 * multicast. Everything else stays with the kernel, so that the node's own address, its routing and
 * ssh work on the same interface. A frame of ours for which no socket is there (the daemon died, or
 * the queue has none) is dropped, never passed: the kernel knows nothing of a VIP and might answer
 * its clients with an ICMP error or a reset.
 *
 * No limits here depend on traffic; every path ends in one counter. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "dataplane/steer/steer_abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, STEER_MAX_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps"); /* the AF_XDP driver fills this one; its name is the driver's */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, STEER_MAX_ADDRESSES);
    __type(key, __u8[4]);
    __type(value, __u8);
} steer_v4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, STEER_MAX_ADDRESSES);
    __type(key, __u8[16]);
    __type(value, __u8);
} steer_v6 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct steer_ring);
} steer_ring SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, STEER_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} steer_counters SEC(".maps");

struct vlan_tag {
    __be16 tci;
    __be16 type;
};

/* RFC 826, for IPv4 over Ethernet. */
struct arp_ipv4 {
    __be16 hardware;
    __be16 protocol;
    __u8 hardware_size;
    __u8 protocol_size;
    __be16 operation;
    __u8 sender_mac[6];
    __u8 sender[4];
    __u8 target_mac[6];
    __u8 target[4];
} __attribute__((packed));

/* Neighbour solicitation and advertisement, RFC 4861 sections 4.3 and 4.4. */
struct nd_message {
    __u8 type;
    __u8 code;
    __be16 checksum;
    __be32 flags;
    __u8 target[16];
};
#define ND_SOLICIT 135
#define ND_ADVERT 136

static __always_inline int pass(__u32 why) {
    __u64 *counter = bpf_map_lookup_elem(&steer_counters, &why);
    if (counter) ++*counter;
    return XDP_PASS;
}

static __always_inline int take(struct xdp_md *ctx, __u32 why) {
    long action = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
    if (action != XDP_REDIRECT) why = STEER_DROPPED_NO_SOCKET;
    __u64 *counter = bpf_map_lookup_elem(&steer_counters, &why);
    if (counter) ++*counter;
    return action;
}

static __always_inline int same(const void *a, const void *b, int words) {
    const __u32 *x = a, *y = b;
    for (int i = 0; i < words; ++i)
        if (x[i] != y[i]) return 0;
    return 1;
}

static __always_inline int to_ring(const struct udphdr *udp, const void *destination, int v4) {
    __u32 zero = 0;
    const struct steer_ring *ring = bpf_map_lookup_elem(&steer_ring, &zero);
    if (!ring || ring->first_port == 0) return 0;
    __u16 port = bpf_ntohs(udp->dest);
    if (port < ring->first_port || port > ring->last_port) return 0;
    return v4 ? same(destination, ring->group_v4, 1) : same(destination, ring->group_v6, 4);
}

/* A request asks about its target; a reply is addressed to its target: both are ours when that is.
 * A gratuitous one (sender = target) about a VIP comes from whoever took it over. */
static __always_inline int on_arp(struct xdp_md *ctx, struct arp_ipv4 *arp, void *end) {
    if ((void *)(arp + 1) > end) return pass(STEER_PASSED_SHORT);
    if (arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_size != 6 || arp->protocol_size != 4)
        return pass(STEER_PASSED_ARP);
    return bpf_map_lookup_elem(&steer_v4, arp->target) ? take(ctx, STEER_TAKEN_ARP)
                                                       : pass(STEER_PASSED_ARP);
}

static __always_inline int on_ipv4(struct xdp_md *ctx, struct iphdr *ip, void *end) {
    if ((void *)(ip + 1) > end) return pass(STEER_PASSED_SHORT);
    __u8 destination[4];
    __builtin_memcpy(destination, &ip->daddr, 4);
    if (bpf_map_lookup_elem(&steer_v4, destination)) return take(ctx, STEER_TAKEN_IPV4);
    struct udphdr *udp = (void *)(ip + 1);
    if (ip->protocol == IPPROTO_UDP && ip->ihl == 5 && (void *)(udp + 1) <= end &&
        to_ring(udp, destination, 1))
        return take(ctx, STEER_TAKEN_RING);
    return pass(STEER_PASSED_IP);
}

static __always_inline int on_ipv6(struct xdp_md *ctx, struct ipv6hdr *ip, void *end) {
    if ((void *)(ip + 1) > end) return pass(STEER_PASSED_SHORT);
    __u8 destination[16];
    __builtin_memcpy(destination, &ip->daddr, 16);
    if (bpf_map_lookup_elem(&steer_v6, destination)) return take(ctx, STEER_TAKEN_IPV6);
    if (destination[0] != 0xff) return pass(STEER_PASSED_IP);
    struct nd_message *nd = (void *)(ip + 1);
    if (ip->nexthdr == IPPROTO_ICMPV6 && (void *)(nd + 1) <= end &&
        (nd->type == ND_SOLICIT || nd->type == ND_ADVERT)) {
        __u8 target[16];
        __builtin_memcpy(target, nd->target, 16);
        return bpf_map_lookup_elem(&steer_v6, target) ? take(ctx, STEER_TAKEN_ND)
                                                      : pass(STEER_PASSED_IP);
    }
    struct udphdr *udp = (void *)(ip + 1);
    if (ip->nexthdr == IPPROTO_UDP && (void *)(udp + 1) <= end && to_ring(udp, destination, 0))
        return take(ctx, STEER_TAKEN_RING);
    return pass(STEER_PASSED_IP);
}

SEC("xdp")
int holdfast_steer(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *ethernet = data;
    if ((void *)(ethernet + 1) > end) return pass(STEER_PASSED_SHORT);
    __be16 type = ethernet->h_proto;
    void *next = ethernet + 1;
    if (type == bpf_htons(ETH_P_8021Q)) {
        struct vlan_tag *tag = next;
        if ((void *)(tag + 1) > end) return pass(STEER_PASSED_SHORT);
        type = tag->type;
        next = tag + 1;
    }
    if (type == bpf_htons(ETH_P_IP)) return on_ipv4(ctx, next, end);
    if (type == bpf_htons(ETH_P_IPV6)) return on_ipv6(ctx, next, end);
    if (type == bpf_htons(ETH_P_ARP)) return on_arp(ctx, next, end);
    return pass(STEER_PASSED_OTHER);
}

char _license[] SEC("license") = "Apache-2.0";
