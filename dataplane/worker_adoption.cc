// A worker's group comes and goes: what was kept is taken in, what is gone is counted.
#include "dataplane/worker.h"

namespace holdfast {
namespace {

// A flow that is reset later than this after an adoption was not lost by it. Longer than an
// interrupted client's first retransmissions (RFC 6298 doubles from 1 s).
constexpr Duration kLossWindow = Duration::seconds(60);
constexpr size_t kMaxLostFlows = 65'536;
// A cursor of settle(): what waited is carried on, orphans are counted.
constexpr uint32_t kOrphans = 1u << 31;
// A cursor of republish(): live sessions are through, those that clients may resume come next.
constexpr uint32_t kSessionsDone = ReplicatorEvents::kNoMoreSessions - 1;

}  // namespace

AdoptionReport* Worker::running_report(GroupId group) {
    for (size_t i = adoptions_.size(); i-- > 0;)
        if (adoptions_[i].group == group) return &adoptions_[i];
    return nullptr;
}

void Worker::on_acquired(GroupId group, Epoch epoch, NodeId previous, Instant now) {
    finish_dropping(now);
    if (adoptions_.size() == kMaxReports) adoptions_.erase(adoptions_.begin());
    AdoptionReport report;
    report.group = group;
    report.epoch = epoch;
    report.previous = previous;
    report.last_heard = replicator_.membership().heard_holder(group);
    report.acquired = now;
    adoptions_.push_back(report);
    awaiting_first_[group.value] = true;
    lost_[group.value].clear();
    last_transmit_ok_[group.value] = now;
    was_confirmed_[group.value] = false;
    nudge_.begin(group, now);
    forwarder_.set_group(group, {.active = true, .epoch = epoch, .gathering = true});
    if (!options_.follows) forwarder_.announce(group, now);
    if (resumption_) resumption_->set_complete(group, false);
    publish_held(group, true);
}

void Worker::publish_held(GroupId group, bool held) {
    if (!options_.held) return;
    const auto bit = static_cast<uint16_t>(1u << group.value);
    held ? options_.held->fetch_or(bit) : options_.held->fetch_and(static_cast<uint16_t>(~bit));
}

void Worker::on_lost(GroupId group, Instant) {
    forwarder_.set_group(group, {.active = false, .epoch = replicator_.membership().epoch(group)});
    parking_.forget(group);
    nudge_.forget(group);
    may_transmit_[group.value] = false;
    dropping_[group.value] = true;
    if (resumption_) resumption_->set_complete(group, false);
    publish_held(group, false);
}

void Worker::on_fragment(NodeId from, const Fragment& fragment, Instant now) {
    AdoptionReport* report = running_report(fragment.group);
    if (report) ++report->fragments[from.value];
    if (fragment.id.kind == FragmentKind::alias) {
        const auto session = read_alias(fragment);
        if (!session || parking_.size() == 0) return;
        const auto flow = parse_session_key(*session);
        if (!forwarder_.sessions().find_client(flow->source, flow->destination))
            replicator_.pull(fragment.group, *session, FragmentKind::header, now);
        return;
    }
    if (fragment.id.kind == FragmentKind::resumable) {
        if (!resumption_) return;
        if (const auto id = resumption_->take(fragment, now)) relay_->on_resumable(&*id);
        return;
    }
    const auto restored = takeover_.take(fragment, now);
    if (fragment.id.kind == FragmentKind::stream) return;
    if (const SessionIndex index = takeover_.find(fragment.id.session)) nudge_.consider(index, now);
    if (!restored) return;
    if (report) ++report->sessions;
    resume_flows_of(*restored, now);
}

// First what waited for all, then what cannot be carried on.
uint32_t Worker::settle(GroupId group, uint32_t cursor, unsigned budget, Instant now) {
    const uint32_t end = replicator_.store().end();
    if (!(cursor & kOrphans)) {
        size_t restored = 0;
        cursor = relay_ ? takeover_.restore_gathered(group, cursor, budget, restored, now) : end;
        if (AdoptionReport* report = running_report(group)) report->sessions += restored;
        return cursor == end ? kOrphans : cursor;
    }
    cursor = count_orphans(group, cursor & ~kOrphans, budget, now);
    return cursor == end ? kNoMoreSessions : cursor | kOrphans;
}

void Worker::on_gathered(GroupId group, Instant now) {
    if (AdoptionReport* report = running_report(group)) report->gathered = now;
    GroupState state = forwarder_.group(group);
    state.gathering = false;
    forwarder_.set_group(group, state);
    parking_.take([&](GroupId g, const FlowKey&) { return g == group; },
                  [&](Frame& frame) { resume(frame, now); });
}

uint32_t Worker::republish(uint32_t cursor, unsigned budget, Instant now) {
    if (cursor != kSessionsDone) {
        cursor = takeover_.republish(cursor, budget, now);
        if (cursor != kNoMoreSessions || !resumption_) return cursor;
        resumption_->begin_republish();
        return kSessionsDone;
    }
    return resumption_->republish(budget, now) ? kSessionsDone : kNoMoreSessions;
}

// Each lost session once, however many segments of it are still to come and from whichever side.
void Worker::count_lost(GroupId group, const FlowKey& client_side, Instant now) {
    AdoptionReport* report = running_report(group);
    const bool recent =
        report && report->previous != replicator_.self() && now - report->acquired < kLossWindow;
    if (!recent || lost_[group.value].size() >= kMaxLostFlows) return;
    if (!lost_[group.value].insert(client_side).second) return;
    ++report->lost;
    ++counters_.lost_sessions;
}

// An alias whose header nobody had names a session that is lost, whether or not its ends speak
// again.
uint32_t Worker::count_orphans(GroupId group, uint32_t cursor, unsigned budget, Instant now) {
    return replicator_.store().walk(cursor, [&](const Fragment& f) {
        if (budget-- == 0) return false;
        if (f.group != group || f.id.kind != FragmentKind::alias) return true;
        const auto session = read_alias(f);
        const auto flow = session ? parse_session_key(*session) : std::nullopt;
        if (flow && !forwarder_.sessions().find_client(flow->source, flow->destination))
            count_lost(group, *flow, now);
        return true;
    });
}

}  // namespace holdfast
