#include "dataplane/worker.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr uint32_t kDropBatch = 4096;  // sessions of a lost group dropped per deadline

// What a packet in the gate is: bits of GateTag::what.
constexpr uint32_t kToBack = 1;   // leaves by the back port
constexpr uint32_t kCommits = 2;  // its release means that the session's state is held
constexpr uint32_t kReset = 4;    // a reset for a flow that nobody knows
constexpr uint32_t kBackend = 8;  // commits what was agreed with the backend, not the session
// No packet: a TLS session's progress is held. The serial is in the bits above, and whether it was
// all of the session.
constexpr uint32_t kProgress = 16, kWhole = 32, kSerialShift = 8;

Bytes bytes_of(const Frame& frame) { return {frame.data, frame.length}; }

}  // namespace

Worker::Worker(const WorkerOptions& options, Outlet& outlet, RingOutput& ring, Instant now)
    : options_(options),
      outlet_(outlet),
      forwarder_(options.forward, *this, now),
      replicator_(options.replicator, ring, *this),
      resumption_(std::ranges::any_of(options_.forward.services, &Service::terminates_tcp)
                      ? std::make_unique<Resumption>(options_.resumable, options_.forward.services,
                                                     replicator_, siblings(),
                                                     options_.relay.wall_offset)
                      : nullptr),
      relay_(resumption_
                 ? std::make_unique<Relay>(relay_options(), options_.forward.services, forwarder_,
                                           static_cast<RelayEvents&>(*this), now)
                 : nullptr),
      takeover_(options_.forward.services, forwarder_, relay_.get(), replicator_,
                options_.relay.wall_offset),
      parking_(options.parked_frames),
      nudge_(options_.forward.services, forwarder_),
      next_progress_(now) {
    CHECK(options.replicator.membership.follower == (options.follows != nullptr));
    adoptions_.reserve(kMaxReports);
    replicator_.start(now);
}

RelayOptions Worker::relay_options() const {
    RelayOptions options = options_.relay;
    options.sessions = resumption_.get();
    return options;
}

// ---- Frames
// ------------------------------------------------------------------------------------------------

void Worker::on_burst(std::span<Frame> frames, std::span<Disposition> out, Instant now) {
    refresh_groups(now);
    forwarder_.prefetch(frames);
    for (size_t i = 0; i < frames.size(); ++i) out[i] = handle(frames[i], now);
}

Disposition Worker::handle(Frame& frame, Instant now) {
    const Step step = forwarder_.on_frame(frame, now, outlet_);
    switch (step.verdict) {
        case Step::Verdict::transmit:
            return pass(frame, step, now);
        case Step::Verdict::gate:
            gate(frame, step, now);
            break;
        case Step::Verdict::unknown:
            meet_unknown(frame, step, now);
            break;
        case Step::Verdict::relay:
            relay(frame, step, now);
            break;
        case Step::Verdict::drop:
        case Step::Verdict::consumed:
            break;
    }
    return Disposition::drop;
}

// An established session's packet changes nothing that must be committed and passes straight
// through, as long as our epoch was confirmed lately.
Disposition Worker::pass(const Frame& frame, const Step& step, Instant now) {
    if (step.header_changed) takeover_.publish_header(step.session, now);
    // A full gate pushes back: no new connection is begun whose SYN-ACK would find no room.
    if (step.created && replicator_.gate().room() == 0) [[unlikely]] {
        ++counters_.pushed_back;
        forwarder_.drop(step.session, now);
        return Disposition::drop;
    }
    const uint32_t what = step.out == Side::back ? kToBack : 0;
    if (!may_transmit_[step.group.value]) [[unlikely]] {
        ++counters_.held_silent;
        GateNeed need;
        need.group = step.group;
        replicator_.hold(need, {step.session.packed(), what}, bytes_of(frame), now);
        return Disposition::drop;
    }
    if (awaiting_first_[step.group.value]) [[unlikely]] {
        awaiting_first_[step.group.value] = false;
        if (AdoptionReport* r = running_report(step.group)) r->first_packet = now;
    }
    if (nudge_.waiting()) [[unlikely]]
        nudge_.on_pass(step, bytes_of(frame), outlet_);
    return step.out == Side::back ? Disposition::transmit_back : Disposition::transmit_front;
}

// The SYN-ACK reveals the session to the client: header and alias must be held first (I2).
void Worker::gate(const Frame& frame, const Step& step, Instant now) {
    commit(step.session, kCommits | (step.out == Side::back ? kToBack : 0), bytes_of(frame), now);
}

// Publishes the session; the frame leaves once its owners have it. False: the gate is full.
bool Worker::commit(SessionIndex index, uint32_t what, Bytes frame, Instant now) {
    const Published p = takeover_.publish(index, now);
    const Session& s = *forwarder_.sessions().get(index);
    GateNeed need;
    need.group = s.group;
    need.commit =
        relay_ && relay_->tls(index) ? Commit::all : options_.forward.services[s.service].commit;
    need.position = p.position;
    need.owners = p.owners;
    need.also = p.also;
    // Not only the owners: enough members must confirm our epoch after this, or an adopter's quorum
    // that the owners are no part of could have been there first (I4).
    need.confirmed_after = now;
    const GateTag tag{index.packed(), what};
    if (need.commit == Commit::none && may_transmit_[s.group.value]) {
        on_release(tag, frame, now);
        return true;
    }
    return replicator_.hold(need, tag, frame, now);
}

