#include "tests/simulation/world/conversation.h"

#include <algorithm>
#include <utility>

namespace holdfast::simulation {
namespace {

constexpr size_t kUnacknowledged = 64 * 1024;  // before a speaker writes more
constexpr size_t kIntroduction = 8;

std::string text_of(const tls_testing::Buffer& octets) {
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

}  // namespace

Speaker::Speaker(const Talk& talk, uint64_t stream, uint64_t to_say,
                 const SimpleTcp::Options& options, Endpoint self, Endpoint peer, uint32_t isn,
                 SimpleTcp::Send send)
    : tcp(options, self, peer, isn, std::move(send)),
      talk_(talk),
      stream_(stream),
      to_say_(to_say) {}

std::string Speaker::octets_of(uint64_t stream, uint64_t offset, size_t size) {
    const auto word_of = [stream](uint64_t at) {
        return at < kIntroduction ? stream : mix64(at / 8 + stream * 0x100000000ull);
    };
    std::string octets(size, 0);
    uint64_t word = word_of(offset);
    for (char& c : octets) {
        if (offset % 8 == 0) word = word_of(offset);
        c = static_cast<char>(word >> offset % 8 * 8);
        ++offset;
    }
    return octets;
}

void Speaker::connect(Instant now) {
    tcp.connect(now);
    if (tls) tcp.write(text_of(tls->exchange({})), now);
    arm();
}

void Speaker::on_segment(const Segment& s, Instant now) {
    tcp.on_segment(s, now);
    read(now);
    say(now);
    arm();
}

bool Speaker::may_say() const {
    return tcp.state() == SimpleTcp::State::open && (!tls || tls->connected()) && said_ < to_say_ &&
           tcp.unacknowledged() < kUnacknowledged;
}

void Speaker::arm() {
    deadline_ = earlier(tcp.next_deadline(), may_say() ? next_burst_ : Instant::max());
}

void Speaker::on_deadline(Instant now) {
    if (tcp.next_deadline() <= now) tcp.on_deadline(now);
    say(now);
    arm();
}

void Speaker::speak(uint64_t stream, uint64_t to_say, const Talk& talk, Instant now) {
    talk_ = talk;
    stream_ = stream;
    to_say_ = to_say;
    say(now);
    arm();
}

void Speaker::read(Instant now) {
    std::string octets = tcp.take(now);
    if (tls && !octets.empty()) {
        tcp.write(text_of(tls->exchange(tls_testing::bytes_of(octets))), now);
        octets = tls->received();
        if (!tls->error().empty() && complaint_.empty()) complaint_ = "TLS: " + tls->error();
    }
    check(octets);
    if (tcp.peer_closed() && hears_ && heard_ < length_ && complaint_.empty())
        complaint_ =
            "the end came after " + std::to_string(heard_) + " of " + std::to_string(length_);
}

void Speaker::hear(uint64_t stream, uint64_t length) {
    hears_ = stream;
    length_ = length;
    check(std::exchange(unchecked_, {}));
}

void Speaker::check(std::string_view octets) {
    if (!hears_) {
        unchecked_ += octets;
        return;
    }
    const std::string written =
        octets_of(*hears_, heard_, std::min(octets.size(), length_ - std::min(heard_, length_)));
    const size_t same = std::ranges::mismatch(octets, written).in1 - octets.begin();
    if (same < octets.size() && complaint_.empty())
        complaint_ = "octet " + std::to_string(heard_ + same) + " is not what was written";
    heard_ += octets.size();
}

std::optional<uint64_t> Speaker::introduced() const {
    if (hears_ || unchecked_.size() < kIntroduction) return std::nullopt;
    uint64_t number = 0;
    for (size_t i = 0; i < kIntroduction; ++i)
        number |= uint64_t{static_cast<uint8_t>(unchecked_[i])} << 8 * i;
    return number;
}

void Speaker::say(Instant now) {
    while (may_say() && next_burst_ <= now) {
        const std::string octets =
            octets_of(stream_, said_, std::min<uint64_t>(talk_.burst, to_say_ - said_));
        said_ += octets.size();
        tcp.write(tls ? text_of(tls->write(octets)) : octets, now);
        if (talk_.pause > Duration{}) next_burst_ = now + talk_.pause;
    }
    if (said_ < to_say_ || to_say_ == 0 || closed_) return;
    closed_ = true;
    if (tls) tcp.write(text_of(tls->close()), now);
    tcp.close(now);
}

bool Speaker::ended() const {
    return hears_ && heard_ == length_ && closed_ && tcp.peer_closed() && tcp.all_acknowledged();
}

std::string Speaker::describe() const {
    return "said " + std::to_string(said_) + " of " + std::to_string(to_say_) + ", heard " +
           std::to_string(heard_) + " of " + std::to_string(length_) + "; " + tcp.describe();
}

}  // namespace holdfast::simulation
