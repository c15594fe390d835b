"""One's own data as tasks, and data for a network that fits no task."""

from engine.own.noise import noise
from engine.own.sequences import sequences
from engine.own.series import series
from engine.own.text import text
from engine.tasks.own import OwnTask

__all__ = ["OwnTask", "noise", "sequences", "series", "text"]
