#include "tests/simulation/world/recorder.h"

#include <iomanip>

namespace holdfast::simulation {
namespace {

template <typename T>
void put(std::ofstream& to, T value) {
    to.write(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

Recorder::Recorder(const std::string& path)
    : text_(path + ".txt"), pcap_(path + ".pcap", std::ios::binary) {
    put<uint32_t>(pcap_, 0xa1b23c4d);
    put<uint16_t>(pcap_, 2);
    put<uint16_t>(pcap_, 4);
    put<uint64_t>(pcap_, 0);
    put<uint32_t>(pcap_, 65'535);
    put<uint32_t>(pcap_, 1);
}

void Recorder::say(Instant now, const std::string& line) {
    text_ << std::fixed << std::setprecision(6) << Duration{now.ns}.as_seconds() << " " << line
          << "\n";
}

void Recorder::frame(Instant now, Bytes octets) {
    put(pcap_, static_cast<uint32_t>(now.ns / 1'000'000'000));
    put(pcap_, static_cast<uint32_t>(now.ns % 1'000'000'000));
    put(pcap_, static_cast<uint32_t>(octets.size()));
    put(pcap_, static_cast<uint32_t>(octets.size()));
    pcap_.write(reinterpret_cast<const char*>(octets.data()),
                static_cast<std::streamsize>(octets.size()));
}

}  // namespace holdfast::simulation
