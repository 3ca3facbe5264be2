/* How a group's holder commits, and how another adopts it: three nodes, two copies.
 *
 * Searched to the end (tests/model/run.py) for at most ROUNDS attempts to adopt, ITEMS published states, VIEWS changes of
 * a view, SKIPS followers that go on from the newest position, HANDOVERS groups given away and
 * FAULTS deaths:
 *   I2  what is released is kept by every member of the active view that lives
 *   I4  under one epoch one node releases
 *   I5  whoever adopts has everything that was released, then and later
 *
 * The code that each step stands for is named beside it; all of it is in replication/membership/membership.cc and
 * replication/replicator.cc unless said otherwise.
 *
 * Left out, on purpose:
 *   Time. Nobody's suspicion is right or wrong: whoever may adopt may try at any moment, so a pause is a node that does
 *   nothing for a while. What rests on clocks alone (I6, the silence of the isolated) is not proved here.
 *   Sessions. One item stands for all state: a number that grows each time something is published. With three nodes and
 *   two copies each standby in the view is an owner of everything (FragmentPlacement).
 *   Datagrams. A record or a heartbeat is read from its sender's present state, or from what a dead one said last, at
 *   any moment or never. A vote arrives at once or never. Statuses, where it matters what was said before what, travel as
 *   copies that may be late, lost or overwritten.
 *   Probing, which binds nobody. The case that everyone restarted (all_restarted).
 *   A second death before the view has recovered from the first: three nodes outlive any one.
 *
 * Mechanisms to take out, by -D: FORGETFUL, NO_GATE, ACK_FIRST, SKIPPED_COUNTS, NO_RENEW.
 *
 * With -DTRACE the question is another: is there a run of this model in which the nodes' epochs, claims and views change
 * just as they did in a simulated cluster? The file of what was seen there is named by HOLDFAST_TRACE
 * (tests/model/trace.py writes it); the search ends, with an assertion, where the whole of it was followed.
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef ITEMS
#define ITEMS 2
#endif
#ifndef VIEWS
#define VIEWS 2
#endif
#ifndef SKIPS
#define SKIPS 1
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef HANDOVERS
#define HANDOVERS 0
#endif

#define N 3
#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define AT(a, b) ((a) * N + (b))
/* An epoch carries its node in its low bits (Epoch::next). */
#define NEXT(e, n) (((e) / N + 1) * N + (n))
#define GAVE(n) (claim[n].epoch % N) /* who held last, as far as n knows */
#define LAST_EPOCH (N * (2 + ROUNDS))

/* Each mechanism, or what is left without it. */
#ifdef SKIPPED_COUNTS
#define SKIPPER(m) 0
#else
#define SKIPPER(m) BIT(m)
#endif
#ifdef ACK_FIRST
#define EPOCH_FIRST(e) 0
#else
#define EPOCH_FIRST(e) e
#endif
#ifdef FORGETFUL
#define PROMISE(old, new) old
#else
#define PROMISE(old, new) new
#endif
#ifdef NO_RENEW
#define RENEWS false
#else
#define RENEWS true
#endif

typedef Claim {          /* LastClaim: what is known of the last holder and its view */
    byte epoch;
    byte number, members; /* the newest view it announced */
    byte base;            /* and what that changes */
    byte lives            /* members that have not restarted since */
}

typedef Status { bool sent; byte epoch, got, knows }

/* Each node. */
bool up[N], held[N], weak[N]; /* weak: restarted, without what it should keep until it was resynced */
byte epoch[N];                /* highest seen or promised */
byte promised[N];             /* what of it outlives a restart (Membership::remember), as claims do */
bool remembers[N];            /* its claim is of a former life, and its view perhaps an old one */
byte kept[N];                 /* of the item, in its store */
Claim claim[N];
/* As a holder: its state, its views (counting 0: none yet), who joins. */
byte item[N];
byte counting[N], pending[N], base[N], counting_number[N], number[N], joining[N];
byte acked[N * N]; /* by the holder: what a peer has acknowledged */
byte knows[N * N]; /* likewise: which of its views */
/* As a follower of a holder's ring. */
byte got[N * N], seen[N * N];
/* As a candidate. */
byte wanted[N], votes[N];
/* On their way: from, to. */
Status status[N * N];

/* What the properties speak of. */
byte released = 1, last_item = 1, asked, changes, skips, faults, handovers, holder_of[LAST_EPOCH + 1];

