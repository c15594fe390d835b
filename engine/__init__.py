"""Gradient dynamics of recurrent networks: train, probe, and see every gradient on its way back through time."""

from engine.activations import ACTIVATIONS
from engine.batching import BATCHINGS
from engine.cells import CELLS
from engine.checkpoint import Checkpoint, load_checkpoint
from engine.clipping import CLIPS
from engine.experiment import Experiment
from engine.foreign import Loaded, load_weights, save_weights, torch_gradients
from engine.generate import generate
from engine.initializers import INITS
from engine.instruments.cliff import Cliff, Descent, cliff, descend
from engine.instruments.clip import Clipped, Clipping, clipping
from engine.instruments.floats import FloatingPoint, Floats, floats
from engine.instruments.gates import Gate, Gates, gates
from engine.instruments.gradient_flow import GradientFlow, gradient_flow
from engine.instruments.jacobian_spectrum import JacobianSpectrum, Recurrent, jacobian_spectrum, recurrent_weights
from engine.instruments.landscape import Landscape, landscape
from engine.instruments.lyapunov import Lyapunov, lyapunov
from engine.instruments.mean_field import MeanField, mean_field
from engine.instruments.one_unit import Branches, OneUnit, one_unit, one_unit_branches
from engine.instruments.two_units import TwoUnits, two_units
from engine.instruments.unrolled import Unrolled, unrolled
from engine.instruments.update import Update, update
from engine.instruments.verdict import Verdict, verdict
from engine.instruments.weight_gradient import WeightGradient, weight_gradient_by_step
from engine.losses import LOSSES
from engine.optimizers import OPTIMIZERS
from engine.own import OwnTask, noise, sequences, series, text
from engine.presets import PRESETS
from engine.probe import probe
from engine.schedules import SCHEDULES
from engine.sweeps import MEASURES, Plan, measure, plan, sweep
from engine.tasks import TASKS
from engine.trace import Change, History, Trace
from engine.trainer import LIVE, Trainer, train
from engine.warm_up import is_compiled, warm_up
from engine.weights import Radius, radii, sigma_max, spectral_radius

__all__ = [
    "ACTIVATIONS", "BATCHINGS", "CELLS", "CLIPS", "INITS", "LIVE", "LOSSES", "MEASURES", "OPTIMIZERS", "PRESETS",
    "SCHEDULES", "TASKS", "Branches", "Change", "Checkpoint", "Cliff", "Clipped", "Clipping", "Descent",
    "Experiment", "FloatingPoint", "Floats", "Gate", "Gates", "GradientFlow", "History", "JacobianSpectrum",
    "Landscape", "Loaded", "Lyapunov", "MeanField", "OneUnit", "OwnTask", "Plan", "Radius", "Recurrent", "Trace",
    "Trainer", "TwoUnits", "Unrolled", "Update", "Verdict", "WeightGradient", "cliff", "clipping", "descend",
    "floats", "gates", "generate", "gradient_flow", "is_compiled", "jacobian_spectrum", "landscape",
    "load_checkpoint", "load_weights", "lyapunov", "mean_field", "measure", "noise", "one_unit",
    "one_unit_branches", "plan", "probe", "radii", "recurrent_weights", "save_weights", "sequences", "series",
    "sigma_max", "spectral_radius", "sweep", "text", "torch_gradients", "train", "two_units", "unrolled", "update",
    "verdict", "warm_up", "weight_gradient_by_step",
]  # fmt: skip