// ---- Sessions whose TCP terminates here
// ---------------------------------------------------------------------------

bool Worker::on_relay_frame(SessionIndex index, Direction towards, Bytes frame, Reveals reveals,
                            Instant now) {
    const Session& s = *forwarder_.sessions().get(index);
    const uint32_t to = towards == Direction::from_backend ? kToBack : 0;
    GateNeed need;
    need.group = s.group;
    switch (reveals) {
        case Reveals::session:
            return commit(index, kCommits | to, frame, now);
        case Reveals::backend:
            return commit(index, kCommits | kBackend | to, frame, now);
        case Reveals::end:
            need.confirmed_after = now;
            return replicator_.hold(need, {0, to}, frame, now);
        case Reveals::nothing:
            break;
    }
    if (!may_transmit_[s.group.value]) [[unlikely]] {
        ++counters_.held_silent;
        return replicator_.hold(need, {index.packed(), to}, frame, now);
    }
    if (awaiting_first_[s.group.value]) [[unlikely]] {
        awaiting_first_[s.group.value] = false;
        if (AdoptionReport* r = running_report(s.group)) r->first_packet = now;
    }
    outlet_.transmit(to == kToBack ? Side::back : Side::front, frame);
    return true;
}

// All owners, whatever the service asks for otherwise: a record number that is not known for sure
// ends the session (I3).
bool Worker::on_relay_commit(SessionIndex index, uint8_t serial, bool first, Instant now) {
    if (replicator_.gate().room() == 0) return false;
    const Published p = takeover_.publish_tls(index, first, now);
    GateNeed need;
    need.group = forwarder_.sessions().get(index)->group;
    need.position = p.position;
    need.owners = p.owners;
    if (first) need.confirmed_after = now;
    const uint32_t what = kProgress | (first ? kWhole : 0) | uint32_t{serial} << kSerialShift;
    return replicator_.hold(need, {index.packed(), what}, {}, now);
}

void Worker::on_relay_changed(SessionIndex index, Instant now) {
    takeover_.publish_header(index, now);
}

void Worker::on_release(GateTag tag, Bytes packet, Instant now) {
    if (tag.what & kProgress) {
        if (Session* s = forwarder_.sessions().get(SessionIndex::from_packed(tag.id)))
            s->set(Session::kCommitted);
        relay_->on_held(SessionIndex::from_packed(tag.id),
                        static_cast<uint8_t>(tag.what >> kSerialShift));
        return;
    }
    if (tag.what & kCommits) {
        Session* s = forwarder_.sessions().get(SessionIndex::from_packed(tag.id));
        if (!s) {
            ++counters_.unknown_in_gate;
            return;
        }
        s->set(Session::kCommitted);
        if (AdoptionReport* r = running_report(s->group); r && !r->first_packet)
            r->first_packet = now;
    }
    if (tag.what & kReset) ++counters_.resets;
    outlet_.transmit(tag.what & kToBack ? Side::back : Side::front, packet);
    if (relay_ && (tag.what & kCommits))
        relay_->on_committed(SessionIndex::from_packed(tag.id),
                             tag.what & kBackend ? Reveals::backend : Reveals::session);
}

void Worker::renew(GateTag tag, GateNeed& need, Instant now) {
    const SessionIndex index = SessionIndex::from_packed(tag.id);
    if (!forwarder_.sessions().get(index)) return;
    const bool progress = (tag.what & kProgress) && relay_->tls(index);
    const Published p = progress ? takeover_.publish_tls(index, tag.what & kWhole, now)
                                 : takeover_.publish(index, now);
    need.position = p.position;
    need.owners = p.owners;
    need.also = p.also;
}

// ---- Segments of sessions we do not have
// -------------------------------------------------------------------

void Worker::meet_unknown(const Frame& frame, const Step& step, Instant now) {
    if (!replicator_.gathering(step.group)) {
        if (!accept_cookie(frame, step, now)) send_reset(frame, step, now);
        return;
    }
    // What begins must not crowd out what lives.
    if (step.begins && parking_.is_half_full()) return void(++counters_.pushed_back);
    const auto parked = parking_.park(frame, step.group, step.key);
    if (parked == ParkingLot::Result::first_of_its_flow && !step.begins) ask_for(step, now);
}

void Worker::ask_for(const Step& step, Instant now) {
    if (step.direction == Direction::from_client) {
        replicator_.pull(step.group, session_key(step.key), FragmentKind::header, now);
    } else {
        replicator_.pull(step.group, alias_key(step.key), FragmentKind::alias, now);
    }
}

