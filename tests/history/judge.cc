#include "tests/history/judge.h"

#include <algorithm>
#include <tuple>

#include "tests/history/checksum.h"

namespace holdfast::history {
namespace {

using Trouble = std::optional<std::string>;
constexpr Side kSides[] = {Side::client, Side::server};

std::string number(uint64_t n) { return std::to_string(n); }

// How many octets two streams have in common before they differ or one ends.
size_t common(Bytes one, Bytes two) {
    const size_t n = std::min(one.size(), two.size());
    if (n == 0 || std::memcmp(one.data(), two.data(), n) == 0) return n;
    return static_cast<size_t>(std::ranges::mismatch(one.first(n), two.first(n)).in1 - one.begin());
}

// How much of a stream was sent, arrived and was acknowledged, and where it ended.
Trouble compare_extent(const Stream& sent, const Stream& arrived) {
    if (arrived.end() > sent.end())
        return number(arrived.end()) + " octets arrived, " + number(sent.end()) + " were sent";
    if (arrived.fin() && (!sent.fin() || *sent.fin() != *arrived.fin()))
        return "ended after " + number(*arrived.fin()) + " octets where it arrived, " +
               (sent.fin() ? "after " + number(*sent.fin()) : "but not") + " where it was sent";
    if (sent.acked() > arrived.acked())
        return number(sent.acked()) + " octets were acknowledged to who sent them, " +
               number(arrived.acked()) + " by who got them";
    if (sent.fin_acked() && !arrived.fin_acked())
        return "its end was acknowledged to who sent it, and not by who got it";
    return std::nullopt;
}

std::optional<Difference> compare_streams(const Stream& sent, const Stream& arrived) {
    const size_t same = common(sent.whole(), arrived.whole());
    if (same < std::min(sent.whole().size(), arrived.whole().size()))
        return Difference{"octet " + number(same) + " arrived as another", true};
    if (const Trouble t = compare_extent(sent, arrived)) return Difference{*t};
    return std::nullopt;
}

const char* name(Side side) {
    return side == Side::client ? "client's stream" : "backend's stream";
}

// What one end alone shows. Gaps are somebody else's where the capture missed frames.
Trouble consistent(const Connection& c, bool missed) {
    for (const Side side : kSides) {
        const Stream& s = c.of(side);
        if (const Trouble t = s.contradiction()) return std::string(name(side)) + ": " + *t;
        if (!missed && s.gap())
            return std::string(name(side)) + ": " + number(s.acked()) +
                   " octets were acknowledged, of which only the first " +
                   number(s.whole().size()) + " were ever there";
    }
    return std::nullopt;
}

// Streams that ended, as a key: equal ones may stand for each other.
using Key = std::tuple<uint64_t, uint64_t, uint64_t, uint64_t>;
Key key_of(const Connection& c) {
    const Bytes up = c.of(Side::client).whole(), down = c.of(Side::server).whole();
    return {up.size(), checksum(up), down.size(), checksum(down)};
}

class Matcher {
public:
    Matcher(const End& clients, const End& backends, Between between)
        : clients_(clients.history.connections()),
          backends_(backends.history.connections()),
          between_(between),
          partner_(clients_.size(), kNone),
          taken_(backends_.size(), kNone) {}

    static constexpr size_t kNone = SIZE_MAX;

    // The place in the backends' history of each of the clients' connections, or kNone.
    const std::vector<size_t>& match() {
        between_ == Between::forward ? by_numbers() : by_streams();
        return partner_;
    }
    bool taken(size_t backend) const { return taken_[backend] != kNone; }

private:
    void join(size_t client, size_t backend) {
        partner_[client] = backend;
        taken_[backend] = client;
    }

    void by_numbers() {
        std::map<std::pair<uint32_t, uint32_t>, size_t> places;
        for (size_t b = 0; b < backends_.size(); ++b)
            if (backends_[b].used()) places[numbers(backends_[b])] = b;
        for (size_t c = 0; c < clients_.size(); ++c)
            if (const auto found = places.find(numbers(clients_[c]));
                clients_[c].used() && found != places.end() && !taken(found->second))
                join(c, found->second);
    }
    static std::pair<uint32_t, uint32_t> numbers(const Connection& c) {
        return {c.of(Side::client).syn(), c.of(Side::server).syn()};
    }