inline forget_ring(n) {
    counting[n] = 0;
    pending[n] = 0;
    base[n] = 0;
    counting_number[n] = 0;
    number[n] = 0;
    joining[n] = 0;
    k = 0;
    do
    :: k < N ->
        acked[AT(n, k)] = 0;
        knows[AT(n, k)] = 0;
        got[AT(k, n)] = 0;
        seen[AT(k, n)] = 0;
        status[AT(k, n)].sent = false;
        status[AT(k, n)].epoch = 0;
        status[AT(k, n)].got = 0;
        status[AT(k, n)].knows = 0;
        k++
    :: else -> break
    od;
    k = 0
}
inline lose(n) { /* Membership::lose, Replicator::on_lost */
    wanted[n] = 0;
    votes[n] = 0;
    if
    :: held[n] ->
        held[n] = false;
        item[n] = 0;
        claim[n].number = number[n]; /* record_own_view */
        claim[n].members = pending[n];
        claim[n].base = base[n];
        claim[n].lives = pending[n];
        forget_ring(n)
    :: else
    fi
}

inline learn_epoch(who, newer) {
    if
    :: newer > epoch[who] -> epoch[who] = newer; lose(who)
    :: else
    fi
}

/* Two of the three may be members, so none may be missing: Membership::tolerated is 0. */
#define ENOUGH(set, v) (((set) & ~(v)) == 0)

/* ---- The holder */

inline publish(n) { /* Replicator::publish */
    atomic {
        held[n] && up[n] && last_item < 1 + ITEMS && item[n] == last_item ->
        last_item++;
        item[n] = last_item
    }
}

/* Everything that the view's members must have said before a packet leaves: Replicator::satisfied, held. */
#ifdef NO_GATE
#define ANSWERED(n, m) true
#else
#define ANSWERED(n, m) (!HAS(counting[n], m) || (acked[AT(n, m)] >= item[n] && !HAS(joining[n], m)))
#endif
inline release(n) { /* as soon as it may: Replicator::open_gate */
    if
    :: held[n] && counting_number[n] > 0 && counting[n] != 0 && item[n] > 0 && ANSWERED(n, 0) && ANSWERED(n, 1) &&
           ANSWERED(n, 2) && (holder_of[epoch[n]] != n + 1 || released < item[n]) ->
        /* I4 */
        assert(holder_of[epoch[n]] == 0 || holder_of[epoch[n]] == n + 1);
        holder_of[epoch[n]] = n + 1;
        k = 0;
        do
        :: k < N ->
            /* I2, as long as this epoch lasts; afterwards it is I5 that counts */
            assert(!HAS(counting[n], k) || !up[k] || weak[k] || epoch[k] > epoch[n] || kept[k] >= item[n]);
            /* I5, of who adopted before this left */
            assert(!up[k] || !held[k] || epoch[k] <= epoch[n] || item[k] >= item[n]);
            k++
        :: else -> break
        od;
        k = 0;
        released = (item[n] > released -> item[n] : released)
    :: else
    fi
}

#define KNOWS(n, m) (!HAS(pending[n], m) || knows[AT(n, m)] >= number[n])
/* What waits is published again for who came: Replicator::on_view. */
inline renew(n, m) {
    if
    :: HAS(pending[n], m) && !HAS(counting[n], m) && RENEWS ->
        acked[AT(n, m)] = 0;
        got[AT(m, n)] = 0;
        status[AT(m, n)].got = 0
    :: else
    fi
}
inline activate(n) { /* activate_if_confirmed */
    if
    :: held[n] && counting_number[n] != number[n] && KNOWS(n, 0) && KNOWS(n, 1) && KNOWS(n, 2) ->
        renew(n, 0);
        renew(n, 1);
        renew(n, 2);
        counting[n] = pending[n];
        base[n] = pending[n];
        counting_number[n] = number[n]
    :: else
    fi;
    release(n)
}

/* Members leave, and join once they were resynced: reconsider_view, may_shrink. */
#define MAY_BE_IN(to, n, m) (!HAS(to, m) || HAS(pending[n], m) ||                                           \
    (up[m] && !weak[m] && !HAS(joining[n], m) && acked[AT(n, m)] >= item[n]))
inline change_view(n, to) {
    atomic {
        held[n] && up[n] && changes < VIEWS && to != pending[n] && !HAS(to, n) &&
            ((to & base[n]) == base[n] || (to & base[n]) != 0) &&
            MAY_BE_IN(to, n, 0) && MAY_BE_IN(to, n, 1) && MAY_BE_IN(to, n, 2) ->
        pending[n] = to;
        number[n]++;
        changes++;
        activate(n)
    }
}

