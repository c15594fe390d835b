"""A text of one's own: at every step, predict the next character."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engine.own.reading import MOST_BYTES, NAMELESS, content, label_of
from engine.own.said import CHARACTER, SOURCE, Refused, Said, plain, quote, share_of
from engine.tasks.own import OwnTask, own_task
from engine.tasks.task import Task
from engine.tasks.text import HELD_BACK, counted, task_of, windows

MOST_SIGNS = 256  # different characters that a network can be given: inputs are one-hot
SIGNS = 100
MOST_CHARACTERS = 1 << 26
LEAST = 3  # characters of a part: two timesteps
OTHER = "▯"  # stands for all rare characters together
SHOWN = {"\n": "⏎", " ": "␣", "\t": "⇥"}


@dataclass(frozen=True, eq=False)
class Text:
    """codes (N,): each character as its place in `alphabet`. The first `training` of them are for training."""

    codes: np.ndarray
    alphabet: tuple[str, ...]
    training: int
    label: str
    notes: tuple[Said, ...]
    recipe: str

    @property
    def name(self) -> str:
        digest = hashlib.sha256(
            repr((self.alphabet, self.training, self.label, self.recipe, self.notes)).encode("utf-8", "replace")
        )
        digest.update(self.codes.tobytes())
        return f"text-{digest.hexdigest()[:24]}"

    @property
    def held(self) -> int:
        """Characters for validation."""
        return len(self.codes) - self.training

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """What training sees, and the end that is held back; where none is, the same twice."""
        return self.codes[: self.training], self.codes[self.training :] if self.held else self.codes

    def draw(self, rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """inputs (T, B, size) one-hot, targets (T, B): the next character; wholly in the part for training."""
        return windows(rng, self.parts[0], len(self.alphabet), seq_length, batch_size)

    def draw_validation(
        self, rng: np.random.Generator, seq_length: int, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As draw, from the end that is held back."""
        return windows(rng, self.parts[1], len(self.alphabet), seq_length, batch_size)

    def task(self) -> Task:
        known: dict[tuple[int, str], float] = {}
        parts, size = self.parts, len(self.alphabet)

        def loss_of(context: int, loss: str) -> float:
            if (context, loss) not in known:
                known[context, loss] = counted(*parts, size, context, loss)
            return known[context, loss]

        signs = tuple(_shown(character) for character in self.alphabet)
        return task_of(
            size,
            loss_of,
            label=self.label or "own text",
            meaning=CHARACTER,
            source=SOURCE,
            draw=self.draw,
            symbols=signs,
            classes=signs,
            draw_validation=self.draw_validation if self.held else None,
            max_length=min(len(part) for part in parts) - 1,
        )


def _shown(character: str) -> str:
    """A character as it is drawn."""
    seen = character.isprintable() and not character.isspace()
    return SHOWN.get(character) or (character if seen else f"U+{ord(character):04X}")


def text(
    source: Any,
    validation: float = HELD_BACK,
    lower: bool = False,
    signs: int = SIGNS,
    encoding: str | None = None,
    label: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> OwnTask:
    """A task of a text of one's own, to be used as `Experiment(task=text("novel.txt"), seq_length=50, …)`.

    source: the path of a text, its bytes ("…".encode() of a str) or the open file. Encoding (UTF-8, UTF-16, GB 18030,
    Latin-1) is found. The characters of the text are the alphabet; of more than `signs` the rarest count as one. lower:
    all in lower case. The last share `validation` of the text is kept for validation (0: none). A sequence is a stretch
    of seq_length characters from a random place of its part.

    `.data.notes` say what was found. Raises ValueError in one sentence; OSError where a path cannot be opened.
    """
    share = share_of(validation)
    if not isinstance(lower, bool):
        raise Refused("choice", name="lower", found=plain(repr(lower)), allowed="True, False")
    if isinstance(signs, bool) or not isinstance(signs, int | np.integer) or not 2 <= signs <= MOST_SIGNS:
        raise Refused("choice", name="signs", found=plain(repr(signs)), allowed=f"2 to {MOST_SIGNS}")
    read = content(source, encoding, label_of(source) if label is None else label, most_bytes)
    file = quote(read.label or NAMELESS)
    written = read.text.replace("\r\n", "\n").replace("\r", "\n")
    written = written.lower() if lower else written
    if len(written) > MOST_CHARACTERS:
        raise Refused("long_text", file=file, count=f"{len(written):,}", most=f"{MOST_CHARACTERS:,}")
    codes, alphabet, notes = _coded(written, int(signs))
    if len(alphabet) < 2:
        raise Refused("one_character", file=file)
    held = round(share * len(codes))
    if len(codes) - held < LEAST or (share and held < LEAST):
        raise Refused("few_characters", file=file, training=f"{len(codes) - held:,}",
                      held=f"{held:,}", least=LEAST)  # fmt: skip
    given = {"validation": share, "lower": lower, "signs": signs, "encoding": encoding}
    usual = {"validation": HELD_BACK, "lower": False, "signs": SIGNS, "encoding": None}
    path = repr(read.label) if read.label else "TEXT"
    recipe = ", ".join([path, *(f"{key}={value!r}" for key, value in given.items() if value != usual[key])])
    codes.setflags(write=False)
    notes = [*read.notes, *notes]
    return own_task(Text(codes, alphabet, len(codes) - held, read.label, tuple(notes), f"engine.text({recipe})"))


def _coded(written: str, most: int) -> tuple[np.ndarray, tuple[str, ...], list[Said]]:
    """The text as places in its alphabet, in the order of Unicode; of more characters than `most` the rarest are the
    last place, one for all."""
    points = np.frombuffer(written.encode("utf-32-le", "surrogatepass"), np.uint32)
    counts = np.bincount(points)
    found = np.flatnonzero(counts)
    place = np.zeros(len(counts), np.uint8)  # MOST_SIGNS fit
    if len(found) <= most:
        place[found] = np.arange(len(found))
        return place[points], tuple(map(chr, found)), []
    common = np.sort(found[np.argsort(-counts[found], kind="stable")[: most - 1]])
    place[found], place[common] = most - 1, np.arange(most - 1)
    share = 1 - counts[common].sum() / len(points)
    note = Said("rare", kinds=f"{len(found) - most + 1:,}", share=f"{100 * share:.2g}", sign=quote(OTHER))
    return place[points], (*map(chr, common), OTHER), [note]
