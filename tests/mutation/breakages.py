"""Deliberate breakages: each takes one mechanism out of the product, and something must notice.

`old` (or each of several) must stand in the file exactly once, so that no breakage outlives what it breaks. Caught by seeds
of the simulation or, where worlds cannot tell, by the model or a unit test.
"""
from dataclasses import dataclass

MEMBERSHIP = "replication/membership/membership.cc"
REPLICATOR = "replication/replicator.cc"
RELAY_WRITE = "dataplane/relay/tls_stream_write.cc"


@dataclass(frozen=True)
class Breakage:
    name: str
    what: str
    file: str
    old: str | tuple
    new: str | tuple
    # What notices it: the first seeds of the simulation, or
    trace: bool = False  # the model, which the cluster must follow (tests/model/trace.py), or
    test: str = ""       # the executable of a unit test, and
    case: str = ""       # which of its cases

    def apply(self, text):
        pairs = [(self.old, self.new)] if isinstance(self.old, str) else zip(self.old, self.new, strict=True)
        for old, new in pairs:
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: {self.file} has {text.count(old)} times, not once: {old.strip()!r}")
            text = text.replace(old, new)
        return text


BREAKAGES = [
    Breakage("no-gate", "nothing waits for the owners", REPLICATOR,
             "if (need.position.value == 0 || need.commit == Commit::none) return true;",
             "return true;"),
    Breakage("one-owner", "one owner is asked instead of all", REPLICATOR,
             "return need.commit == Commit::all ? have == keepers.size() : have > 0;",
             "return have > 0;"),
    Breakage("one-copy", "of what should be kept R times one copy is made", "replication/fragment/placement.cc",
             "for (unsigned i = 0; i < copies_; ++i) {", "for (unsigned i = 0; i < 1; ++i) {"),
    Breakage("joiner-counts", "who follows anew counts before it was told everything", REPLICATOR,
             "if (joining_.has(n)) continue;", ""),
    Breakage("no-renew", "what waits is not published again for a new view", REPLICATOR,
             "if (need.position.value != 0) events_.renew(tag, need, now);", ""),
    Breakage("no-resync", "who comes back is not told what there is", REPLICATOR,
             "resync_cursor_ = events_.republish(resync_cursor_, options_.resync_batch, now);",
             "resync_cursor_ = ReplicatorEvents::kNoMoreSessions;"),
    Breakage("forgetful-voter", "a vote promises nothing", MEMBERSHIP,
             "        g.epoch = adopt.epoch;\n        remember(adopt.group);", "        remember(adopt.group);",
             trace=True),
    Breakage("same-epoch", "an adopter does not raise the epoch", "base/cluster.h",
             "return {(count() + 1) << 24 |", "return {(count() + 0) << 24 |",
             test="replication/replication_tests", case="Membership.*"),
    Breakage("nameless-epochs", "an epoch does not carry its node", "base/cluster.h",
             "(life.value & 0x7ffff) << 5 | candidate.value};", "(life.value & 0) << 5 | (candidate.value & 0)};",
             test="replication/replication_tests", case="Membership.*"),
    Breakage("epochs-last", "a confirmation counts though a newer epoch comes with it", MEMBERSHIP,
             "    for (unsigned g = 0; g < kMaxGroups; ++g)\n        learn_epoch({static_cast<uint8_t>(g)}, body->epochs[g], now);\n    p.confirmed",
             "    p.confirmed"),
    Breakage("no-fence", "a holder that hears of a newer epoch goes on", MEMBERSHIP,
             "    g.epoch = epoch;\n    lose(id, now);", "    g.epoch = epoch;"),
    Breakage("speaks-unconfirmed", "a holder speaks though nobody answers it", MEMBERSHIP,
             "return confirmed != kNever && now - confirmed <= silence_bound();", "return true;"),
    Breakage("lone-vote", "an adopter waits for nobody's vote", MEMBERSHIP,
             "return members.without(votes).size() <= tolerated(members.size(), options_.copies);", "return true;"),
    Breakage("old-incarnation", "a node's former life is believed", "replication/ring/ring_receive.cc",
             "if (head->incarnation < peer->proven) return Refusal(RingDrop::stale_incarnation);", "",
             test="replication/ring/ring_tests", case="Group.AnEarlierIncarnationIsNotBelieved"),
    Breakage("no-repair", "nobody asks for what was lost on the ring", "replication/ring/follow.cc",
             "return body.count > 0;", "return false;"),
    Breakage("gap-ignored", "an acknowledgement jumps over what is missing", "replication/ring/follow.cc",
             ".contiguous = tracker_.contiguous(),", ".contiguous = tracker_.highest(),"),
    Breakage("nothing-waits", "segments that come during an adoption are reset", "dataplane/worker.cc",
             "if (!replicator_.gathering(step.group)) {", "if (true) {"),
    Breakage("newcomers-first", "connections begin while ports are not known yet", "dataplane/worker_adoption.cc",
             "forwarder_.set_group(group, {.active = true, .epoch = epoch, .gathering = true});",
             "forwarder_.set_group(group, {.active = true, .epoch = epoch, .gathering = false});"),
    Breakage("acks-at-once", "the client's octets are acknowledged before the backend has them", "dataplane/relay/relay.cc",
             "    source.allow_ack(passed);", "    source.allow_ack(source.state().rcv_nxt);",
             test="dataplane/relay_tests", case="*"),
    Breakage("edge-retracts", "the right edge of the window moves back", "dataplane/tcp/transmit.cc",
             "if (ack + units * unit < tcb_.rcv_offered)", "if (false)",
             test="dataplane/tcp/tcp_tests", case="*"),
    Breakage("record-cut-anew", "an adopter cuts a record that was cut before in another place", RELAY_WRITE,
             "    while (sealed_ < cuts_.size()) {",
             "    if (sealed_ == 0 && !cuts_.empty() && cuts_.front().value > 100) cuts_.front().value -= 9;\n"
             "    while (sealed_ < cuts_.size()) {"),
    Breakage("nonce-again", "a key's next record gets the name of the one before", RELAY_WRITE,
             "return {name.generation, name.sequence + 1};", "return {name.generation, name.sequence | 1};"),
    Breakage("in-clear", "the ring's datagrams are not sealed", "replication/ring/seal.cc",
             ("    EVP_CIPHER_CTX* c = contexts_->seal;\n    auto iv = mixed(nonce, salt_);\n    unsigned char* body",
              "    CHECK(to.size() >= size);\n"),
             ("    return;\n    EVP_CIPHER_CTX* c = contexts_->seal;\n    auto iv = mixed(nonce, salt_);\n    unsigned char* body",
              "    CHECK(to.size() >= size);\n    if (size > 0) std::memcpy(to.data(), frame.data() + header_size, size);\n"
              "    out = to.first(size);\n    return true;\n")),
    Breakage("payload-one-turn", "a payload's fragment overwrites the one before", "dataplane/relay/tls_payload.cc",
             "    turn_ ^= 1;\n", "",
             test="dataplane/relay_tests", case="TlsPayload.*"),
    Breakage("fin-forgotten", "an adopter does not know where our stream ended", "dataplane/relay/align.cc",
             "        c.fin_seq = *end;", "        c.fin_seq = *end + 1u;"),
    Breakage("waits-for-ever", "what no node has any more is waited for for ever", "dataplane/relay/tls_stream.cc",
             "    give_up_gaps(client, backend, now);\n", "",
             test="tests/simulation/world/world_tests", case="World.SeedsThatFailedOnceDoNotAgain"),
    Breakage("jumps-are-silence", "a clock that jumped says that nobody was heard", MEMBERSHIP,
             "        if (p.heard != kNever) p.heard = std::min(p.heard + gap, now);\n", "",
             test="replication/replication_tests", case="Membership.*"),
    Breakage("forgets-claims", "a restarted node forgets which holders it knew", MEMBERSHIP,
             "        groups_[g.id.value].claim = options.remembered[g.id.value].claim;\n", "",
             test="replication/replication_tests", case="Membership.*"),
    Breakage("acts-on-part", "a proxied session goes on before all that one owner may know was gathered",
             "dataplane/takeover/takeover.cc", "service.commit == Commit::all : over", "true : over",
             test="tests/simulation/world/world_tests", case="World.SeedsThatFailedOnceDoNotAgain"),
    Breakage("secrets-later", "a backend hears from a TLS client before the owners of its keys know them",
             "dataplane/takeover/takeover.cc",
             "{FragmentKind::credential, FragmentKind::segment})", "{FragmentKind::header, FragmentKind::header})"),
    Breakage("attributes-once", "an adopter does not say again what servers keep with sessions", "dataplane/takeover/takeover.cc",
             "    publish_application(index, now);  // under our epoch: owners drop what is of older ones\n", "",
             test="tests/simulation/world/world_tests", case="World.SeedsThatFailedOnceDoNotAgain"),
]