/* ---- Between holder n and follower m */

inline record(n, m) { /* Ring, Replicator::on_record; with a resync what was skipped comes too */
    atomic {
        item[n] > 0 && held[n] && up[m] && (got[AT(m, n)] < item[n] || HAS(joining[n], m)) ->
        got[AT(m, n)] = item[n];
        if
        :: epoch[m] <= epoch[n] && !held[m] && kept[m] < item[n] -> kept[m] = item[n]
        :: else
        fi;
        if
        :: HAS(joining[n], m) && kept[m] >= item[n] -> joining[n] = joining[n] & ~BIT(m); weak[m] = false
        :: else
        fi
    }
}
/* A follower that the holder had given up on goes on from where the ring is now: Ring, on_follower. */
inline follow_anew(n, m) {
    atomic {
        skips < SKIPS && held[n] && up[n] && up[m] && !HAS(joining[n], m) && item[n] > 0 && got[AT(m, n)] < item[n] ->
        skips++;
        got[AT(m, n)] = item[n];
        joining[n] = joining[n] | SKIPPER(m)
    }
}
inline heartbeat(n, m) { /* Membership::on_heartbeat, learn_claim */
    atomic {
        held[n] && up[m] && n != m && (seen[AT(m, n)] < number[n] || epoch[m] < epoch[n] ||
            claim[m].epoch < epoch[n]) && epoch[n] >= claim[m].epoch ->
        learn_epoch(m, epoch[n]);
        seen[AT(m, n)] = number[n];
        if
        :: !held[m] ->
            remembers[m] = false;
            if
            :: claim[m].epoch < epoch[n] || claim[m].number < number[n] -> promised[m] = epoch[m]
            :: else
            fi;
            claim[m].epoch = epoch[n];
            claim[m].number = number[n];
            claim[m].members = pending[n];
            claim[m].base = base[n];
            claim[m].lives = pending[n]
        :: else
        fi
    }
}
/* Epochs travel with everything that anybody says: learn_claim, on_vote. */
inline gossip(n, m) {
    atomic {
        up[n] && up[m] && epoch[n] > epoch[m] -> learn_epoch(m, epoch[n])
    }
}
#define SAME_STATUS(m, n) (status[AT(m, n)].sent && status[AT(m, n)].epoch == epoch[m] &&                   \
    status[AT(m, n)].got == got[AT(m, n)] && status[AT(m, n)].knows == seen[AT(m, n)])
#define NEWS(m, n) (epoch[m] > epoch[n] || got[AT(m, n)] > acked[AT(n, m)] || seen[AT(m, n)] > knows[AT(n, m)])
inline say_status(m, n) { /* Membership::status_body, Ring */
    atomic {
        up[m] && held[n] && !SAME_STATUS(m, n) && NEWS(m, n) ->
        status[AT(m, n)].sent = true;
        status[AT(m, n)].epoch = epoch[m];
        status[AT(m, n)].got = got[AT(m, n)];
        status[AT(m, n)].knows = seen[AT(m, n)]
    }
}
inline hear_status(m, n) { /* Membership::on_status: epochs first */
    atomic {
        up[n] && status[AT(m, n)].sent ->
        status[AT(m, n)].sent = false;
        learn_epoch(n, EPOCH_FIRST(status[AT(m, n)].epoch));
        if
        :: held[n] && acked[AT(n, m)] < status[AT(m, n)].got -> acked[AT(n, m)] = status[AT(m, n)].got
        :: else
        fi;
        if
        :: held[n] && knows[AT(n, m)] < status[AT(m, n)].knows -> knows[AT(n, m)] = status[AT(m, n)].knows
        :: else
        fi;
        status[AT(m, n)].epoch = 0;
        status[AT(m, n)].got = 0;
        status[AT(m, n)].knows = 0;
        activate(n)
    }
}

/* ---- Adoption */

#define MAY_ADOPT(n, x) (HAS(claim[n].lives, x)) /* may_adopt_from */

