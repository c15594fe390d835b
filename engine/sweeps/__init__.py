"""Many runs as one map: which (plan), what is measured of each (measures), and the result with its axes (dataset)."""

from engine.sweeps.boundary import boundary
from engine.sweeps.costs import Cost, cost
from engine.sweeps.dataset import dataset, write_csv
from engine.sweeps.measures import MEASURES, Measure, measure, measure_in_pieces
from engine.sweeps.plan import Plan, Point, plan
from engine.sweeps.running import run, sweep
from engine.sweeps.store import Store

__all__ = [
    "MEASURES", "Cost", "Measure", "Plan", "Point", "Store", "boundary", "cost", "dataset", "measure",
    "measure_in_pieces", "plan", "run", "sweep", "write_csv",
]  # fmt: skip
