// For tests of what runs on ports: one EAL for the whole executable, a clock that stands still, and
// net_ring devices whose wire the test holds. No privileges, no huge pages.
#pragma once

#include <gtest/gtest.h>
#include <rte_bus_vdev.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/port/clock.h"
#include "dataplane/port/eal.h"
#include "dataplane/port/port.h"

namespace holdfast {

class Environment : public ::testing::Environment {
public:
    void SetUp() override {
        auto started = Eal::start({.program = "port_tests", .workers = 2, .memory_mb = 64});
        ASSERT_TRUE(started) << started.error();
        eal = std::move(*started);
        auto made = FramePool::create(2048);
        ASSERT_TRUE(made) << made.error();
        pool = std::move(*made);
    }
    void TearDown() override {
        pool.reset();
        eal.reset();
    }
    static inline std::unique_ptr<Eal> eal;
    static inline std::unique_ptr<FramePool> pool;
};
struct ManualClock final : Clock {
    Instant now() override {
        t = t + step;
        return t;
    }
    Instant t{1'000'000'000};
    Duration step{};
};

// A device whose wire the test holds: `in` is what it will receive, `out` what it sent.
struct Wire {
    explicit Wire(const char* name) : device(std::string("net_ring_") + name) {
        in = rte_ring_create((std::string(name) + "_in").c_str(), 256, 0, 0);
        out = rte_ring_create((std::string(name) + "_out").c_str(), 256, 0, 0);
        id = rte_eth_from_rings(name, &in, 1, &out, 1, 0);
        auto opened =
            Port::open({.name = name, .device = device, .workers = 2}, *Environment::pool);
        EXPECT_TRUE(opened) << opened.error();
        port = std::move(*opened);
    }
    ~Wire() {
        port.reset();
        rte_vdev_uninit(device.c_str());
        for (rte_ring* r : {in, out}) {
            while (rte_mbuf* m = pop(r)) rte_pktmbuf_free(m);
            rte_ring_free(r);
        }
    }
    static rte_mbuf* pop(rte_ring* r) {
        void* m;
        return rte_ring_dequeue(r, &m) == 0 ? static_cast<rte_mbuf*>(m) : nullptr;
    }
    rte_mbuf* make(std::string_view bytes) {
        rte_mbuf* m = rte_pktmbuf_alloc(Environment::pool->handle());
        m->port = port->id();
        std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(bytes.size())), bytes.data(),
                    bytes.size());
        return m;
    }
    void push(std::string_view bytes, unsigned segments = 1) {
        rte_mbuf* m = make(bytes);
        while (--segments > 0) {
            rte_mbuf* tail = rte_pktmbuf_alloc(Environment::pool->handle());
            std::memset(rte_pktmbuf_append(tail, 10), 'x', 10);
            ASSERT_EQ(rte_pktmbuf_chain(m, tail), 0);
        }
        ASSERT_EQ(rte_ring_enqueue(in, m), 0);
    }
    // What was sent, oldest first; empty when there is nothing.
    std::string sent() {
        rte_mbuf* m = pop(out);
        if (m == nullptr) return "";
        std::string bytes(rte_pktmbuf_mtod(m, char*), m->data_len);
        rte_pktmbuf_free(m);
        return bytes;
    }
    rte_ring *in, *out;
    int id;
    std::string device;
    std::unique_ptr<Port> port;
};

}  // namespace holdfast
