"""The tasks: what a network is asked to remember. One file a task or a family, one line each in `TASKS`.

A task is a row (`Task`): how a batch is drawn, which loss it takes, where that loss is read, and the loss of the
best answer that ignores the inputs (its trivial baseline): a network "stuck on the line" has learned nothing.
"""

from engine.tasks import (
    adding,
    copy_memory,
    delayed_recall,
    digits,
    mackey_glass,
    markov,
    multiplication,
    parity,
    random_data,
    random_permutation,
    sine,
    sum_of_sines,
    temporal_order,
    text,
)
from engine.tasks.own import OwnTask, Tasks
from engine.tasks.task import Task

TASKS: Tasks = Tasks(
    {
        "adding": adding.TASK,
        "multiplication": multiplication.TASK,
        "delayed_recall": delayed_recall.TASK,
        "temporal_order": temporal_order.TASK,
        "temporal_order_3bit": temporal_order.THREE_BIT,
        "copy_memory": copy_memory.TASK,
        "random_permutation": random_permutation.TASK,
        "parity": parity.TASK,
        "parity_final": parity.FINAL,
        "sine": sine.TASK,
        "sum_of_sines": sum_of_sines.TASK,
        "mackey_glass": mackey_glass.TASK,
        "markov": markov.TASK,
        "text": text.TASK,
        "digits_rows": digits.ROWS,
        "digits_pixels": digits.PIXELS,
        "random_series": random_data.SERIES,
        "random_features": random_data.FEATURES,
        "random_vectors": random_data.VECTORS,
    }
)

__all__ = ["TASKS", "OwnTask", "Task"]
