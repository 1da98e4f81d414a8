"""Races for the same number of a ledger that lies on S3."""

from concurrent.futures import ThreadPoolExecutor

from infra.storage import S3Storage
from model_registry.asking import Judged
from model_registry.chain import Draft, Head
from model_registry.errors import PromotionLost
from model_registry.ledger import Ledger
from model_registry.protocol import Promotions
from tests.faults.invariants import violations
from tests.faults.promoting import NOON, FolderMirror, asked, quick_disk

WRITERS = 6


def stores(s3_server):
    """One bucket as each of the writers opens it."""
    first = s3_server.storage("night")
    bucket = first.uri.removeprefix("s3://").split("/")[0]
    return [S3Storage(bucket, "night", settings=s3_server.settings()) for _ in range(WRITERS)]


def test_of_writers_of_the_same_number_one_wins_and_the_chain_holds(s3_server):
    ledgers = [Ledger(store, "tickets") for store in stores(s3_server)]
    drafts = [Draft("kept", NOON, f"writer {n}", "because") for n in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(
            pool.map(lambda ledger, draft: ledger.append(draft, after=Head()), ledgers, drafts)
        )
    (won,) = [entry for entry in written if entry]
    assert [entry.by for entry in ledgers[0].follow()] == [won.by]
    assert ledgers[0].verify() == ()


def test_of_racing_promotions_one_wins_and_the_others_are_told(s3_server, tmp_path):
    places, mirror = stores(s3_server), FolderMirror(tmp_path)

    def opened(store):
        return Promotions(Ledger(store, "tickets"), mirror, unfit=mirror.unfit)

    def promote(number):
        promotions = opened(places[number])
        try:
            return promotions.promote(judged[number], asked())
        except PromotionLost as lost:
            return lost

    judged = [Judged(str(n), mirror.register(str(n)), None) for n in range(WRITERS)]
    with quick_disk(), ThreadPoolExecutor(WRITERS) as pool:
        ends = list(pool.map(promote, range(WRITERS)))
    won = [end for end in ends if not isinstance(end, PromotionLost)]
    assert len(won) == 1, ends
    said = f"promotion lost to v{won[0].version}, expected no version in Production"
    assert sum(said in str(end) for end in ends) == WRITERS - 1, ends
    opened(places[0]).reconcile(asked())
    assert violations(Ledger(places[0], "tickets"), mirror, mirror.unfit, won) == []
