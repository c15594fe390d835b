"""The films of the gallery: real numbers of the engine, made in short pieces so that the threads of all runs can share.

Each is a generator that yields between pieces of some milliseconds and returns a film (app/figures/thumb.py).
"""

from collections.abc import Generator, Sequence

import numpy as np

import engine
from app import small
from app.figures import thumb
from app.figures.cliff import B_SPAN, W_SPAN
from app.figures.thumb import FRAMES, Film
from engine.instruments import gradient_flow
from engine.instruments.pieces import Pieces

Footage = Generator[None, None, Film]
ROOM = 0.25  # decades of air above and below a curve


def trained(e: engine.Experiment, steps: int, frames: int) -> Generator[engine.Trainer | None, None, None]:
    """The trainer at `frames` steps from 0 to `steps`; None: between two of them."""
    trainer = engine.Trainer(e, validate_every=max(1, steps // 100))
    for step in np.linspace(0, steps, frames).round().astype(int):
        while trainer.step < step:
            trainer.advance(1)
            yield None
        yield trainer


def flow(e: engine.Experiment, steps: int) -> Footage:
    """‖∂L/∂h_t‖ over t, while it trains."""
    curves, at = [], []
    for trainer in trained(e, steps, FRAMES):
        if trainer is not None:
            curves.append(trainer.trace().log10_flow_norms[-1])
            at.append(trainer.step)
        yield
    return _curves(
        [curves, [curves[0]]], at, "step", ("gradient", "ghost"), widths=(2.5, 1.5), keys=[("ghost", "", "start")]
    )


def over(field: str, values: Sequence[float], e: engine.Experiment) -> Footage:
    """The same before training, for one setting after the other."""
    curves = []
    for value in values:
        curves.append(engine.probe(e.replace(**{field: value})).log10_flow_norms[-1])
        yield
    ghosts = [[curve] for curve in curves[::3]]
    tones, widths = ("gradient", *("ghost" for _ in ghosts)), (2.8, *(1.0 for _ in ghosts))
    return _curves([curves, *ghosts], values, field, tones, widths=widths)


def back(*experiments: engine.Experiment, names: Sequence[str] = ()) -> Footage:
    """The gradients of some networks before training, on their way back; `names`: of their keys."""
    curves = []
    for e in experiments:
        curves.append(thumb.walking_back(engine.probe(e).log10_flow_norms[-1], FRAMES))
        yield
    tones, dashes = ("gradient", "soft", "soft", "soft"), ("", "6 4", "2 4", "8 3 2 3")
    keys = list(zip(tones, dashes, names, strict=False))
    return _curves(curves, (), "", tones, dashes=dashes, widths=(2.5,) * 4, keys=keys)


def _curves(
    curves: Sequence[Sequence[np.ndarray]], at: Sequence[float], word: str, tones: Sequence[str],
    dashes: Sequence[str] | None = None, widths: Sequence[float] = (), keys: Sequence[Sequence[str]] = (),
) -> Film:  # fmt: skip
    """Of each line its frames, (T,)."""
    values = np.concatenate([np.array(frames) for frames in curves])
    finite = values[np.isfinite(values)]
    steps = values.shape[-1]
    looks = zip(curves, tones, dashes or ("",) * len(curves), widths, strict=False)
    low, high = np.floor(finite.min()), max(0.0, np.ceil(finite.max()))
    box = (1.0, float(steps), float(low), float(high))
    t = np.arange(1, steps + 1)
    lines = [thumb.across(0.0, box, "faint")]
    for frames, tone, dash, width in reversed(list(looks)):
        lines.append(thumb.line(t, frames, box, tone, dash=dash, width=width))
    axes = {"x": thumb.axis("t", 1, steps), "y": thumb.decades("gradient", low, high)}
    return thumb.film(at, word, lines=lines, axes=axes, keys=keys)


def flow_map(e: engine.Experiment, steps: int) -> Footage:
    """The same as a map, training steps from left to right, t upwards."""
    columns, at = [], []
    for trainer in trained(e, steps, 2 * FRAMES):
        if trainer is not None:
            columns.append(trainer.trace().log10_flow_norms[-1])
            at.append(trainer.step)
        yield
    whole = np.array(columns).T[::2]
    whole -= whole[-1]  # against the gradient at the end
    drawn = thumb.image([whole], (-8.0, 0.5), "magnitude") | {"grows": True}
    axes = {"x": thumb.axis("step", 0, steps), "y": thumb.axis("t", 1, len(columns[0]))}
    return thumb.film(at[1::2], "step", image=drawn, axes=axes | {"colour": thumb.decades("gradient", -8, 0)})


def speech(e: engine.Experiment, steps: int, letters: int) -> Footage:
    """What the network goes on to say by itself."""
    said, at = [], []
    for trainer in trained(e, steps, 9):
        if trainer is not None:
            heard = trainer.trace().inputs[:, :1]
            spoken = trainer.generate(heard, letters, seed=1)[:, 0].argmax(axis=1)
            text = "".join(engine.TASKS[e.task].symbols[k] for k in spoken)
            said.append(text.replace("␣", " ").replace("⏎", "\n"))
            at.append(trainer.step)
        yield
    return thumb.film(at, "step", text=said)


def forecast(e: engine.Experiment, steps: int) -> Footage:
    """A series, and what the network makes of its second half after hearing the first."""
    half, frames, at, truth = e.seq_length // 2, [], [], np.zeros(0)
    inputs = engine.probe(e).inputs
    for trainer in trained(e, steps, 12):
        if trainer is not None:
            truth = inputs[:, 0, 0]
            free = trainer.generate(inputs[:half, :1], e.seq_length - half)[:, 0, 0]
            frames.append(np.concatenate([np.full(half - 1, np.nan), truth[half - 1 : half], free]))
            at.append(trainer.step)
        yield
    reach = 0.15 * float(np.ptp(truth))
    box = (0.0, float(len(truth) - 1), float(truth.min()) - reach, float(truth.max()) + reach)
    t = np.arange(len(truth))
    lines = [thumb.line(t, [truth], box, "state", width=2.0), thumb.line(t, frames, box, "loss")]
    axes = {"x": thumb.axis("t", 1, e.seq_length), "y": thumb.axis("value", round(box[2], 1), round(box[3], 1))}
    return thumb.film(at, "step", lines=lines, axes=axes, keys=[("loss", "", "alone")])


def losses(steps: int, *experiments: engine.Experiment) -> Footage:
    """Validation losses over training, growing together; the dashed ones come later."""
    curves = []
    for e in experiments:
        for trainer in trained(e, steps, 2):
            if trainer is not None and trainer.step == steps:
                curves.append((trainer.history.at, trainer.history.validation_loss))
            yield
    with np.errstate(divide="ignore"):
        drawn = [(at[there], np.log10(y[there])) for at, y in curves if (there := np.isfinite(y)).any()]
    seen = np.concatenate([y for _at, y in drawn])
    box = (0.0, float(steps), float(seen.min()) - ROOM, float(seen.max()) + ROOM)
    ends = np.linspace(0, steps, FRAMES).round().astype(int)
    lines = [thumb.across(float(np.log10(engine.TASKS[experiments[0].task].baseline(experiments[0]))), box, "ink")]
    for (at, y), dash in zip(drawn, ("", "5 4"), strict=False):
        lines.append(thumb.line(at, [np.where(at <= end, y, np.nan) for end in ends], box, "loss", dash=dash))
    axes = {"x": thumb.axis("step", 0, steps), "y": thumb.decades("loss", *box[2:])}
    keys = [("loss", "", "adam"), ("loss", "5 4", "sgd")]
    return thumb.film([int(n) for n in ends], "step", lines=lines, axes=axes, keys=keys)


def cliff() -> Footage:
    """Both paths on the error surface of one unit, seen from above."""
    walk = small.look(small.DEFAULTS)
    yield
    box = (*W_SPAN, *B_SPAN)
    at = np.linspace(0, 40, FRAMES).round().astype(int)
    lines = []
    for path, tone in ((walk.free, "ink"), (walk.clipped, "threshold")):
        x = thumb.scaled(path.w[:41], *W_SPAN)
        y = thumb.scaled(path.b[:41], *B_SPAN)
        frames = [[v if n <= end else None for n, v in enumerate(y)] for end in at]
        lines.append({"tone": tone, "width": 2.2, "dash": "", "x": x, "frames": frames})
    surface = thumb.image([walk.surface.error[::3, ::3]], (0.0, 0.35), "losses")
    start = thumb.dots([np.array([[walk.free.w[0], walk.free.b[0]]])], box, "ink", 7)
    axes = {"x": thumb.axis("w", *W_SPAN), "y": thumb.axis("b", *B_SPAN), "colour": thumb.axis("error", 0, 0.35)}
    keys = [("threshold", "", "clipped")]
    return thumb.film([int(n) for n in at], "step", lines=lines, image=surface, dots=[start], axes=axes, keys=keys)


def two_units() -> Footage:
    """Wherever two units start, where they come to rest."""
    two = small.look(small.DEFAULTS | small.preset_values("two", "four") | {"part": "two"})
    yield
    reach = 1.12 * float(np.abs(two.flights).max())
    box = (-reach, reach, -reach, reach)
    stable = two.points[two.radii < 1]
    flights = list(two.flights[:FRAMES])
    kept = np.where(two.basins >= 0, two.basins + 1.0, 0.0)
    basins = thumb.image([kept[::2, ::2]], (-float(kept.max()) * 3, float(kept.max()) * 3), "signed")
    ways = np.concatenate([two.flights, np.full_like(two.flights[:1], np.nan)]).transpose(1, 0, 2).reshape(-1, 2)
    x, y = thumb.scaled(ways[:, 0], -reach, reach), thumb.scaled(ways[:, 1], -reach, reach)
    trails = {"tone": "state", "width": 0.8, "dash": "", "x": x, "frames": [y]}
    parts = [thumb.dots(flights, box, "state", 4), thumb.dots([stable], box, "ink", 8)]
    axes = {"x": thumb.axis("unit_1", *np.round(box[:2], 1)), "y": thumb.axis("unit_2", *np.round(box[2:], 1))}
    return thumb.film(range(len(flights)), "t", lines=[trails], image=basins, dots=parts, rest=4, axes=axes)


def credit(e: engine.Experiment, steps: int) -> Footage:
    """Which past step each loss feels, ‖∂L_t/∂h_k‖: k to the right, t upwards, while it trains."""
    frames, at = [], []
    for trainer in trained(e, steps, 6):
        if trainer is not None:
            found = yield from _quiet(gradient_flow.in_pieces(e, trainer.trace(), everywhere=True, most=40))
            frames.append(found.log10_norms[-1][:, ::2])
            at.append(trainer.step)
        yield
    top = max(float(frame.max()) for frame in frames)
    axes = {"x": thumb.axis("felt", 1, e.seq_length), "y": thumb.axis("loss_at", 1, e.seq_length)}
    axes["colour"] = thumb.decades("gradient", top - 6, top)
    return thumb.film(at, "step", image=thumb.image(frames, (top - 6, top), "magnitude"), axes=axes)


def _quiet(pieces: Pieces[engine.GradientFlow]) -> Generator[None, None, engine.GradientFlow]:
    """The same, saying nothing of how far it is."""
    while True:
        try:
            next(pieces)
        except StopIteration as done:
            return done.value
        yield