// Nobody has the session: its end is told so, under an epoch confirmed after we found that out
// (I4).
void Worker::send_reset(const Frame& frame, const Step& step, Instant now) {
    std::array<std::byte, 128> buffer;
    const size_t size = forwarder_.make_reset(bytes_of(frame), buffer);
    if (size == 0) return;
    if (step.direction == Direction::from_client) count_lost(step.group, step.key, now);
    GateNeed need;
    need.group = step.group;
    need.confirmed_after = now;
    const uint32_t what = kReset | (step.direction == Direction::from_backend ? kToBack : 0);
    replicator_.hold(need, {0, what}, Bytes(buffer).first(size), now);
}

void Worker::resume(Frame& frame, Instant now) {
    switch (handle(frame, now)) {
        case Disposition::transmit_front:
            outlet_.transmit(Side::front, bytes_of(frame));
            break;
        case Disposition::transmit_back:
            outlet_.transmit(Side::back, bytes_of(frame));
            break;
        case Disposition::drop:
            break;
    }
}

void Worker::resume_flows_of(SessionIndex index, Instant now) {
    if (parking_.size() == 0) return;
    const Session& s = *forwarder_.sessions().get(index);
    const FlowKey client = client_key(s), backend = backend_key(s);
    parking_.take([&](GroupId, const FlowKey& key) { return key == client || key == backend; },
                  [&](Frame& frame) { resume(frame, now); });
}

// ---- Groups
// ------------------------------------------------------------------------------------------------

// Whether each group may transmit is asked once a burst. A holder that nobody confirms holds
// packets for a while and then falls silent altogether. It says no longer where its addresses are
// from the first moment, for by the end of that while another may have them (I6); who has just won
// them need not wait.
void Worker::refresh_groups(Instant now) {
    const Membership& m = replicator_.membership();
    for (const Group& g : options_.forward.groups) {
        const uint8_t i = g.id.value;
        if (m.role(g.id) != Role::holder) continue;
        may_transmit_[i] = m.may_transmit(g.id, now);
        if (may_transmit_[i]) last_transmit_ok_[i] = now;
        const bool silent = now - last_transmit_ok_[i] > m.silence_bound();
        was_confirmed_[i] |= may_transmit_[i];
        const bool confirmed = may_transmit_[i] || !was_confirmed_[i];
        GroupState state = forwarder_.group(g.id);
        if (state.active == !silent && state.confirmed == confirmed) continue;
        counters_.silenced += state.active && silent;
        state.active = !silent;
        state.confirmed = confirmed;
        forwarder_.set_group(g.id, state);
    }
}

void Worker::finish_dropping(Instant now) {
    for (uint8_t g = 0; g < kMaxGroups; ++g)
        while (dropping_[g]) dropping_[g] = !forwarder_.drop_group({g}, kDropBatch, now);
}

void Worker::on_session_closed(SessionIndex index, const Session& session, CloseReason reason,
                               Instant now) {
    const bool tell = reason == CloseReason::idle || reason == CloseReason::expired;
    takeover_.forget_attributes(index.slot);
    if (replicator_.membership().role(session.group) == Role::holder)
        takeover_.publish_end(index, session, now);
    if (relay_) relay_->on_closed(index, tell, now);
}

// ---- Time
// --------------------------------------------------------------------------------------------------

void Worker::on_burst_end(Instant now) {
    if (relay_) relay_->on_burst_end(now);
    replicator_.on_burst_end(now);
}

Instant Worker::next_deadline() const {
    Instant next = earlier(forwarder_.next_deadline(), replicator_.next_deadline());
    if (forwarder_.dirty() > 0) next = earlier(next, next_progress_);
    if (nudge_.queued()) next = earlier(next, next_nudge_);
    if (relay_) next = earlier(next, relay_->next_deadline());
    return next;
}

void Worker::on_deadline(Instant now) {
    if (options_.follows) replicator_.follow(options_.follows->load(std::memory_order_relaxed));
    refresh_groups(now);
    forwarder_.on_deadline(now, outlet_);
    for (uint8_t g = 0; g < kMaxGroups; ++g)
        if (dropping_[g]) dropping_[g] = !forwarder_.drop_group({g}, kDropBatch, now);
    if (relay_) relay_->on_deadline(now);
    if (resumption_) resumption_->on_deadline(now);
    step_nudge(now);
    if (now >= next_progress_) {
        next_progress_ = now + options_.progress_interval;
        takeover_.publish_progress(options_.progress_batch, now);
    }
    replicator_.on_deadline(now);
}

void Worker::step_nudge(Instant now) {
    if (!nudge_.waiting()) return;
    nudge_.step(
        now, options_.nudge_batch, [&](GroupId g) { return may_transmit_[g.value]; }, outlet_);
    next_nudge_ = now + Duration::milliseconds(1);
}

void Worker::on_stall(Duration gap, Instant now) {
    may_transmit_ = {};
    replicator_.on_stall(gap, now);
}

bool Worker::set_attribute(SessionIndex index, const std::string& name, const std::string& value,
                           Instant now) {
    const bool set = takeover_.set_attribute(index, name, value, now);
    replicator_.on_burst_end(now);
    return set;
}

}  // namespace holdfast
