"""Runs: one experiment in training for one visitor, whether or not anybody draws it. No Streamlit in here.

Commands (play, show, configure, …) only note what is wanted and return at once, from any thread. All that takes time
happens in `work`, which the pool never calls twice at once: the trainer lives there and is touched nowhere else.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import engine
from app.compiler import Compiler
from app.curves import Curves, curves_of
from app.kept import Kept, Moment, moment_of
from app.pool import Pool
from app.snapshot import Snapshot, axis_end
from app.words import _

SLICE = 0.025  # seconds of training before others have their turn
EVERY = 0.08  # seconds between two pictures, at least
SHARE = 0.08  # of a worker's time that keeping steps and publishing may take
GRACE = 3.0  # seconds that training goes on while nobody watches
ASLEEP = 30.0  # seconds without "drawn" after which a watcher no longer counts: a hidden tab, a dead network
UNUSED = 120.0  # seconds after which a run without watchers is freed; Streamlit keeps a lost session as long
REPLAY = 3.0  # seconds of training that may be repeated to bring back the last finite step
LAST_STEP = 100_000  # training ends here: the curves are kept whole
SPEEDS = (4, 20, 0)  # steps a second; 0: as fast as it can
log = logging.getLogger(__name__)


class Watcher:
    """One open picture of a run. `wake` is called from any thread when there is something new."""

    def __init__(self, run: "Run", wake: Callable[[], None]) -> None:
        self._run, self._wake, self._sent = run, wake, None

    def __call__(self) -> None:
        self._wake()

    def sent(self) -> None:
        """A picture is on its way."""
        self._sent = self._sent or time.monotonic()

    def drawn(self) -> None:
        """It was painted: somebody is there."""
        slept, self._sent = not self.awake, None
        if slept:
            self._run.resume()

    @property
    def awake(self) -> bool:
        sent = self._sent
        return sent is None or time.monotonic() - sent < ASLEEP

    def close(self) -> None:
        self._run.leave(self)


class Run:
    """One experiment in training. `token` is the only way to reach it over the network."""

    def __init__(self, pool: Pool, compiler: Compiler) -> None:
        self.token = secrets.token_urlsafe(24)
        self._pool, self._compiler = pool, compiler
        self._lock = threading.RLock()
        self._watchers: set[Watcher] = set()
        self._used = self._watched = time.monotonic()
        self._settled = threading.Event()
        self._closed = False
        self.version = 0  # counts everything that could change a picture
        # wanted
        self._experiment: engine.Experiment | None = None
        self._setting = 0
        self._begin_with: engine.Experiment | None = None
        self._playing, self._goal, self._speed = False, None, 20
        self._layer, self._show = 0, None
        # made; the trainer belongs to work()
        self._trainer: engine.Trainer | None = None
        self._shown: engine.Experiment | None = None
        self._shown_setting = 0
        self._kept = Kept()
        self._curves: Curves | None = None
        self._theory: tuple[float | None, str] = None, ""
        self._status, self._message = "ready", ""
        # pace
        self._publish_cost = self._trained = 0.0
        self._published = self._stepped = 0.0

    # Commands: from any thread, at once, harmless when repeated.

    def configure(self, e: engine.Experiment) -> None:
        """Begin again with `e`, unless it is the experiment already. While playing, the new one plays."""
        with self._lock:
            self._used = time.monotonic()
            if e == self._experiment:
                return
            self._experiment = self._begin_with = e
            self._setting += 1
            self._goal = self._show = None
            self._settled.clear()
        self._pool.wake(self)

    def play(self) -> None:
        with self._lock:
            if not self._can_train():
                return
            self._playing, self._goal, self._show = True, None, None
        self._tell()
        self._pool.wake(self)

    def pause(self) -> None:
        with self._lock:
            self._playing, self._goal = False, None
        self._tell()

    def step(self, to: int) -> None:
        """Show step `to`; train up to it where it has not been reached."""
        with self._lock:
            self._playing = False
            reached = self._curves.reached if self._curves and self._settled.is_set() else 0
            if to > reached and self._can_train():
                self._goal, self._show = min(to, LAST_STEP), None
            else:
                self._goal, self._show = None, to
        self._tell()
        self._pool.wake(self)

    def reset(self) -> None:
        """Back to step 0 with the same weights."""
        with self._lock:
            self._playing, self._goal, self._show = False, None, None
            if self._curves is None or self._curves.reached > 0 or self._status == "error":
                self._begin_with = self._begin_with or self._experiment
                self._settled.clear()
        self._tell()
        self._pool.wake(self)

    def speed(self, steps_a_second: int) -> None:
        with self._lock:
            self._speed = steps_a_second
        self._tell()
        self._pool.wake(self)

    def show(self, step: int | None) -> None:
        """Show the kept step nearest to `step`; None: follow the newest."""
        with self._lock:
            self._show = step
        self._tell()

    def view(self, layer: int) -> None:
        with self._lock:
            self._layer = layer
        self._tell()

    # Watching

    def watch(self, wake: Callable[[], None]) -> Watcher:
        """Somebody looks: `wake` is called whenever there is something new."""
        watcher = Watcher(self, wake)
        with self._lock:
            self._watchers.add(watcher)
        self.resume()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        with self._lock:
            self._watchers.discard(watcher)
            self._used = self._watched = time.monotonic()

    def resume(self) -> None:
        """Go on with a training that stopped because nobody watched."""
        with self._lock:
            self._used = self._watched = time.monotonic()
        self._pool.wake(self)

    def unused(self, now: float) -> bool:
        with self._lock:
            return not self._watchers and now - self._used > UNUSED

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._playing, self._goal, self._begin_with = False, None, None

    @property
    def setting(self) -> int:
        """Counts configure(): which of them the picture shows."""
        return self._shown_setting

    def settle(self, timeout: float) -> bool:
        """Wait until the picture of the newest experiment is there."""
        return self._settled.wait(timeout)

    # What there is to see

    def head(self) -> dict[str, Any]:
        """The state of the player, for the browser."""
        with self._lock:
            curves, (step, _moment) = self._curves, self._at()
            diverged = curves.diverged if curves else None
            return {
                "status": self._status,
                "message": self._message,
                "run": {
                    "playing": self._playing or self._goal is not None,
                    "step": step,
                    "reached": curves.reached if curves else 0,
                    "end": axis_end(curves.reached if curves else 0),
                    "following": self._show is None,
                    "speed": self._speed,
                    "layers": self._shown.num_layers if self._shown else 1,
                    "layer": self._shown_layer(),
                    "diverged": {"step": diverged[0], "tensor": diverged[1]} if diverged else None,
                    "last_finite": self._kept.newest.step if curves else 0,
                    "setting": self._shown_setting,
                },
            }

    def picture(self) -> tuple[dict[str, Any], Snapshot | None]:
        """Head and snapshot of one and the same moment."""
        with self._lock:
            return self.head(), self.snapshot()

    def snapshot(self) -> Snapshot | None:
        """All that a picture needs; None before the first pass."""
        with self._lock:
            e, curves, (step, moment), layer = self._shown, self._curves, self._at(), self._shown_layer()
            if e is None or curves is None or moment is None:
                return None
            task = engine.TASKS[e.task]
            return Snapshot(
                experiment=e,
                step=step,
                reached=curves.reached,
                layer=layer,
                now=moment.log10_norms,
                start=self._kept.first.log10_norms,
                hidden=moment.hidden,
                marks=self._marks,
                loss=curves.loss,
                validation=curves.validation,
                grad_norm=curves.grad_norm,
                clipped=curves.clipped,
                rows=curves.rows,
                rows_at=curves.rows_at,
                rho=float(moment.rho[layer]),
                sigma=float(moment.sigma[layer]),
                theory=self._theory[0],
                theory_note=self._theory[1],
                baseline=task.baseline(e),
                baseline_label=task.baseline_label,
                diverged=curves.diverged,
            )

    def _shown_layer(self) -> int:
        return min(self._layer, self._shown.num_layers - 1) if self._shown else 0

    def _at(self) -> tuple[int, Moment | None]:
        """The step that is shown, and what is drawn for it: past a divergence, the last moment that had numbers."""
        curves, show = self._curves, self._show
        if curves is None:
            return 0, None
        if show is None or show >= curves.reached:
            return curves.reached, self._kept.newest
        moment = self._kept.nearest(show)
        return moment.step, moment

    def _can_train(self) -> bool:
        if not self._settled.is_set():  # the run is about to begin
            return self._experiment is not None
        curves = self._curves
        return self._trainer is not None and not (curves and (curves.diverged or curves.reached >= LAST_STEP))

    def _tell(self) -> None:
        with self._lock:
            self.version += 1
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher()

    # Work: in one thread of the pool at a time.

    def work(self) -> float | None:
        try:
            with self._lock:
                e, self._begin_with = self._begin_with, None
                setting = self._setting
            if e is not None and not self._compiling(e):
                self._begin(e, setting)
            return self._train()
        except Exception:
            log.exception("a run failed")
            self._fail(_("Something went wrong in the computation. Reset begins again; so does every control."))
            return None

    def _fail(self, message: str) -> None:
        with self._lock:
            self._status, self._message = "error", message
            self._playing, self._goal, self._trainer = False, None, None
        self._settled.set()
        self._tell()

    def _compiling(self, e: engine.Experiment) -> bool:
        """Is the experiment put off until its kernels are compiled?"""
        if engine.is_compiled(e):
            return False

        def done(error: Exception | None) -> None:
            if error is not None:
                self._fail(_("The computation for this setting could not be compiled. Try another one."))
                return
            with self._lock:  # a newer experiment goes first
                self._begin_with = self._begin_with or self._experiment
            self._pool.wake(self)

        with self._lock:
            self._trainer = None
            self._status = "compiling"
            self._message = _(
                "Compiling the {cell} in {dtype}: needed once on this machine, and takes some seconds."
            ).format(cell=engine.CELLS[e.cell].label, dtype=e.dtype)
        self._tell()
        self._compiler.want(e, done)
        return True

    def _begin(self, e: engine.Experiment, setting: int) -> None:
        trainer = engine.Trainer(e)
        trace = trainer.trace()
        kept = Kept()
        kept.add(moment_of(trainer.step, trace))
        curves = curves_of(trainer, trace)
        theory = engine.mean_field(e)
        with self._lock:
            self._trainer, self._shown, self._shown_setting = trainer, e, setting
            self._kept, self._curves = kept, curves
            self._marks = engine.TASKS[e.task].marks(trace.inputs, 0)
            self._theory = (theory.slope, "") if theory.applies else (None, theory.reason)
            self._status, self._message = "ready", ""
            self._trained, self._published, self._publish_cost = 0.0, time.monotonic(), 0.0
            if curves.diverged:
                self._playing, self._goal = False, None
            if self._begin_with is None:
                self._settled.set()
        self._tell()

    def _train(self) -> float | None:
        """A slice of training; returns when the next one is due."""
        with self._lock:
            trainer, goal, playing, speed = self._trainer, self._goal, self._playing, self._speed
            now = time.monotonic()
            if any(watcher.awake for watcher in self._watchers):
                self._watched = now
            unseen = now - self._watched > GRACE
        if trainer is None or self._closed or unseen or not (playing or goal is not None):
            return None
        paced = speed > 0 and goal is None
        if paced and now < (due := self._stepped + 1 / speed):
            return due
        last = min(LAST_STEP, goal if goal is not None else trainer.step + 1 if paced else LAST_STEP)
        self._stepped = now
        begin = time.perf_counter()
        while trainer.step < last and not trainer.diverged and time.perf_counter() - begin < SLICE:
            trainer.advance(1)
        self._trained += time.perf_counter() - begin
        ended = trainer.diverged or trainer.step >= (LAST_STEP if goal is None else goal)
        if ended or paced or time.monotonic() - self._published > max(EVERY, self._publish_cost / SHARE):
            self._publish(trainer, ended)
        return None if ended else self._stepped + 1 / speed if paced else time.monotonic()

    def _publish(self, trainer: engine.Trainer, ended: bool) -> None:
        begin = time.perf_counter()
        trace = None if trainer.diverged else trainer.trace()  # which may be the first pass that is not finite
        if trainer.diverged:
            ended, moment = True, self._last_finite(trainer)
        else:
            moment = moment_of(trainer.step, trace)
        curves = curves_of(trainer, trace)
        with self._lock:
            if self._begin_with is not None:  # a newer experiment is waiting: nobody wants this picture
                return
            if moment is not None:
                self._kept.add(moment)
            self._curves = curves
            if ended:
                self._playing, self._goal = False, None
                if trainer.step >= LAST_STEP:
                    self._message = _("Training ends at step {step}.").format(step=f"{LAST_STEP:,}")
        self._published = time.monotonic()
        self._publish_cost += 0.3 * (time.perf_counter() - begin - self._publish_cost)
        self._tell()

    def _last_finite(self, trainer: engine.Trainer) -> Moment | None:
        """The step before the first non-finite number, computed again when it was not kept; None: make do."""
        step = trainer.history.diverged_at - 1
        if step <= self._kept.newest.step or self._trained > REPLAY:
            return None
        again = engine.Trainer(trainer.experiment, validate_every=0)
        again.advance(step)
        return moment_of(step, again.trace())
