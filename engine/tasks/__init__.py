"""The tasks: what a network is asked to remember. One file a task, one line each in `TASKS`.

A task is a row (`Task`): how a batch is drawn, which loss it takes, where that loss is read, and the loss of the
best answer that ignores the inputs (its trivial baseline): a network "stuck on the line" has learned nothing.
"""

from engine.tasks import adding, copy_memory, sine, temporal_order
from engine.tasks.task import Task

TASKS: dict[str, Task] = {
    "adding": adding.TASK,
    "copy_memory": copy_memory.TASK,
    "temporal_order": temporal_order.TASK,
    "sine": sine.TASK,
}

__all__ = ["TASKS", "Task"]