    // First what is whole and equal, then an augmenting path for each of the rest.
    void by_streams() {
        std::multimap<Key, size_t> places;
        for (size_t b = 0; b < backends_.size(); ++b)
            if (backends_[b].used()) places.emplace(key_of(backends_[b]), b);
        for (size_t c = 0; c < clients_.size(); ++c) {
            if (!clients_[c].used()) continue;
            auto [first, last] = places.equal_range(key_of(clients_[c]));
            for (; first != last; ++first)
                if (fits(c, first->second)) {
                    join(c, first->second);
                    places.erase(first);
                    break;
                }
        }
        for (size_t c = 0; c < clients_.size(); ++c) {
            if (!clients_[c].used() || partner_[c] != kNone) continue;
            std::vector<bool> tried(backends_.size());
            augment(c, tried);
        }
    }
    bool fits(size_t c, size_t b) const {
        return backends_[b].used() && !compare(clients_[c], backends_[b]);
    }
    bool augment(size_t c, std::vector<bool>& tried) {
        for (size_t b = 0; b < backends_.size(); ++b) {
            if (tried[b] || !fits(c, b)) continue;
            tried[b] = true;
            if (taken_[b] != kNone && !augment(taken_[b], tried)) continue;
            join(c, b);
            return true;
        }
        return false;
    }

    const std::vector<Connection>&clients_, &backends_;
    Between between_;
    std::vector<size_t> partner_, taken_;
};

// Of one without a partner: the connection at the other end that it resembles longest, and what
// is wrong with that.
std::string resembles(const Connection& client, const std::vector<Connection>& backends) {
    size_t longest = 0;
    const Connection* best = nullptr;
    for (const Connection& b : backends) {
        size_t alike = 0;
        for (const Side side : kSides) alike += common(client.of(side).whole(), b.of(side).whole());
        if (alike > longest) longest = alike, best = &b;
    }
    if (best == nullptr) return "nothing like it";
    const auto difference = compare(client, *best);
    return "nearest is " + to_string(*best) + ", but " +
           (difference ? difference->what : "that is another's");
}

void count(Judgement& j, const Connection& c) {
    ++j.judged;
    j.ended += c.ended();
    j.reset += !c.ended() && (c.was_reset(Side::client) || c.was_reset(Side::server));
    for (const Side side : kSides) j.octets += c.of(side).whole().size();
}

void judge_ends(const End& end, const char* where, Judgement& j, bool counts) {
    for (const Connection& c : end.history.connections()) {
        if (const Trouble t = consistent(c, end.missed > 0))
            j.wrong.push_back(to_string(c) + " at the " + where + ": " + *t);
        if (!counts || !c.used()) continue;
        ++j.connections;
        if (!c.gap()) count(j, c);
    }
    j.connections += end.history.strangers();
}

void judge_pairs(const End& clients, const End& backends, Between between, Judgement& j) {
    Matcher matcher(clients, backends, between);
    const auto& partner = matcher.match();
    const auto& at_clients = clients.history.connections();
    const auto& at_backends = backends.history.connections();
    const bool missed = clients.missed + backends.missed > 0;
    for (size_t i = 0; i < at_clients.size(); ++i) {
        const Connection& c = at_clients[i];
        if (!c.used()) continue;
        ++j.connections;
        if (partner[i] == Matcher::kNone) {
            if (!missed)
                j.wrong.push_back(to_string(c) + ": no backend had this connection; " +
                                  resembles(c, at_backends));
            continue;
        }
        const Connection& b = at_backends[partner[i]];
        const auto difference = compare(c, b);
        if (difference && (difference->octets || !missed))
            j.wrong.push_back(to_string(c) + " and " + to_string(b) + ": " + difference->what);
        if (!difference && !c.gap() && !b.gap()) count(j, c);
    }
    for (size_t i = 0; i < at_backends.size(); ++i) {
        const Connection& b = at_backends[i];
        if (!b.used() || matcher.taken(i)) continue;
        ++j.connections;
        if (!missed) j.wrong.push_back(to_string(b) + ": no client had this connection");
    }
}

}  // namespace

std::optional<Difference> compare(const Connection& at_client, const Connection& at_backend) {
    for (const Side side : kSides) {
        const Connection& from = side == Side::client ? at_client : at_backend;
        const Connection& to = side == Side::client ? at_backend : at_client;
        if (auto d = compare_streams(from.of(side), to.of(side)))
            return Difference{std::string(name(side)) + ": " + d->what, d->octets};
        if (to.was_broken(side) && !from.was_reset(side))
            return Difference{std::string(side == Side::client ? "the backend" : "the client") +
                              " was reset, and not by the other end"};
    }
    return std::nullopt;
}

Judgement judge(const End& clients, const End& backends, Between between) {
    Judgement j;
    const bool alone = between == Between::tls;
    judge_ends(clients, "client", j, alone);
    judge_ends(backends, "backend", j, alone);
    if (!alone) judge_pairs(clients, backends, between, j);
    // Without a frame of its own, a connection at one end and what remains of it at the other.
    const uint64_t missed = clients.missed + backends.missed;
    if (missed > 0 && j.connections - j.judged > 2 * missed)
        j.wrong.push_back(number(missed) + " missed frames do not explain why " +
                          number(j.connections - j.judged) + " connections cannot be judged");
    return j;
}

}  // namespace holdfast::history