inline ask(n) { /* Membership::begin, voting */
    atomic {
        up[n] && !held[n] && MAY_ADOPT(n, n) && asked < ROUNDS && wanted[n] == 0 ->
        asked++;
        wanted[n] = NEXT(epoch[n], n);
        epoch[n] = wanted[n];
        promised[n] = wanted[n];
        votes[n] = BIT(n)
    }
}
inline take_from(n, m) {
    if
    :: HAS(votes[n], m) && up[m] && kept[m] > item[n] -> item[n] = kept[m]
    :: else
    fi
}
inline acquire(n) { /* count_votes, quorum, acquire, Replicator::on_swept_fragment */
    if
    :: up[n] && wanted[n] != 0 && wanted[n] == epoch[n] && MAY_ADOPT(n, n) && ENOUGH(claim[n].members, votes[n]) &&
            ENOUGH(claim[n].base, votes[n]) ->
        wanted[n] = 0;
        held[n] = true;
        item[n] = kept[n];
        take_from(n, 0);
        take_from(n, 1);
        take_from(n, 2);
        kept[n] = 0;
        weak[n] = false;
        assert(item[n] >= released); /* I5 */
        if
        :: item[n] == 0 -> item[n] = 1
        :: else
        fi;
        forget_ring(n);
        pending[n] = votes[n] & ~BIT(n);
        if
        :: true
        :: HAS(pending[n], GAVE(n)) && pending[n] != BIT(GAVE(n)) -> pending[n] = pending[n] & ~BIT(GAVE(n)) /* it leaves */
        fi;
        base[n] = pending[n];
        number[n] = 1;
        votes[n] = 0;
        remembers[n] = false;
        claim[n].epoch = epoch[n];
        claim[n].number = 0;
        claim[n].members = 0;
        claim[n].base = 0;
        claim[n].lives = 0
    :: else
    fi
}

/* The vote arrives at once, or is lost: until then the candidate would only have waited. */
inline answer(m, n) { /* Membership::judge, on_adopt, on_vote */
    atomic {
        up[m] && up[n] && !held[m] && wanted[n] != 0 && wanted[n] >= epoch[m] && !HAS(votes[n], m) &&
            claim[m].epoch <= claim[n].epoch && (claim[m].epoch < claim[n].epoch || remembers[m] || MAY_ADOPT(m, n)) ->
        epoch[m] = PROMISE(epoch[m], wanted[n]);
        promised[m] = PROMISE(promised[m], wanted[n]);
        wanted[m] = 0;
        votes[m] = 0;
        if
        :: true -> votes[n] = votes[n] | BIT(m);
            if
            :: claim[m].epoch == claim[n].epoch && claim[m].number > claim[n].number ->
                claim[n].number = claim[m].number;
                claim[n].members = claim[m].members;
                claim[n].base = claim[m].base;
                claim[n].lives = claim[m].lives
            :: else
            fi
        :: true
        fi;
        acquire(n)
    }
}
/* What a holder does that gives its group away: Membership::release. */
inline hand_over(n) {
    atomic {
        up[n] && held[n] && handovers < HANDOVERS -> handovers++;
        lose(n)
    }
}

/* ---- Faults */

/* Deaths come one at a time: when the holder's view has the two others, and they are up to date. */
#define WHOLE(h) (held[h] && up[h] && counting[h] == (7 & ~BIT(h)) && pending[h] == counting[h] && joining[h] == 0)
#ifdef TRACE
#define ONE_AT_A_TIME up[x]
#else
#define ONE_AT_A_TIME up[0] && up[1] && up[2] && (WHOLE(0) || WHOLE(1) || WHOLE(2))
#endif
inline die(x) {
    atomic {
        faults < FAULTS && ONE_AT_A_TIME -> faults++;
        up[x] = false
    }
}
inline restart(x) { /* empty, but for what it remembers */
    atomic {
        !up[x] -> up[x] = true;
        if
        :: held[x] ->
            claim[x].number = number[x];
            claim[x].members = pending[x];
            claim[x].base = base[x];
            claim[x].lives = pending[x]
        :: else
        fi;
        remembers[x] = true;
        epoch[x] = promised[x];
        weak[x] = true;
        held[x] = false;
        kept[x] = 0;
        item[x] = 0;
        wanted[x] = 0;
        votes[x] = 0;
        forget_ring(x);
        k = 0;
        do
        :: k < N ->
            claim[k].lives = claim[k].lives & ~BIT(x);
            /* Ring::on_peer_started, on_follower */
            acked[AT(k, x)] = 0;
            knows[AT(k, x)] = 0;
            got[AT(x, k)] = item[k];
            seen[AT(x, k)] = 0;
            status[AT(x, k)].sent = false;
            status[AT(x, k)].epoch = 0;
            status[AT(x, k)].got = 0;
            status[AT(x, k)].knows = 0;
            if
            :: held[k] -> joining[k] = joining[k] | BIT(x)
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0
    }
}

