"""Runs: one experiment in training for one visitor, whether or not anybody draws it. No Streamlit in here.

Commands (play, show, configure, …) only note what is wanted and return at once, from any thread. All that takes time
happens in `work`, which the pool never calls twice at once: the trainer lives there and is touched nowhere else.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import engine
from app.checkpoints import begins_as_drawn
from app.compiler import Compiler
from app.figures import FIGURES, Palette
from app.figures.run import cost, radii
from app.figures.template import Part
from app.figures.words import verdict
from app.limits import LIMITS, seconds
from app.looks import Look
from app.memory import short
from app.networks import Network
from app.pool import EVERY, Pool
from app.snapshot import Snapshot, axis_end
from app.training import LAST_STEP, Past, Training
from app.watching import Watcher, Watching
from app.words import N_, Said, _

SPEEDS = (4, 20, 0)  # steps a second; 0: as fast as it can
WAIT = 0.25  # seconds between two questions whether it is its turn
ANSWER = 0.06  # seconds that others' training waits for the picture of a control that moved
log = logging.getLogger(__name__)


class Run:
    """One experiment in training. `token` is the only way to reach it over the network."""

    figures: Mapping[str, Callable[[Any, Palette], Part]] = FIGURES  # that can be made of a snapshot of it

    def __init__(self, pool: Pool, compiler: Compiler) -> None:
        self.token = secrets.token_urlsafe(24)
        self._pool, self._compiler = pool, compiler
        self._lock = threading.RLock()
        self._watching = Watching(lambda: pool.wake(self))
        self._settled = threading.Event()
        self._closed = False
        self.version = 0  # counts everything that could change a picture
        self._experiment: engine.Experiment | None = None  # what is wanted
        self._begin_with: engine.Experiment | None = None  # the same, until work() has begun with it,
        self._start: engine.Checkpoint | None = None  # where that one begins; None: at step 0
        self._origin: engine.Checkpoint | None = None  # where Reset goes back to; None: to step 0
        self._change_to: engine.Experiment | None = None  # or until work() has changed the running one to it
        self._begins = False  # is it to begin, or beginning? Then no change of settings can go into the run before
        self._setting = 0  # counts configure(), so that a browser can tell which picture answers which control
        self._playing, self._speed = False, 20
        self._goal: int | None = None  # train up to here
        self._show: int | None = None  # the step shown; None: the newest
        self._layer = 0
        self.network: Network | None = None  # whose weights it begins with
        self._training: Training | None = None  # what there is
        self._shown_setting = 0
        self._status, self._message = "ready", Said("")
        self._waits = False  # for its turn to train?
        self._stepped = 0.0  # when the last slice began,
        self._took = 0.0  # and how much work the last ones were, about, in seconds
        self.looks: dict[tuple[Any, ...], Look] = {}  # closer looks at it, by name and what was asked for
        self.held: Any = None  # what the page of closer looks has in view; it goes with the run, too

    # Commands: from any thread, at once, harmless when repeated.

    def configure(self, e: engine.Experiment, network: Network | None = None) -> None:
        """Go on with `e` where training can take it as it runs; else begin again. While playing, the new one plays.

        `network`: whose weights it begins with, where they fit; None: those that `e` draws.
        """
        self._watching.use()
        with self._lock:
            same = network is self.network
            if e == self._experiment and same:
                return
            self._experiment, self.network = e, network
            self._setting += 1
            self._settled.clear()
            self._pool.hold(self.token, ANSWER)
            if same and self._training is not None and not self._begins and self._training.takes(e):
                self._change_to = e
            else:
                self._want(e)
                self._goal = self._show = self._origin = None
        self._pool.wake(self)

    def start_from(self, c: engine.Checkpoint, network: Network | None = None) -> None:
        """Go on from a checkpoint, and rest there; `network`: whose weights it has begun with, if any. ValueError where
        it has more steps than a run here may have."""
        if c.step > LAST_STEP or len(c.history.at) != c.step:
            allowed = _("a run of up to {most} steps").format(most=f"{LAST_STEP:,}")
            raise ValueError(_("step {step}: allowed is {allowed}.").format(step=f"{c.step:,}", allowed=allowed))
        self._watching.use()
        with self._lock:
            self._experiment, self.network = c.experiment, network
            self._setting += 1
            self._playing, self._goal, self._show = False, None, None
            self._origin = c if network is None else None
            self._want(c.experiment, c)
        self._tell()
        self._pool.wake(self)

    def checkpoint(self, step: int | None = None) -> engine.Checkpoint | None:
        """The run at the kept step nearest to `step` (None: the newest); None before the first pass."""
        training = self._training
        return training.checkpoint(step) if training else None

    def _want(self, e: engine.Experiment | None, start: engine.Checkpoint | None = None) -> None:
        self._begin_with, self._start, self._change_to, self._begins = e, start, None, True
        self._settled.clear()

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
        self._pool.wake(self)

    def step(self, to: int) -> None:
        """Show step `to`; train up to it where it has not been reached."""
        with self._lock:
            self._playing = False
            reached = self._training.past.curves.reached if self._training and self._settled.is_set() else 0
            if to > reached and self._can_train():
                self._goal, self._show = min(to, LAST_STEP), None
            else:
                self._goal, self._show = None, to
        self._tell()
        self._pool.wake(self)

    def reset(self) -> None:
        """Back to step 0 with the same weights; where nobody has them, to where the run was taken up."""
        with self._lock:
            self._playing, self._goal, self._show = False, None, None
            if self._training is None or self._training.step > 0:
                self._want(self._experiment, self._origin)
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
        return self._watching.watch(wake)

    @property
    def watchers(self) -> int:
        """Open pictures of it."""
        return len(self._watching)

    def look_on(self) -> None:
        """Somebody is there without a picture of the run: it goes on a little longer."""
        self._watching.resume()

    def use(self) -> None:
        """Somebody will come back to it: it is not to be freed yet."""
        self._watching.use()

    def unused(self, now: float, after: float | None = None) -> bool:
        return self._watching.unused(now, after)

    def seen(self, timeout: float) -> bool:
        """Wait until somebody has seen the picture of the newest experiment; where nobody watches, do not wait."""
        return self._watching.saw(self._setting, timeout)

    def close(self) -> None:
        """No more work; and the memory is free at once, whoever still holds the run (a page that was closed may)."""
        with self._lock:
            self._closed = True
            self._playing, self._goal, self._begin_with, self._start, self._training = False, None, None, None, None
        for look in list(self.looks.values()):
            look.let_go()
        self.looks.clear()
        self.held = self.network = self._origin = None

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
            training = self._training
            run: dict[str, Any] = {
                "playing": self._playing or self._goal is not None,
                "step": 0,
                "reached": 0,
                "end": axis_end(0),
                "following": self._show is None,
                "speed": self._speed,
                "layers": 1,
                "layer": 0,
                "diverged": None,
                "stopped": None,
                "last_finite": 0,
                "setting": self._shown_setting,
            }
            if training is not None:
                past, layers = training.past, training.experiment.num_layers
                reached, diverged = past.curves.reached, past.curves.diverged
                run |= {
                    "step": past.at(self._show)[0],
                    "reached": reached,
                    "end": axis_end(reached),
                    "layers": layers,
                    "layer": min(self._layer, layers - 1),
                    "diverged": {"step": diverged[0], "tensor": diverged[1]} if diverged else None,
                    "stopped": past.stopped,
                    "last_finite": past.kept.newest.step,
                }
            return {"status": self._status, "message": str(self._message), "run": run}

    def picture(self) -> tuple[dict[str, Any], Snapshot | None]:
        """Head and snapshot of one and the same moment; no snapshot before the first pass."""
        with self._lock:
            return self.head(), self._training.snapshot(self._show, self._layer) if self._training else None

    def words(self, snapshot: Any, theme: str) -> dict[str, Any]:
        """What stands around the pictures of a snapshot, for the browser."""
        return {"verdict": verdict(snapshot), "cost": cost(snapshot), "radii": radii(snapshot)}

    @property
    def rests(self) -> bool:
        """It is not in training, and the step at which it stopped can be seen."""
        training = self._training
        return training is not None and not self.head()["run"]["playing"] and not training.unrecorded

    def past(self) -> Past | None:
        """All that is kept of it; None before the first pass."""
        training = self._training
        return training.past if training else None

    def _can_train(self) -> bool:
        if not self._settled.is_set():  # the run is about to begin
            return self._experiment is not None
        return self._training is not None and not self._training.ended

    def _tell(self) -> None:
        with self._lock:
            self.version += 1
        self._watching.tell()

    # Work: in one thread of the pool at a time.

    @property
    def takes(self) -> float:
        """Seconds that the next slice will take, about: a first picture costs a few passes."""
        e = self._begin_with or self._change_to
        return self._took if e is None else 4 * self._seconds(e)

    def work(self) -> float | None:
        try:
            with self._lock:
                begin, change, setting = self._begin_with, self._change_to, self._setting
                start = self._start if begin is not None else None
                self._begin_with = None
            if begin is not None and not self._compiling(begin):
                self._begin(begin, setting, start)
            elif begin is None and change is not None and not self._compiling(change):
                self._change(change, setting)
            return self._train()
        except Exception:
            log.exception("a run failed")
            self._fail(N_("Something went wrong in the computation. Reset begins again; so does every control."))
            return None

    def _fail(self, message: str) -> None:
        with self._lock:
            self._status, self._message = "error", Said(message)
            self._playing, self._goal, self._training, self._begins = False, None, None, False
        self._settled.set()
        self._tell()

    @property
    def _moved(self) -> bool:
        """Has a control moved, and nothing been done about it yet?"""
        return self._begin_with is not None or self._change_to is not None

    def _compiling(self, e: engine.Experiment) -> bool:
        """Is the experiment put off until its kernels are compiled?"""
        if engine.is_compiled(e):
            return False

        def done(error: Exception | None) -> None:
            if error is not None:
                self._fail(N_("The computation for this setting could not be compiled. Try another one."))
                return
            with self._lock:  # a newer experiment goes first, and one that has begun meanwhile goes on
                if self._begins and self._change_to is None:
                    self._begin_with = self._begin_with or self._experiment
            self._pool.wake(self)

        with self._lock:
            self._status = "compiling"
            self._message = Said(
                N_("Compiling the {cell} in {dtype}: needed once on this machine, and takes some seconds."),
                cell=engine.CELLS[e.cell].label, dtype=e.dtype,
            )  # fmt: skip
        self._tell()
        self._compiler.want(e, done)
        return True

    def _begin(self, e: engine.Experiment, setting: int, start: engine.Checkpoint | None = None) -> None:
        if short():  # all runs would end with the server
            self._fail(N_("This server has no memory left for this run. Choose smaller sizes, or come back later."))
            return
        begin = time.thread_time()
        training, said = self._trained(e, start), Said("")
        if start is not None and start is self._origin:
            if begins_as_drawn(start):
                self._origin = None
            else:
                text = N_("The weights that this run began with are not here: Reset goes back to step {step}.")
                said = Said(text, step=f"{start.step:,}")
        took = (time.thread_time() - begin) / 4  # of a step, about: a first picture costs a few passes
        with self._lock:
            if self._closed:
                return
            self._training, self._shown_setting, self._took = training, setting, took
            self._status, self._message = "ready", said
            if training.ended:
                self._playing, self._goal = False, None
            self._pool.hold(self.token, ANSWER / 2)
            if self._begin_with is None:
                self._begins, self._start = False, None
                self._settled.set()
        self._tell()

    def _seconds(self, e: engine.Experiment) -> float:
        """Of one pass, about."""
        return seconds(e)

    def _trained(self, e: engine.Experiment, start: engine.Checkpoint | None) -> Training:
        network = self.network
        first = e if start is None else start.experiment
        training = Training(first, start, network=network if network is not None and network.has_shape(e) else None)
        if e != first:  # settings that have changed since it was taken up
            training.change(e)
        return training

    def _change(self, e: engine.Experiment, setting: int) -> None:
        """Go on with other settings; what moves meanwhile is taken up next."""
        training = self._training
        with self._lock:
            if training is None or self._begin_with is not None:
                return
            self._change_to = None if self._change_to == e else self._change_to
        if not training.takes(e):  # it has diverged since
            self._begin(e, setting)
            return
        training.change(e)
        with self._lock:
            self._shown_setting = setting
            self._status, self._message = "ready", Said("")
            if training.ended:
                self._playing, self._goal = False, None
            if not self._moved:
                self._settled.set()
        self._tell()

    def _train(self) -> float | None:
        """A slice of training; returns when the next one is due."""
        with self._lock:
            training, goal, playing, speed = self._training, self._goal, self._playing, self._speed
        now = time.monotonic()
        if training is None or self._closed or not self._settled.is_set():
            return None
        if self._watching.unseen(now) or not (playing or goal is not None):
            if training.unrecorded:  # stopped between two pictures
                training.record(rests=True)
                self._tell()
            return None
        if not self._pool.turns.may(self.token, now):
            self._wait(N_("{n} runs train at once on this server: this one waits for its turn."), n=LIMITS.training)
            return now + WAIT
        self._wait("")
        paced = speed > 0 and goal is None
        if paced and now < (due := self._stepped + 1 / speed):
            return due
        self._stepped, begin = now, time.thread_time()
        last = LAST_STEP if goal is None else min(goal, LAST_STEP)
        training.advance(min(last, training.step + 1) if paced else last, lambda: self._moved or self._pool.held())
        if self._moved:  # a control moved: the pool has been told to come again at once
            return None
        done = training.ended or training.step >= last
        every = self._pool.every
        if done or (paced and every == EVERY) or training.due(every):
            training.record(rests=done)
            self._pool.pictured("pass", training.took)
            done = done or training.ended
            if done:
                self._finish(training)
            self._tell()
        self._took += 0.3 * (time.thread_time() - begin - self._took)
        return None if done else self._stepped + 1 / speed if paced else time.monotonic()

    def _wait(self, why: str, **values: object) -> None:
        """Say why it does not go on, or ("") that it does."""
        with self._lock:
            if self._waits == bool(why):
                return
            self._waits, self._message = bool(why), Said(why, **values)
        self._tell()

    def _finish(self, training: Training) -> None:
        with self._lock:
            # More steps may have been asked for meanwhile.
            farther = self._goal is not None and training.step < self._goal and not training.ended
            if not self._moved and not farther:  # a newer experiment goes on playing
                self._playing, self._goal = False, None
            if training.step >= LAST_STEP:
                self._message = Said(N_("Training ends at step {step}."), step=f"{LAST_STEP:,}")
