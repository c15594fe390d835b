"""A kept step of a run as a checkpoint: to go on from there elsewhere. No Streamlit in here."""

import numpy as np

import engine
from app.curves import Curves
from app.kept import Weights

VALIDATE_EVERY = 10  # steps, of every run of the app


def begins_as_drawn(c: engine.Checkpoint) -> bool:
    """Did the run begin with the weights that its experiment draws? Its first loss says so; one pass long."""
    first = {change.field: change.before for change in reversed(c.history.changes)}
    try:
        trainer = engine.Trainer(c.experiment.replace(**first), validate_every=0)
    except ValueError:  # no run's history, but a file's
        return False
    if not c.step:
        return all(np.array_equal(w, c.state_dict[name], equal_nan=True) for name, w in trainer.state_dict.items())
    trainer.advance(1)
    # float32 on a machine with other instructions
    return bool(np.allclose(trainer.history.loss[:1], c.history.loss[0], rtol=1e-5, atol=0, equal_nan=True))


def checkpoint_of(curves: Curves, weights: Weights, seconds: float) -> engine.Checkpoint:
    """The run as it was at the step of these weights; `seconds`: of training until then."""
    e, step = weights.experiment, weights.step
    changes = tuple(change for change in curves.changes if change.step <= step)
    rows = curves.rows_at < step
    log10 = curves.rows[rows]
    history = engine.History(
        at=np.arange(step),
        loss=curves.loss[:step],
        validation_loss=curves.validation[:step],
        lr=curves.lr[:step],
        grad_norm=curves.grad_norm[:step],
        clipped=curves.clipped[:step],
        examples=curves.examples[:step],
        log10_grad_norms=log10,
        grad_norms_at=curves.rows_at[rows],
        diverged_at=None,
        diverged_tensor=None,
        changes=changes,
    )
    state = weights.optimizer_state
    if state is None:
        flat = np.concatenate([value.ravel() for value in weights.state_dict.values()])
        state = engine.OPTIMIZERS[e.optimizer].init(flat)
    validation = history.validation_loss
    best = int(np.nanargmin(validation)) if np.isfinite(validation).any() else None
    return engine.Checkpoint(
        experiment=e,
        step=step,
        state_dict=weights.state_dict,
        optimizer_state=state,
        history=history,
        validate_every=VALIDATE_EVERY,
        schedule_since=max((change.step for change in changes if change.field.startswith("schedule")), default=0),
        examples=int(history.examples[-1]) if step else 0,
        seconds=seconds,
        last_loss=float(history.loss[-1]) if step else float("inf"),
        best=(float("inf"), 0) if best is None else (float(validation[best]), best),
        measured=(step - 1) // VALIDATE_EVERY * VALIDATE_EVERY if step else 0,
    )
