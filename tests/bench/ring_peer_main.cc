// The sender's and the receiver's loop; prints one line of JSON.
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "tests/bench/ring_peer.h"

namespace holdfast::bench {

Instant clock_now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return {t.tv_sec * 1'000'000'000 + t.tv_nsec};
}

namespace {

// Of all threads: on a shared machine a better measure than the clock.
double cpu_seconds() {
    rusage u;
    getrusage(RUSAGE_SELF, &u);
    auto seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(u.ru_utime) + seconds(u.ru_stime);
}

volatile std::sig_atomic_t stopped = 0;

// At the front of each message.
struct Mark {
    uint64_t number;
    int64_t due_ns;  // when it should have been sent
};

void send_all(const PeerOptions& o) {
    auto peer = make_peer(o, [](Bytes) {});
    while (!peer->ready() && !stopped) peer->poll(Duration::milliseconds(1));
    std::vector<std::byte> message(o.size, std::byte{0x5a});
    Instant start = clock_now();
    Instant end = start + Duration{static_cast<int64_t>(o.seconds * 1e9)};
    uint64_t sent = 0, refused = 0;
    for (Instant now = start; now < end && !stopped; now = clock_now()) {
        unsigned burst = 0;
        bool full = false;
        Instant due = now;
        for (; burst < 256; ++burst) {
            if (o.rate > 0) {
                due = start +
                      Duration{static_cast<int64_t>(static_cast<double>(sent) / o.rate * 1e9)};
                if (due > now) break;
            } else if (burst % 16 == 0) {
                due = clock_now();
            }
            Mark mark{sent, due.ns};
            std::memcpy(message.data(), &mark, sizeof mark);
            if ((full = !peer->offer(message))) break;
            ++sent;
        }
        refused += full;
        if (o.rate > 0) {
            if (burst > 0) peer->flush();
            peer->poll(full || due > now ? std::min(due - now, Duration::milliseconds(1))
                                         : Duration{});
        } else {
            peer->poll(full ? Duration::microseconds(200) : Duration{});
        }
    }
    peer->flush();
    Instant last = clock_now();
    // For repairs of what was sent last.
    const Duration drain = Duration::milliseconds(o.rate > 0 ? 1000 : 500);
    for (Instant now = last; now < last + drain; now = clock_now())
        peer->poll(Duration::milliseconds(1));
    std::printf("{\"sent\": %lu, \"seconds\": %.3f, \"full\": %lu, \"cpu\": %.3f, \"peer\": %s}\n",
                sent, (last - start).as_seconds(), refused, cpu_seconds(),
                peer->statistics().c_str());
    std::fflush(stdout);
    // A device whose other end goes away while it is polled takes its memory with it.
    while (!o.device.empty() && !stopped) peer->poll(Duration::milliseconds(1));
}

void receive_all(const PeerOptions& o) {
    std::vector<float> latency_us;
    latency_us.reserve(o.rate > 0 ? static_cast<size_t>(o.rate * o.seconds) + 10 : 0);
    uint64_t received = 0, out_of_place = 0, expected = 0;
    Instant first{}, last{};
    auto peer = make_peer(o, [&](Bytes message) {
        Mark mark;
        std::memcpy(&mark, message.data(), sizeof mark);
        out_of_place += mark.number != expected;
        expected = mark.number + 1;
        ++received;
        if (o.rate > 0 || received % 64 == 1) last = clock_now();
        if (first == Instant{}) first = last;
        // The first half second is the caches' and the peers' getting to know each other.
        if (o.rate > 0 && last - first > Duration::milliseconds(500))
            latency_us.push_back(static_cast<float>(last.ns - mark.due_ns) / 1000);
    });
    while (!stopped) peer->poll(Duration::milliseconds(100));
    std::ranges::sort(latency_us);
    auto quantile = [&](double q) {
        return latency_us.empty() ? 0.0f
                                  : latency_us[static_cast<size_t>(
                                        q * static_cast<double>(latency_us.size() - 1))];
    };
    double span = std::max((last - first).as_seconds(), 1e-9);
    std::printf(
        "{\"received\": %lu, \"rate\": %.0f, \"reordered\": %lu, \"samples\": %zu, \"p50\": %.1f, "
        "\"p99\": "
        "%.1f, \"max\": %.1f, \"cpu\": %.3f, \"peer\": %s}\n",
        received, static_cast<double>(received) / span, out_of_place, latency_us.size(),
        static_cast<double>(quantile(0.5)), static_cast<double>(quantile(0.99)),
        static_cast<double>(quantile(1)), cpu_seconds(), peer->statistics().c_str());
}

int run(int argc, char** argv) {
    PeerOptions o;
    for (int i = 1; i + 1 < argc; i += 2) {
        std::string_view name = argv[i];
        const char* value = argv[i + 1];
        if (name == "--role")
            o.sender = std::string_view(value) == "tx";
        else if (name == "--node")
            o.node = static_cast<unsigned>(std::atoi(value));
        else if (name == "--nodes")
            o.nodes = static_cast<unsigned>(std::atoi(value));
        else if (name == "--size")
            o.size = static_cast<size_t>(std::atoi(value));
        else if (name == "--rate")
            o.rate = std::atof(value);
        else if (name == "--seconds")
            o.seconds = std::atof(value);
        else if (name == "--device")
            o.device = value;
        else if (name == "--loss")
            o.loss = std::atof(value);
        else
            return std::fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    for (int s : {SIGTERM, SIGINT}) std::signal(s, [](int) { stopped = 1; });
    o.sender ? send_all(o) : receive_all(o);
    return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) { return holdfast::bench::run(argc, argv); }
