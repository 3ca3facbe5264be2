// Loses UDP at random where it is attached (tc): compiled with -DLOSS (of 2^32) and -DSEED. The same seed loses the
// same datagrams of the same traffic.
#define SEC(name) __attribute__((section(name), used))

struct __sk_buff;
static long (*load)(const struct __sk_buff*, unsigned, void*, unsigned) = (void*)26;

static unsigned long long state = SEED;

SEC("classifier")
int lose(struct __sk_buff* skb) {
    unsigned char protocol = 0;
    load(skb, 14 + 9, &protocol, 1);  // of IPv4 behind Ethernet
    if (protocol != 17) return 0;
    unsigned long long x = state;  // xorshift64
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    state = x;
    return (unsigned)(x >> 32) < LOSS ? 2 /* TC_ACT_SHOT */ : 0 /* TC_ACT_OK */;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
