"""Other people's networks: PyTorch's and Keras's recurrent layers as an experiment and weights of ours, and back."""

from engine.foreign.files import read_arrays, save_weights
from engine.foreign.found import Ambiguous, Misfit, Note
from engine.foreign.loaded import Loaded, load_weights
from engine.foreign.torch_gradients import torch_gradients

__all__ = ["Ambiguous", "Loaded", "Misfit", "Note", "load_weights", "read_arrays", "save_weights", "torch_gradients"]
