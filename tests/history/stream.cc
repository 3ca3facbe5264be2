#include "tests/history/stream.h"

#include <algorithm>

namespace holdfast::history {
namespace {
// Further ahead than any window in the lab (net.ipv4.tcp_rmem): nobody takes such octets.
constexpr int64_t kFarAhead = 64 << 20;
}  // namespace

void Stream::begin(uint32_t syn) {
    *this = {};
    begun_ = true;
    syn_ = syn;
}

void Stream::on_octets(uint32_t sequence, Bytes octets) {
    int64_t at = offset(sequence);
    if (!begun_ || octets.empty() || at > static_cast<int64_t>(end()) + kFarAhead) return;
    // A question of where the receiver is: one octet it has had long since, and may be any
    // (RFC 9293 section 3.8.4).
    if (octets.size() == 1 && at < static_cast<int64_t>(acked())) return;
    if (at < 0) {
        octets = octets.subspan(std::min<size_t>(octets.size(), static_cast<size_t>(-at)));
        at = 0;
    }
    const auto from = static_cast<uint64_t>(at), to = from + octets.size();
    if (from < octets_.size()) compare(from, octets);
    if (to > octets_.size()) octets_.resize(to);
    // What was known stays: `compare` has told where it differs.
    const auto put = [&](uint64_t first, uint64_t last) {
        if (first < last)
            std::memcpy(octets_.data() + first, octets.data() + (first - from), last - first);
    };
    uint64_t next = std::max(from, whole_);
    for (const auto& [first, last] : islands_) {
        if (last <= next || first >= to) continue;
        put(next, std::min(first, to));
        next = last;
    }
    put(next, to);
    note_known(from, to);
}

void Stream::compare(uint64_t at, Bytes octets) {
    const auto one = [&](uint64_t first, uint64_t last) {
        first = std::max(first, at), last = std::min(last, at + octets.size());
        if (first >= last) return;
        repeated_ += last - first;
        for (uint64_t i = first; i < last && !changed_; ++i)
            if (octets_[i] != octets[i - at]) changed_ = i;
    };
    one(0, whole_);
    for (const auto& [first, last] : islands_) one(first, last);
}

void Stream::note_known(uint64_t from, uint64_t to) {
    if (from <= whole_) {
        whole_ = std::max(whole_, to);
    } else {
        uint64_t& last = islands_[from];
        last = std::max(last, to);
    }
    while (!islands_.empty() && islands_.begin()->first <= whole_) {
        whole_ = std::max(whole_, islands_.begin()->second);
        islands_.erase(islands_.begin());
    }
}

void Stream::on_fin(uint32_t sequence) {
    const int64_t at = offset(sequence);
    if (!begun_ || at < 0) return;
    const auto place = static_cast<uint64_t>(at);
    if (fin_ && *fin_ != place && !other_fin_) other_fin_ = place;
    if (!fin_) fin_ = place;
}

void Stream::on_acknowledgement(uint32_t acknowledgement) {
    const int64_t at = offset(acknowledgement);
    if (begun_ && at > 0) acked_ = std::max(acked_, static_cast<uint64_t>(at));
}

bool Stream::obeyed(uint32_t reset) const {
    const int64_t at = offset(reset);
    return begun_ && at >= static_cast<int64_t>(acked()) &&
           at <= static_cast<int64_t>(whole_) + (fin_ ? 1 : 0);
}

uint64_t Stream::acked() const { return fin_acked() && acked_ == *fin_ + 1 ? *fin_ : acked_; }

std::optional<std::string> Stream::contradiction() const {
    const auto number = [](uint64_t n) { return std::to_string(n); };
    if (changed_) return "octet " + number(*changed_) + " came again as another";
    if (other_fin_)
        return "ended after " + number(*fin_) + " octets, and after " + number(*other_fin_);
    if (fin_ && end() > *fin_)
        return "ended after " + number(*fin_) + " octets, and went on to " + number(end());
    return std::nullopt;
}

}  // namespace holdfast::history