#define PAIRS(step)                                                                                       \
    :: step(0, 1) :: step(0, 2) :: step(1, 0) :: step(1, 2) :: step(2, 0) :: step(2, 1)
#define VIEWS_OF(n)                                                                                       \
    :: change_view(n, 1) :: change_view(n, 2) :: change_view(n, 3) :: change_view(n, 4) :: change_view(n, 5)  \
    :: change_view(n, 6)
#define EACH(step) :: step(0) :: step(1) :: step(2)

#define ACTIONS                                                                                           \
    EACH(publish) EACH(ask) EACH(hand_over) EACH(die) EACH(restart)                                       \
    VIEWS_OF(0) VIEWS_OF(1) VIEWS_OF(2) PAIRS(record) PAIRS(follow_anew) PAIRS(heartbeat) PAIRS(gossip)   \
    PAIRS(say_status) PAIRS(hear_status) PAIRS(answer)

#ifdef TRACE
c_decl {
enum { kNodes = 3, kFields = 6, kMost = 1000 };
static unsigned char trace[kMost][kNodes][kFields];
static int trace_size = -1, trace_ahead;
static void trace_load(void) {
    const char* name = getenv("HOLDFAST_TRACE");
    FILE* file = name ? fopen(name, "r") : NULL;
    if (!file) { fprintf(stderr, "HOLDFAST_TRACE names no file\n"); exit(2); }
    for (trace_size = 0; trace_size < kMost; ++trace_size)
        for (int i = 0; i < kNodes * kFields; ++i)
            if (fscanf(file, "%hhu", &trace[trace_size][i / kFields][i % kFields]) != 1) {
                fclose(file);
                return;
            }
    fprintf(stderr, "%s is too long\n", name);
    exit(2);
}
/* Of who is dead nothing else is to be seen. */
static int trace_shows(int at, const unsigned char* up, const unsigned char* held, const unsigned char* epoch,
                       const unsigned char* number, const unsigned char* pending, const unsigned char* counting) {
    if (trace_size < 0) trace_load();
    if (at >= trace_size) return 0;
    for (int n = 0; n < kNodes; ++n) {
        const unsigned char seen[kFields] = {up[n], held[n], epoch[n], number[n], pending[n], counting[n]};
        if (trace[at][n][0] != up[n] || (up[n] && memcmp(trace[at][n], seen, sizeof seen) != 0)) return 0;
    }
    return 1;
}
}
short at;
/* One step of the model may be two that a cluster was seen to make: a vote and what it decides. */
inline follow() {
    c_code {
        for (trace_ahead = 0; trace_ahead <= 2; ++trace_ahead)
            if (trace_shows(now.at + trace_ahead, now.up, now.held, now.epoch, now.number, now.pending, now.counting))
                break;
    };
    if
    :: c_expr { trace_ahead == 0 }
    :: c_expr { trace_ahead == 1 } -> at = at + 1
    :: c_expr { trace_ahead == 2 } -> at = at + 2
    fi
}
#endif

init {
    byte k = 0;
    d_step {
        /* Node 0 holds, the others follow it. */
        do
        :: k < N ->
            up[k] = true;
            epoch[k] = NEXT(0, 0);
            promised[k] = epoch[k];
            claim[k].epoch = epoch[k];
            claim[k].number = 1;
            claim[k].members = 6;
            claim[k].base = 6;
            claim[k].lives = 6;
            kept[k] = (k > 0 -> 1 : 0);
            got[AT(k, 0)] = 1;
            seen[AT(k, 0)] = 1;
            acked[AT(0, k)] = 1;
            knows[AT(0, k)] = 1;
            k++
        :: else -> break
        od;
        k = 0;
        holder_of[NEXT(0, 0)] = 1;
        held[0] = true;
        item[0] = 1;
        counting[0] = 6;
        pending[0] = 6;
        base[0] = 6;
        counting_number[0] = 1;
        number[0] = 1
    }
#ifdef TRACE
    follow();
    do
    :: c_expr { now.at + 1 >= trace_size } -> assert(false)
    :: else ->
        atomic {
            if
            ACTIONS
            fi;
            follow()
        }
    od
#else
    do
    ACTIONS
    od
#endif
}
