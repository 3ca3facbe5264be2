// Loses UDP on its way into a receiver, at random: the same for every system under comparison.
// Compiled with -DPERCENT=n, attached with tc.
#define SEC(name) __attribute__((section(name), used))

struct __sk_buff;
static unsigned (*random32)(void) = (void*)7;  // BPF_FUNC_get_prandom_u32
static long (*load)(const struct __sk_buff*, unsigned, void*,
                    unsigned) = (void*)26;  // skb_load_bytes

SEC("classifier")
int lose(struct __sk_buff* skb) {
    unsigned char protocol = 0;
    load(skb, 14 + 9, &protocol, 1);  // of IPv4 behind Ethernet
    return protocol == 17 && random32() % 10000 < PERCENT * 100 ? 2 /* TC_ACT_SHOT */ : 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
