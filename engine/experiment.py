"""The experiment: one frozen, hashable object that says everything a run depends on. One that exists is valid."""

from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from engine.activations import ACTIVATIONS
from engine.batching import BATCHINGS
from engine.cells import CELLS
from engine.clipping import CLIPS
from engine.initializers import INITS
from engine.losses import LOSSES
from engine.optimizers import OPTIMIZERS
from engine.schedules import SCHEDULES
from engine.tasks import TASKS, own

DTYPES = ("float64", "float32")
SWITCHES = ("reset_after", "variational_dropout")
CHOICES: dict[str, tuple[str, ...]] = {
    "cell": tuple(CELLS),
    "nonlinearity": tuple(ACTIVATIONS),
    "init": tuple(INITS),
    "input_init": tuple(INITS),
    "task": tuple(TASKS),
    "loss": tuple(LOSSES),
    "optimizer": tuple(OPTIMIZERS),
    "batching": tuple(BATCHINGS),
    "schedule": tuple(SCHEDULES),
    "clip": tuple(CLIPS),
    "dtype": DTYPES,
}


def _field(default: Any, title: str, unit: str, meaning: str, **bounds: Any) -> Any:
    return Field(default, title=title, description=meaning, json_schema_extra={"unit": unit}, **bounds)


class Experiment(BaseModel):
    """A network, a task and a way of training it. The defaults show a gradient that vanishes while the network trains.

    Raises pydantic.ValidationError (a ValueError) that names the field, the value and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cell: str = _field("rnn", "Cell", "name", "The recurrent cell: plain RNN, LSTM or GRU.")
    hidden_size: int = _field(32, "Hidden size", "units", "Units in each layer, H.", ge=1, le=4096)
    num_layers: int = _field(1, "Layers", "layers", "Recurrent layers on top of each other, L.", ge=1, le=64)
    nonlinearity: str = _field(
        "tanh", "Activation", "name", "φ of the plain RNN; in LSTM and GRU that of the candidate (gates stay sigmoid)."
    )
    init: str = _field("normal", "Weights", "name", "How the recurrent weights W_hh are drawn.")
    gain: float = _field(0.9, "Gain", "factor", "Multiplies the recurrent weights.", ge=0, le=100)
    input_init: str = _field("pytorch", "Input weights", "name", "How the input weights W_ih are drawn.")
    forget_bias: float = _field(
        1.0, "Forget bias", "", "The LSTM's forget gate starts at σ of this: b_ih + b_hh of its block.", ge=-100, le=100
    )
    reset_after: bool = _field(
        True,
        "Reset after",
        "",
        "GRU: the reset gate multiplies W_hn h (after the product, as in PyTorch), or h before it (Cho et al. 2014).",
    )
    embedding_dim: int | None = _field(
        None,
        "Embedding",
        "numbers",
        "Symbols become rows of a trained table of this width; None: one-hot.",
        ge=1,
        le=4096,
    )
    task: str = _field("adding", "Task", "name", "What the network has to remember.")
    seq_length: int = _field(100, "Length T", "timesteps", "Length of a sequence.", ge=1, le=100_000)
    batch_size: int = _field(32, "Batch", "sequences", "Sequences in one training step, B.", ge=1, le=65_536)
    batching: str = _field("mini", "Data per step", "name", "How many sequences of the training set a step sees.")
    train_size: int | None = _field(
        None,
        "Training set",
        "sequences",
        "Sequences in the training set, seen again every epoch; None: fresh ones at every step.",
        ge=1,
        le=1_000_000,
    )
    loss: str | None = _field(None, "Loss", "name", "The loss; None is the task's own.")
    optimizer: str = _field("adam", "Optimizer", "name", "How the gradient changes the weights.")
    lr: float = _field(1e-3, "Learning rate", "", "Size of a step, η.", ge=0, le=1e6)
    momentum: float = _field(0.9, "Momentum", "", "How much velocity is kept (momentum, Nesterov).", ge=0, lt=1)
    schedule: str = _field("constant", "Schedule", "name", "How the learning rate changes over training.")
    schedule_steps: int = _field(
        1000, "Schedule over", "steps", "Training steps that the schedule takes, or between two of its steps.", ge=1,
        le=100_000_000,
    )  # fmt: skip
    schedule_factor: float = _field(
        0.1, "Schedule to", "factor", "What the schedule multiplies the learning rate by in that time.", gt=0, le=1
    )
    weight_decay: float = _field(
        0.0,
        "Weight decay",
        "",
        "λ: L2, g + λθ after clipping; AdamW shrinks θ by ηλθ instead (decoupled).",
        ge=0,
        le=1e6,
    )
    dropout: float = _field(
        0.0, "Dropout", "share", "Share of units dropped between layers while training.", ge=0, lt=1
    )
    variational_dropout: bool = _field(
        False, "One mask", "", "Dropout with the same mask at every timestep of a sequence (Gal & Ghahramani 2016)."
    )
    omega: float = _field(
        0.0,
        "Pascanu's Ω",
        "",
        "Weight of Ω, which asks that a gradient keeps its length from step to step (plain RNN).",
        ge=0,
        le=1e6,
    )
    clip: str = _field("norm", "Clip", "name", "How the gradient is limited before it is used.")
    clip_threshold: float = _field(
        1.0, "Clip at", "", "The limit: of the norm, or of each component; ε of the unit clip.", gt=0, le=1e12
    )
    tbptt: int | None = _field(
        None,
        "Truncate after",
        "timesteps",
        "Truncated BPTT: no gradient passes from timestep k+1 back to k, from 2k+1 to 2k, …; None: full.",
        ge=1,
        le=100_000,
    )
    stop_steps: int | None = _field(
        None, "Stop after", "steps", "Training ends after so many steps; None: never.", ge=1, le=1_000_000_000
    )
    stop_loss: float | None = _field(
        None, "Stop at loss", "", "Training ends when the loss of a step is this or less; None: never.", ge=0, le=1e12
    )
    patience: int | None = _field(
        None,
        "Patience",
        "steps",
        "Training ends after so many steps without a better validation loss; None: never.",
        ge=1,
        le=1_000_000_000,
    )
    dtype: str = _field("float64", "Precision", "name", "Floating type of all numbers.")
    seed: int = _field(0, "Seed", "", "Fixes weights and data.", ge=0, le=2**63 - 1)

    @field_validator("*", mode="before")
    @classmethod
    def _plain_numbers(cls, value: Any, info: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if info.field_name in SWITCHES:
            if not isinstance(value, bool):
                raise PydanticCustomError("not_a_switch", "Input should be True or False")
        elif isinstance(value, bool):  # True is the integer 1 to Python, but nobody means a hidden size of True
            raise PydanticCustomError("not_a_number", "true and false are not allowed here")
        return value

    @field_validator(*CHOICES)
    @classmethod
    def _known_name(cls, value: str | None, info: Any) -> str | None:
        if info.field_name == "task" and value is not None and value.startswith(own.PREFIX):
            data = own.held(value)
            if data is None:
                raise PydanticCustomError("data_gone", "these data of one's own are not here: load them first")
            return data
        allowed = CHOICES[info.field_name]
        if value is not None and value not in allowed:
            raise PydanticCustomError(
                "unknown_name", "Input should be one of: {allowed}", {"allowed": ", ".join(allowed)}
            )
        return value

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        task = TASKS[self.task]
        if self.seq_length < task.min_length:
            raise PydanticCustomError(
                "too_short",
                "seq_length={value}: task {task} needs at least {least} timesteps",
                {"value": self.seq_length, "task": self.task, "least": task.min_length},
            )
        if task.max_length is not None and self.seq_length > task.max_length:
            raise PydanticCustomError(
                "too_long",
                "seq_length={value}: task {task} has data for at most {most} timesteps",
                {"value": self.seq_length, "task": self.task, "most": task.max_length},
            )
        if self.loss == "cross_entropy" and task.loss == "mse":
            raise PydanticCustomError(
                "loss_needs_classes",
                "loss=cross_entropy: task {task} has real-valued targets; allowed: mse",
                {"task": self.task},
            )
        if self.embedding_dim is not None and not task.symbols:
            raise PydanticCustomError(
                "no_symbols",
                "embedding_dim={value}: task {task} has real-valued inputs; allowed: None",
                {"value": self.embedding_dim, "task": self.task},
            )
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.batching == "full" and self.train_size is None:
            raise PydanticCustomError(
                "endless", "batching=full: a full batch needs a train_size; allowed without: mini, single"
            )
        if self.omega and self.cell != "rnn":
            raise PydanticCustomError(
                "omega_of_gates", "omega={value}: Ω is defined for cell=rnn; allowed for {cell}: 0",
                {"value": self.omega, "cell": self.cell},
            )  # fmt: skip
        return self

    def replace(self, **changes: Any) -> "Experiment":
        """The same experiment with some fields changed, checked again."""
        return type(self)(**{**self.model_dump(), **changes})

    @property
    def steps(self) -> int:
        """Timesteps T of a sequence of the task (copy memory adds 20 to seq_length)."""
        return TASKS[self.task].steps(self.seq_length)

    @property
    def kind(self) -> str:
        """The cell as it is computed, a name in `engine.cells.KINDS`: the GRU has two forms."""
        return "gru_before" if self.cell == "gru" and not self.reset_after else self.cell

    @property
    def sequences(self) -> int:
        """Sequences in one training step (the last of an epoch may have fewer): of the batch, the set, or one."""
        return BATCHINGS[self.batching].sequences(self.batch_size, self.train_size)

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps in which every sequence of the training set is seen once; None where the data never repeat."""
        return None if self.train_size is None else -(-self.train_size // self.sequences)

    @property
    def loss_name(self) -> str:
        """The loss that is used: the one asked for, or the task's own."""
        return self.loss or TASKS[self.task].loss


def check_experiment(e: Any) -> None:
    """Raises ValueError unless it is an Experiment."""
    if not isinstance(e, Experiment):
        raise ValueError(f"experiment: {type(e).__name__}; allowed: an engine.Experiment")
