"""The words of a room that the browser fills in: on a student's screen, and on the lecturer's."""

from app.figures.words import player_words
from app.words import _


def _question() -> dict[str, str]:
    return {"votes": _("{n} votes"), "votes_share": _("{n} ({share} %)"), "mine": _("your guess"), "right": _("right")}


def student_words() -> dict[str, str]:
    """Also those of the stage; a room's states take the place of its own."""
    closed = _("The lecturer has closed this room, or has left. Explore is yours: see the pages above.")
    return player_words() | _question() | {
        "room": _("Room {code}"),
        "from_here": _("Take it from here"),
        "from_here_long": _("A run of your own, from exactly this step: its weights, its optimizer and its settings."),
        "look": _("The lecturer points at: {picture}"),
        "away": _("The lecturer is away for the moment. The room stays open for some minutes."),
        "covered": _("The pictures are hidden. A question follows."),
        "no_socket": _("Live pictures cannot come here: the connection that carries them (a WebSocket) does not open."),
        "choose": _("Choose one. What the others say is shown when you have chosen."),
        "voted": _("{n} of {all} have voted. You may change your vote until this is over."),
        "running": _("No more votes. The run answers at training step {goal} at the latest."),
        "vote_over": _("No more votes."),
        "was_right": _("Your guess was right."),
        "was_wrong": _("Your guess was another."),
        "connecting_what": _("Waiting for the lecturer's run."),
        "connecting_why": _("The first picture comes by itself."),
        "offline_why": _("The pictures show step {n}, the last that arrived."),
        "ended": _("Closed"),
        "ended_what": _("This room is closed."),
        "ended_why": closed,
        "closed": _("Closed"),
        "closed_what": _("This room is closed."),
        "closed_why": closed,
        "full": _("Full"),
        "full_what": _("This room is full."),
        "full_why": _("As many as it can hold are watching already. Try again when somebody has left."),
    }  # fmt: skip


def host_words() -> dict[str, str]:
    return _question() | {
        "watching": _("{n} watching"),
        "watching_one": _("1 watching"),
        "connecting_room": _("connecting"),
        "join": _("Join: {link}"),
        "covered_host": _("The pictures are hidden, here and on every screen. Change what you like, then ask."),
        "voted_host": _("{n} of {all} have voted."),
        "running_host": _("No more votes. The run answers at training step {goal} at the latest."),
        "mark": _("No more votes. Which was right? Press it."),
        "act_answer": _("Let the run answer"),
        "act_end": _("End the vote"),
        "act_back": _("Take the question back"),
        "act_done": _("Done"),
        "act_reveal": _("Show the pictures"),
    }  # fmt: skip
