"""The promises of mode = tls with curl and nginx: live transfers do not notice the deaths of their appliances."""
from tests.system.harness import accept, limit
from tests.system.https_load import kill_rounds

ROUNDS = 7  # two deaths each; four tests of them: 56 moments


def transfers_survive(case, seed, **options):
    with case.lab(nodes=4, mode="tls", **options) as lab:
        deaths = kill_rounds(lab, seed, ROUNDS)
    return (f"{ROUNDS} rounds of 100 transfers (7 suites, both families) byte-exact through "
            f"{len(deaths)} SIGKILLs at random moments, seed {seed}")


@accept(1, "100 HTTPS transfers of curl, up and down, survive SIGKILL of the holder and of its successor", "tls")
@limit(120)
def test_tls_transfers_1(case):
    """100 curl transfers, seven rounds of two deaths, seed 1."""
    return transfers_survive(case, 1)


@accept(1, "the same, other moments", "tls")
@limit(120)
def test_tls_transfers_2(case):
    """The same with seed 2."""
    return transfers_survive(case, 2)


@accept(1, "the same with 1 % loss on the ring", "tls")
@limit(120)
def test_tls_transfers_loss(case):
    """The same with 1 % seeded loss on the ring."""
    return transfers_survive(case, 3, loss_percent=1.0, loss_seed=3)


@accept(1, "the same with two workers", "tls")
@limit(120)
def test_tls_transfers_workers(case):
    """The same with two workers in each node."""
    return transfers_survive(case, 4, workers=2)
