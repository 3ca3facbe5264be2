// Runs a script against one TcpEndpoint. Every segment in either direction is a whole IP packet
// with its checksums made and verified.
//
// Commands:  connect | write N | shutdown | abort | allow_ack N | allow_all_acks | allow_send N |
//            allow_all_sends | room N | too_big MSS SEQ | advance N | hold | flush | run SECONDS |
//            expect state|timer NAME | expect heard|cwnd|ssthresh|mss|chunks N |
//            expect event NAME | expect count COUNTER N | takeover
//
// The other way to run one: somewhere in it the endpoint is replaced. With its queues (`exact`)
// every line must still hold; from its record alone, on another clock (`takeover`), what is
// expected is not looked at any more, but the rules are, which hold for every packet: the bytes are
// right, and acknowledgement, right edge and timestamp never move back.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "base/random.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/wire/address.h"
#include "tests/transcripts/script.h"

namespace holdfast::transcripts {

enum class Replace : uint8_t { never, exact, takeover };

struct RunOptions {
    bool v4 = true;
    Replace replace = Replace::never;
    size_t after_line = 0;  // index into Script::lines
};

// What went wrong, with the line; empty when all held.
std::string run(const Script& script, const RunOptions& options);

class Run final : public TcpOutput {
public:
    Run(const Script& script, const RunOptions& options);
    std::string operator()();

    void transmit(const TcpEndpoint& endpoint, const TcpSegment& header, const TcpOptions& options,
                  std::span<const Bytes> payload) override;
    size_t deliver(Bytes bytes) override;
    void on_tcp_event(TcpEvent event) override { events_.push_back(event); }

private:
    struct Out {
        Instant at;
        Packet packet;
    };
    void configure(const std::string& setting);
    void play(const Line& line);
    void advance(Instant to);
    void settle();
    void arrive(const Packet& p);
    void expect(const Line& line, Instant from, Instant until);
    void command(const std::vector<std::string>& words);
    void check(const std::vector<std::string>& words);
    void replace();
    void take_over();
    void remake();
    void judge(const TcpSegment& header, const TcpOptions& options);
    void fail(const std::string& what);
    Instant here() const { return now_ + clock_; }

    const Script& script_;
    RunOptions options_;
    TcpConfig config_;
    ChunkPool pool_{512};
    std::unique_ptr<TcpEndpoint> end_;
    Endpoint local_, remote_;
    Instant now_;
    Duration clock_{};
    std::deque<Out> outs_;
    std::vector<TcpEvent> events_;
    const Line* line_ = nullptr;
    std::string failure_;
    bool lenient_ = false, hold_ = false, opened_ = false;
    uint64_t written_ = 0, heard_ = 0;
    bool stamped_ = false, acked_ = false;
    uint32_t stamp_ = 0;
    SeqNum ack_, edge_;
};

}  // namespace holdfast::transcripts
