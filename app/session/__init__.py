"""What one visitor's session holds: the values of the controls, the preset, the experiment they make, and its run.

The link is read once, at the first run of a session, and again when the visitor goes back or forward; otherwise the
controls decide, and the link follows them. Whatever was chosen, by whatever way, can be undone.
"""

from app.session.brought import begin_with, forget, fresh_weights, kept_network, network, put_network_back, use
from app.session.choosing import (
    begin,
    change,
    changes,
    command,
    delivered,
    dismiss,
    go,
    going,
    load,
    put_back,
    put_back_refused,
    redo,
    undo,
)
from app.session.language import read_language
from app.session.linking import (
    EXTRA,
    address,
    complain,
    extra,
    read_beside,
    read_link,
    set_beside,
    set_extra,
    turn_to,
    write_link,
)
from app.session.running import give_way, make_way, opened, run, start_from, take, take_up

__all__ = [
    "EXTRA", "address", "begin", "begin_with", "change", "changes", "command", "complain", "delivered", "dismiss",
    "extra", "forget", "fresh_weights", "give_way", "go", "going", "kept_network", "load", "make_way", "network",
    "opened", "put_back", "put_back_refused", "put_network_back", "read_beside", "read_language", "read_link", "redo",
    "run", "set_beside", "set_extra", "start_from", "take", "take_up", "turn_to", "undo", "use", "write_link",
]  # fmt: skip
