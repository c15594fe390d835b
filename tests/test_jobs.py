"""Work that goes on only while somebody waits for it."""

import time

import pytest

import app.jobs
from app.jobs import FORGOTTEN, WantedJob
from app.pool import Pool


class Counts(WantedJob):
    """Counts its pieces; done after `until` of them."""

    def __init__(self, until: int = 10**9) -> None:
        super().__init__()
        self.until, self.pieces, self.dropped = until, 0, 0

    def piece(self) -> None:
        self.pieces += 1
        if self.pieces == self.until:
            self.end()

    def drop(self) -> None:
        self.dropped += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, a number that the test sets; each look at it takes a millisecond."""
    now = [1000.0]

    def monotonic() -> float:
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr(app.jobs.time, "monotonic", monotonic)
    return now


def test_it_works_in_slices_until_it_is_done(clock):
    job = Counts(60)
    job.want()
    slices = 0
    while (again := job.work()) is not None:
        assert again <= clock[0]  # at once, in its turn
        slices += 1
    assert job.pieces == 60
    assert slices == 2  # 60 ms in slices of 25
    assert job.done.is_set()
    assert job.dropped == 1
    assert not job.failed
    assert job.work() is None
    assert job.pieces == 60


def test_it_rests_when_nobody_waits_and_drops_what_it_needs_when_nobody_comes(clock):
    job = Counts()
    job.want()
    clock[0] += app.jobs.GRACE
    again = job.work()
    assert again is not None
    assert again > clock[0] + FORGOTTEN / 2
    assert job.dropped == 0
    clock[0] = again
    before = job.pieces
    assert job.work() is None
    assert (job.pieces, job.dropped) == (before, 1)
    assert not job.done.is_set()
    job.want()
    assert job.work() is not None
    assert job.pieces > before


def test_what_it_raises_ends_it(clock):
    class Broken(Counts):
        def piece(self) -> None:
            raise ValueError("on purpose")

    job = Broken()
    assert job.work() is None
    assert job.failed
    assert job.done.is_set()
    assert job.dropped == 1


def test_one_that_is_cancelled_drops_all_in_the_pool_though_it_rests(monkeypatch):
    monkeypatch.setattr(app.jobs, "GRACE", -1.0)
    pool, job = Pool(1), Counts()
    job.start(pool)
    comes(lambda: job.pieces)
    job.cancel()
    assert job.done.is_set()
    comes(lambda: job.dropped)
    pieces = job.pieces
    job.want()
    job.cancel()
    pool.close()
    assert job.pieces == pieces


def comes(true) -> None:
    assert any(true() or time.sleep(0.01) for _ in range(1000))
