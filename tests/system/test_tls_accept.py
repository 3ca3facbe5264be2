"""The promises of mode = tls with curl and nginx: live transfers do not notice the deaths of their appliances."""
from tests.system.harness import accept, limit
from tests.system.https_load import kill_rounds

ROUNDS = 7  # two deaths each; four tests of them: 56 moments


def uploads_survive(case, seed, **options):
    with case.lab(nodes=4, mode="tls", **options) as lab:
        deaths = kill_rounds(lab, seed, ROUNDS, ways=["up"])
    return (f"{ROUNDS} rounds of 100 uploads (7 suites, both families) byte-exact through "
            f"{len(deaths)} SIGKILLs at random moments, seed {seed}")


@accept(1, "100 HTTPS uploads of curl survive SIGKILL of the holder and of its successor", "tls")
@limit(120)
def test_tls_uploads_1(case):
    """100 curl uploads, seven rounds of two deaths, seed 1."""
    return uploads_survive(case, 1)


@accept(1, "the same, other moments", "tls")
@limit(120)
def test_tls_uploads_2(case):
    """The same with seed 2."""
    return uploads_survive(case, 2)


@accept(1, "the same with 1 % loss on the ring", "tls")
@limit(120)
def test_tls_uploads_loss(case):
    """The same with 1 % seeded loss on the ring."""
    return uploads_survive(case, 3, loss_percent=1.0, loss_seed=3)


@accept(1, "the same with two workers", "tls")
@limit(120)
def test_tls_uploads_workers(case):
    """The same with two workers in each node."""
    return uploads_survive(case, 4, workers=2)
