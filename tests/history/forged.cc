#include "tests/history/forged.h"

#include "base/random.h"

namespace holdfast::history::testing {
namespace {

void put(File& to, std::initializer_list<unsigned> octets) {
    for (const unsigned o : octets) to.push_back(static_cast<std::byte>(o));
}
void put16(File& to, size_t value) {
    put(to, {static_cast<unsigned>(value >> 8 & 255), static_cast<unsigned>(value & 255)});
}
void put32(File& to, uint32_t value) {
    put16(to, value >> 16);
    put16(to, value & 0xffff);
}
void put_le32(File& to, uint32_t value) {
    for (int i = 0; i < 4; ++i) put(to, {value >> i * 8 & 255});
}

bool is_v4(const Socket& s) { return s.address[10] == 0xff; }
Bytes address(const Socket& s) {
    const Bytes all = std::as_bytes(std::span(s.address));
    return is_v4(s) ? all.subspan(12) : all;
}
void append(File& to, Bytes octets) { to.insert(to.end(), octets.begin(), octets.end()); }

uint16_t checksum16(Bytes octets) {
    uint32_t sum = 0;
    for (size_t i = 0; i < octets.size(); ++i)
        sum += static_cast<uint32_t>(octets[i]) << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

File tcp_of(const Socket& from, const Socket& to, const Segment& s, std::string_view octets) {
    File tcp;
    put16(tcp, from.port);
    put16(tcp, to.port);
    put32(tcp, s.sequence);
    put32(tcp, s.acknowledgement);
    put(tcp, {0x50, s.flags, 0xff, 0xff, 0, 0, 0, 0});
    append(tcp, std::as_bytes(std::span(octets)));
    File summed;
    append(summed, address(from));
    append(summed, address(to));
    put32(summed, static_cast<uint32_t>(tcp.size()));
    put32(summed, 6);
    append(summed, tcp);
    store_be(tcp.data() + 16, checksum16(summed));
    return tcp;
}

File packet_of(const Socket& from, const Socket& to, Bytes tcp) {
    File ip;
    if (is_v4(from)) {
        put(ip, {0x45, 0});
        put16(ip, 20 + tcp.size());
        put(ip, {0, 0, 0x40, 0, 64, 6, 0, 0});
    } else {
        put32(ip, 6u << 28);
        put16(ip, tcp.size());
        put(ip, {6, 64});
    }
    append(ip, address(from));
    append(ip, address(to));
    if (is_v4(from)) store_be(ip.data() + 10, checksum16(ip));
    append(ip, tcp);
    return ip;
}

}  // namespace

Socket v4(uint8_t host, uint16_t port) {
    return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, host}, port};
}
Socket v6(uint8_t host, uint16_t port) {
    return {{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host}, port};
}

Tape::Tape() {
    for (const uint32_t word : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 262'144u, 1u})
        put_le32(file, word);
}

void Tape::add(const Socket& from, const Socket& to, Segment segment, std::string_view octets) {
    last_ = file.size();
    const File packet = packet_of(from, to, tcp_of(from, to, segment, octets));
    const auto size = static_cast<uint32_t>(14 + packet.size());
    for (const uint32_t word : {1u, 2u, size, size}) put_le32(file, word);
    for (int i = 0; i < 12; ++i) put(file, {2});
    put16(file, is_v4(from) ? 0x0800 : 0x86dd);
    append(file, packet);
}

void Tape::damage_last() { file.back() ^= std::byte{1}; }

void Tape::cut_last() {
    file.pop_back();
    const auto kept = static_cast<uint32_t>(file.size() - last_ - 16);
    std::memcpy(file.data() + last_ + 8, &kept, 4);
}

void End::segment(Side by, uint8_t flags, uint32_t offset, std::string_view octets) {
    const auto i = static_cast<size_t>(by), j = 1 - i;
    Segment s;
    s.sequence = syn_[i] + 1 + offset;
    s.acknowledgement = syn_[j] + 1 + heard_[i];
    s.flags = flags;
    tape_.add(sockets_[i], sockets_[j], s, octets);
}

void End::hello() {
    segment(Side::client, kSyn, static_cast<uint32_t>(-1));
    segment(Side::server, kSyn | kAck, static_cast<uint32_t>(-1));
    segment(Side::client, kAck, 0);
}

void End::octets(Side by, uint32_t offset, std::string_view octets) {
    segment(by, kAck, offset, octets);
}

void End::acknowledged(Side by, uint32_t offset) {
    heard_[static_cast<size_t>(other(by))] = offset;
    segment(other(by), kAck, 0);
}

void End::fin(Side by, uint32_t offset) { segment(by, kFin | kAck, offset); }
void End::reset(Side by, uint32_t offset) { segment(by, kRst, offset); }

std::string text(size_t size, unsigned seed) {
    Random random(seed);
    std::string s(size, ' ');
    for (char& c : s) c = static_cast<char>('a' + random.below(26));
    return s;
}

}  // namespace holdfast::history::testing
