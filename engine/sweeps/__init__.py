"""Many runs as one map: which (plan), what is measured of each (measures), and the result with its axes (dataset)."""

from engine.sweeps.boundary import boundary
from engine.sweeps.dataset import dataset, write_csv
from engine.sweeps.measures import MEASURES, Measure, measure, measure_in_pieces
from engine.sweeps.plan import Plan, Point, plan

__all__ = [
    "MEASURES",
    "Measure",
    "Plan",
    "Point",
    "boundary",
    "dataset",
    "measure",
    "measure_in_pieces",
    "plan",
    "write_csv",
]
