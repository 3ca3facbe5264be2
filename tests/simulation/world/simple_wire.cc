#include "tests/simulation/world/simple_wire.h"

#include <numeric>

namespace holdfast::simulation {
namespace {

uint8_t u8(Bytes b, size_t at) { return static_cast<uint8_t>(b[at]); }
uint16_t u16(Bytes b, size_t at) { return static_cast<uint16_t>(u8(b, at) << 8 | u8(b, at + 1)); }
uint32_t u32(Bytes b, size_t at) { return uint32_t{u16(b, at)} << 16 | u16(b, at + 2); }

void add(Octets& to, uint64_t value, int octets) {
    for (int i = octets - 1; i >= 0; --i) to.push_back(static_cast<std::byte>(value >> 8 * i));
}
void add(Octets& to, const IpAddress& a) {
    for (size_t i = a.is_v4() ? 12 : 0; i < 16; ++i) to.push_back(std::byte{a.bytes[i]});
}
void put16(Octets& to, size_t at, uint16_t value) {
    to[at] = static_cast<std::byte>(value >> 8);
    to[at + 1] = static_cast<std::byte>(value);
}

uint16_t checksum(Bytes b) {
    uint64_t sum = 0;
    for (size_t i = 0; i + 1 < b.size(); i += 2) sum += u16(b, i);
    if (b.size() % 2) sum += static_cast<uint64_t>(u8(b, b.size() - 1)) << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

uint16_t tcp_checksum(const IpAddress& from, const IpAddress& to, Bytes segment) {
    Octets covered;
    add(covered, from);
    add(covered, to);
    add(covered, segment.size(), 4);
    add(covered, 6, 4);
    covered.insert(covered.end(), segment.begin(), segment.end());
    return checksum(covered);
}

Octets build_tcp(const Segment& s) {
    Octets options;
    if (s.mss) add(options, 0x0204'0000u | *s.mss, 4);
    if (s.timestamps) {
        add(options, 0x0101'080a, 4);
        add(options, s.timestamps->first, 4);
        add(options, s.timestamps->second, 4);
    }
    Octets out;
    add(out, s.from.port, 2);
    add(out, s.to.port, 2);
    add(out, s.seq, 4);
    add(out, s.ack, 4);
    add(out, (5 + options.size() / 4) << 4, 1);
    add(out, s.flags, 1);
    add(out, s.window, 2);
    add(out, 0, 4);
    out.insert(out.end(), options.begin(), options.end());
    const Bytes data = std::as_bytes(std::span(s.data));
    out.insert(out.end(), data.begin(), data.end());
    put16(out, 16, tcp_checksum(s.from.address, s.to.address, out));
    return out;
}

// False: an option area that is none.
bool read_options(Bytes area, Segment& s) {
    for (size_t at = 0; at < area.size();) {
        const uint8_t kind = u8(area, at);
        if (kind == 0) return true;
        if (kind == 1) {
            ++at;
            continue;
        }
        if (at + 2 > area.size()) return false;
        const uint8_t size = u8(area, at + 1);
        if (size < 2 || at + size > area.size()) return false;
        if (kind == 2 && size == 4) s.mss = u16(area, at + 2);
        if (kind == 8 && size == 10) s.timestamps = {u32(area, at + 2), u32(area, at + 6)};
        at += size;
    }
    return true;
}

std::optional<Segment> read_tcp(const IpAddress& from, const IpAddress& to, Bytes b) {
    if (b.size() < 20 || tcp_checksum(from, to, b) != 0) return std::nullopt;
    const size_t header = (u8(b, 12) >> 4) * 4u;
    if (header < 20 || header > b.size()) return std::nullopt;
    Segment s;
    s.from = {from, u16(b, 0)};
    s.to = {to, u16(b, 2)};
    s.seq = u32(b, 4);
    s.ack = u32(b, 8);
    s.flags = u8(b, 13);
    s.window = u16(b, 14);
    if (!read_options(b.subspan(20, header - 20), s)) return std::nullopt;
    const Bytes data = b.subspan(header);
    s.data.assign(reinterpret_cast<const char*>(data.data()), data.size());
    return s;
}

IpAddress address_at(Bytes b, size_t at, bool v4) {
    if (v4) return IpAddress::v4(u32(b, at));
    IpAddress a;
    for (size_t i = 0; i < 16; ++i) a.bytes[i] = u8(b, at + i);
    return a;
}

}  // namespace

Octets build(const Segment& s, const MacAddress& source, const MacAddress& destination) {
    const bool v4 = s.from.address.is_v4();
    const Octets tcp = build_tcp(s);
    Octets out;
    for (const MacAddress& m : {destination, source})
        for (uint8_t b : m.bytes) out.push_back(std::byte{b});
    add(out, v4 ? 0x0800 : 0x86dd, 2);
    if (v4) {
        add(out, 0x4500, 2);
        add(out, 20 + tcp.size(), 2);
        add(out, 0x0000'4000, 4);  // do not fragment
        add(out, 0x4006'0000, 4);
    } else {
        add(out, 0x6000'0000, 4);
        add(out, tcp.size(), 2);
        add(out, 0x0640, 2);
    }
    add(out, s.from.address);
    add(out, s.to.address);
    if (v4) put16(out, 24, checksum(Bytes(out).subspan(14, 20)));
    out.insert(out.end(), tcp.begin(), tcp.end());
    return out;
}

std::optional<Segment> read_segment(Bytes frame) {
    if (frame.size() < 14 + 20) return std::nullopt;
    const uint16_t type = u16(frame, 12);
    const Bytes b = frame.subspan(14);
    if (type == 0x0800) {
        const size_t total = u16(b, 2);
        if (u8(b, 0) != 0x45 || u8(b, 9) != 6 || total < 20 || total > b.size()) return {};
        if (checksum(b.first(20)) != 0) return std::nullopt;
        return read_tcp(address_at(b, 12, true), address_at(b, 16, true),
                        b.subspan(20, total - 20));
    }
    if (type != 0x86dd || b.size() < 40 || u8(b, 0) >> 4 != 6 || u8(b, 6) != 6) return std::nullopt;
    const size_t size = u16(b, 4);
    if (40 + size > b.size()) return std::nullopt;
    return read_tcp(address_at(b, 8, false), address_at(b, 24, false), b.subspan(40, size));
}

std::string to_string(const Segment& s) {
    std::string text = to_string(s.from) + " > " + to_string(s.to) + " ";
    constexpr std::pair<uint8_t, char> kNames[] = {{Segment::kSyn, 'S'},
                                                   {Segment::kFin, 'F'},
                                                   {Segment::kRst, 'R'},
                                                   {Segment::kPsh, 'P'},
                                                   {Segment::kAck, '.'}};
    for (const auto& [flag, name] : kNames)
        if (s.has(flag)) text += name;
    text += " seq " + std::to_string(s.seq) + " ack " + std::to_string(s.ack) + " win " +
            std::to_string(s.window);
    return s.data.empty() ? text : text + " len " + std::to_string(s.data.size());
}

}  // namespace holdfast::simulation
