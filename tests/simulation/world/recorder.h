// What happened, for people: a line for each event, and the frames as a file that Wireshark opens.
#pragma once

#include <fstream>
#include <string>

#include "base/bytes.h"
#include "base/time.h"

namespace holdfast::simulation {

class Recorder {
public:
    // TRACE.txt and TRACE.pcap (the format of libpcap, nanoseconds, Ethernet).
    explicit Recorder(const std::string& path);
    bool ok() const { return text_.good() && pcap_.good(); }

    void say(Instant now, const std::string& line);
    void frame(Instant now, Bytes octets);

private:
    std::ofstream text_, pcap_;
};

}  // namespace holdfast::simulation
