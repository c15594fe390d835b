"""The script of an experiment with the engine itself: only what differs from the defaults."""

import json
from collections.abc import Sequence

import engine
from app.code.shared import Given, block


def engine_script(
    e: engine.Experiment, steps: int, notes: Sequence[str] = (), given: Given | None = None
) -> str:  # fmt: skip
    """It trains for so many steps and prints the loss. `notes`: what is to be said of it."""
    default, own = engine.Experiment(), isinstance(e.task, engine.OwnTask)
    fields = [
        f"{name}={'data' if name == 'task' and own else json.dumps(value) if isinstance(value, str) else repr(value)}"
        for name, value in e.model_dump().items()
        if value != getattr(default, name)
    ]
    one = f"e = engine.Experiment({', '.join(fields)})"
    made = one if len(one) <= 100 else "\n".join(["e = engine.Experiment(", *(f"    {line}," for line in fields), ")"])
    head = ['"""The experiment in Python with `engine`, in the folder of its repository or with it on PYTHONPATH.']
    head = [*head, "", *notes, '"""'] if notes else [head[0] + '"""']
    if isinstance(e.task, engine.OwnTask):
        made = f"data = {e.task.data.recipe}\n{made}"
    trained = f"history = engine.train(e, steps={steps})"
    if given is not None:
        options = "".join(f", {name}={json.dumps(value)}" for name, value in given.options.items())
        trained = "\n".join([
            f"found = engine.load_weights({json.dumps(given.file)}{options})  # the file that the run began with",
            "trainer = engine.Trainer(e, state_dict=found.state_dict)",
            f"trainer.advance({steps})",
            "history = trainer.history",
        ])  # fmt: skip
    rest = block("""
        for step, loss in zip(history.at[::10], history.loss[::10]):
            print(f"step {step}: loss {loss:.6g}")
    """)
    return "\n".join([*head, "", "import engine", "", made, trained, rest]) + "\n"
