#include "tests/history/capture.h"

#include <arpa/inet.h>

#include <optional>

namespace holdfast::history {
namespace {

constexpr size_t kFileHeader = 24, kRecordHeader = 16, kEthernet = 14;
constexpr uint32_t kMicroseconds = 0xa1b2c3d4, kNanoseconds = 0xa1b23c4d, kLinkEthernet = 1;
constexpr uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd;
constexpr uint8_t kTcp = 6;

uint8_t octet(Bytes b, size_t at) { return static_cast<uint8_t>(b[at]); }
uint16_t word(Bytes b, size_t at) { return load_be<uint16_t>(b.data() + at); }

// RFC 1071, the plain way.
uint32_t sum_words(Bytes b) {
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < b.size(); i += 2) {
        sum += word(b, i);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if (b.size() % 2 != 0) sum += static_cast<uint32_t>(octet(b, b.size() - 1)) << 8;
    return (sum & 0xffff) + (sum >> 16);
}

bool sums_up(uint32_t sum) { return (sum & 0xffff) + (sum >> 16) == 0xffff; }

// Where the parts of a packet lie: addresses (source, destination) and the TCP segment.
struct Packet {
    Bytes addresses, tcp;
};

enum class Odd { other, damaged };

std::expected<Packet, Odd> packet_v4(Bytes ip) {
    if (ip.size() < 20) return std::unexpected(Odd::damaged);
    const size_t header = (octet(ip, 0) & 15u) * 4u, total = word(ip, 2);
    if (octet(ip, 9) != kTcp) return std::unexpected(Odd::other);
    if (header < 20 || total < header || total > ip.size() ||
        !sums_up(sum_words(ip.first(header))) || (word(ip, 6) & 0x3fff) != 0)
        return std::unexpected(Odd::damaged);
    return Packet{ip.subspan(12, 8), ip.subspan(header, total - header)};
}

// No extension headers: nobody in the lab sends any with TCP.
std::expected<Packet, Odd> packet_v6(Bytes ip) {
    if (ip.size() < 40) return std::unexpected(Odd::damaged);
    if (octet(ip, 6) != kTcp) return std::unexpected(Odd::other);
    if (40u + word(ip, 4) > ip.size()) return std::unexpected(Odd::damaged);
    return Packet{ip.subspan(8, 32), ip.subspan(40, word(ip, 4))};
}

Socket socket_of(Bytes address, uint16_t port) {
    Socket s;
    if (address.size() == 4) s.address[10] = s.address[11] = 0xff;
    std::memcpy(s.address.data() + (16 - address.size()), address.data(), address.size());
    s.port = port;
    return s;
}

std::expected<Segment, Odd> segment_of(Bytes frame) {
    if (frame.size() < kEthernet) return std::unexpected(Odd::other);
    const uint16_t type = word(frame, 12);
    if (type != kIpv4 && type != kIpv6) return std::unexpected(Odd::other);
    const Bytes ip = frame.subspan(kEthernet);
    const auto packet = type == kIpv4 ? packet_v4(ip) : packet_v6(ip);
    if (!packet) return std::unexpected(packet.error());
    const Bytes tcp = packet->tcp;
    if (tcp.size() < 20) return std::unexpected(Odd::damaged);
    const size_t header = (octet(tcp, 12) >> 4u) * 4u;
    const uint32_t pseudo = sum_words(packet->addresses) + kTcp + static_cast<uint32_t>(tcp.size());
    if (header < 20 || header > tcp.size() ||
        !sums_up((pseudo & 0xffff) + (pseudo >> 16) + sum_words(tcp)))
        return std::unexpected(Odd::damaged);
    const size_t n = packet->addresses.size() / 2;
    Segment s;
    s.from = socket_of(packet->addresses.first(n), word(tcp, 0));
    s.to = socket_of(packet->addresses.subspan(n), word(tcp, 2));
    s.sequence = load_be<uint32_t>(tcp.data() + 4);
    s.acknowledgement = load_be<uint32_t>(tcp.data() + 8);
    s.flags = octet(tcp, 13);
    s.octets = tcp.subspan(header);
    return s;
}

// The first octets of the file tell its byte order: ours, as tcpdump runs here.
std::optional<std::string> refuse(Bytes file) {
    if (file.size() < kFileHeader) return "too short for a capture";
    uint32_t magic, link;
    std::memcpy(&magic, file.data(), 4);
    std::memcpy(&link, file.data() + 20, 4);
    if (magic != kMicroseconds && magic != kNanoseconds) return "not a capture of this machine";
    if (link != kLinkEthernet) return "not of an Ethernet";
    return std::nullopt;
}

}  // namespace

std::string to_string(const Socket& socket) {
    char text[INET6_ADDRSTRLEN];
    const bool v4 = socket.address[10] == 0xff && socket.address[0] == 0;
    inet_ntop(v4 ? AF_INET : AF_INET6, socket.address.data() + (v4 ? 12 : 0), text, sizeof text);
    const std::string port = ":" + std::to_string(socket.port);
    return v4 ? text + port : "[" + std::string(text) + "]" + port;
}

std::expected<CaptureCounts, std::string> read_capture(
    Bytes file, const std::function<void(const Segment&)>& take) {
    if (const auto why = refuse(file)) return std::unexpected(*why);
    CaptureCounts counts;
    for (Bytes rest = file.subspan(kFileHeader); !rest.empty();) {
        uint32_t kept = 0, length = 0;
        if (rest.size() >= kRecordHeader) {
            std::memcpy(&kept, rest.data() + 8, 4);
            std::memcpy(&length, rest.data() + 12, 4);
        }
        ++counts.frames;
        if (rest.size() < kRecordHeader || rest.size() - kRecordHeader < kept) {
            ++counts.cut;
            break;
        }
        const Bytes frame = rest.subspan(kRecordHeader, kept);
        rest = rest.subspan(kRecordHeader + kept);
        if (kept < length) {
            ++counts.cut;
            continue;
        }
        const auto segment = segment_of(frame);
        if (segment) take(*segment);
        ++(segment                         ? counts.segments
           : segment.error() == Odd::other ? counts.other
                                           : counts.damaged);
    }
    return counts;
}

}  // namespace holdfast::history
