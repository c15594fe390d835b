"""Sweeps: what is left of a plan goes to a cluster, and what is found to a store, from where the dataset is made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any

from engine.experiment import Experiment
from engine.sweeps.costs import how_many, split
from engine.sweeps.dataset import dataset
from engine.sweeps.farm import Farm, Progress
from engine.sweeps.local import Local, local
from engine.sweeps.plan import DEFAULT_MEASURES, Plan, plan
from engine.sweeps.store import Store

if TYPE_CHECKING:
    import xarray
    from distributed import Client

CONNECTS = 10.0  # seconds that a scheduler has to answer


def sweep(
    base: Experiment, axes: Mapping[str, Iterable[Any]], seeds: int | Iterable[int] = 5,
    measures: str | Iterable[str] = DEFAULT_MEASURES, steps: int = 0,
    store: "Store | str | PathLike[str] | None" = None, scheduler: "str | Client | None" = None,
    progress: Progress | None = None, cancel: Callable[[], bool] | None = None, workers: int | None = None,
    folds: int | None = None,
) -> "xarray.Dataset":  # fmt: skip
    """Measure every combination of the axes' values, once a seed or fold: see `plan` for what they are.

    store: a Store or the path of one. What it knows is not computed again, and every point is in it as soon as it is
    found, so that the same call goes on where a killed one was. None: nothing is kept.
    scheduler: the address of a dask scheduler, or a dask Client. None: a cluster on this machine for the time it takes,
    of `workers` processes (None: one a core).
    progress(done, of, seconds): is called now and then with the points that are done, and the seconds that the rest
    will take, NaN as long as nobody knows. cancel(): True ends it; the dataset then has what was found so far.

    The numbers depend neither on where nor in which order the points are computed. A point that raises has NaN, and in
    `error` what it said; so has one of which three workers died.
    Raises ValueError where an argument is wrong, RuntimeError where workers or scheduler cannot work.
    """
    return run(plan(base, axes, seeds, measures, steps, folds=folds), store, scheduler, progress, cancel, workers)


def run(
    plan: Plan, store: "Store | str | PathLike[str] | None" = None, scheduler: "str | Client | None" = None,
    progress: Progress | None = None, cancel: Callable[[], bool] | None = None, workers: int | None = None,
) -> "xarray.Dataset":  # fmt: skip
    """The same for a plan that is made already."""
    most = how_many(workers)
    with _opened(store) as kept:
        possible, left = split(plan, kept)
        passing: dict[str, str] = {}
        if left:
            with connected(scheduler, min(most, len(left))) as (client, own):
                passing = Farm(plan, left, kept, client, own, progress, cancel).work()
        elif progress:
            progress(len(possible), len(possible), 0.0)
        errors = kept.errors(possible, plan.measures) | passing
        found = kept.known(possible, plan.measures)
        complete = {key: v for key, v in found.items() if len(v) == len(plan.measures) and key not in errors}
        return dataset(plan, complete, errors)


@contextmanager
def _opened(store: "Store | str | PathLike[str] | None") -> Iterator[Store]:
    """A store of the caller's is left open, one that is opened here is closed."""
    if isinstance(store, Store):
        yield store
    else:
        with Store(":memory:" if store is None else store) as opened:
            yield opened


@contextmanager
def connected(scheduler: Any, workers: int) -> "Iterator[tuple[Client, Local | None]]":
    """A client of the cluster that is meant, and the cluster where it is ours."""
    from distributed import Client

    if scheduler is None:
        with local(workers) as own:
            yield own.client, own
    elif isinstance(scheduler, Client) and not scheduler.asynchronous:
        yield scheduler, None
    elif isinstance(scheduler, str):
        try:
            client = Client(scheduler, set_as_default=False, timeout=CONNECTS)
        except (OSError, ValueError, ImportError) as wrong:
            why = f"nobody answers there ({wrong})" if isinstance(wrong, OSError) else str(wrong)
            raise ValueError(f"scheduler: {scheduler!r:.100}: {why:.200}; allowed: tcp://host:port of one") from None
        with client:
            yield client, None
    else:
        raise ValueError(f"scheduler: {scheduler!r:.100}; allowed: an address, a dask Client that is not asynchronous")
