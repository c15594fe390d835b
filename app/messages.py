"""`python -m app.messages` (make words): brings the catalogues in app/locale up to date with what the program says.

A message is what stands in `_("…")` or `N_("…")` anywhere in app/, and what the tables say of their rows: they are
read as they are, so that a new row brings its words with it. A translation stays as long as its message does; a new
message is put there untranslated, and tests/test_languages.py asks for it.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

import engine
from app import small
from app.figures.small import SMALL
from app.figures.why import WHY
from app.lessons import LESSONS
from app.settings import NEEDS
from app.words import LANGUAGES, LOCALE
from engine.instruments.mean_field import ROTATIONS, SLOPES
from engine.own.said import MEANINGS, SAID, WORDS
from engine.rows import Row
from engine.tasks import Task

APP = Path(__file__).parent
ROWS: dict[str, Mapping[str, Row | Task]] = {  # by the field that chooses among them
    "cell": engine.CELLS, "nonlinearity": engine.ACTIVATIONS, "init": engine.INITS, "task": engine.TASKS,
    "loss": engine.LOSSES, "optimizer": engine.OPTIMIZERS, "schedule": engine.SCHEDULES, "clip": engine.CLIPS,
    "batching": engine.BATCHINGS, "preset": engine.PRESETS,
}  # fmt: skip
NO_THEORY = (  # why the mean field does not hold; further ones name an activation or an initialiser
    "not for gated cells", "not for so few units", "not for several layers", "not for truncated backpropagation",
    "not for so few timesteps", "not without input", "not for inputs whose size changes along the sequence",
)  # fmt: skip


def messages() -> dict[tuple[str, str], list[str]]:
    """All messages, (context, id), each with the places that say it.

    The name of a row that is said elsewhere, too ("step", "unit"), stands there twice: the second time with its field
    as the context, for a language that has two words for it.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for place, message in (*_written(), *_of_tables(), *_of_tasks(), *_of_networks(), *_of_pages()):
        if message and place not in found.setdefault(("", message), []):
            found["", message].append(place)
    for field, table in ROWS.items():
        place = f"engine/{field}"
        found |= {(field, row.label): [place] for row in table.values() if found["", row.label] != [place]}
    return found


def _written() -> Iterator[tuple[str, str]]:
    """(Babel's own extractor does not see what stands within f-strings.)"""
    for file in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(ast.Name("_" | "N_"), [ast.Constant(str(message)), *_]):
                    yield str(file.relative_to(APP.parent)), message


def _of_networks() -> Iterator[tuple[str, str]]:
    """What is said of somebody's network, and why one is none: notes and errors of engine/foreign; and of its noise."""
    for file in sorted((APP.parent / "engine" / "foreign").glob("*.py")):
        place = str(file.relative_to(APP.parent))
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(ast.Name("note" | "Misfit" | "Ambiguous"), [*arguments]):
                    texts = [part.value for part in arguments if isinstance(part, ast.Constant)]
                    yield from ((place, text) for text in texts if isinstance(text, str) and " " in text)
                case ast.Assign(
                    [ast.Name("said" | "SHAPE" | "LEFT_OUT" | "BATCH_FIRST" | "NO_BIAS" | "ONE_BIAS")],
                    ast.Constant(str(text)),
                ):
                    yield place, text
    noise = engine.noise(1, 1).task
    yield from (("engine/own/noise.py", text) for text in (noise.label, noise.meaning, noise.source))


def _of_tables() -> Iterator[tuple[str, str]]:
    for choice in engine.Experiment.model_fields.values():
        about: Any = choice.json_schema_extra
        yield from (("engine/experiment.py", text or "") for text in (choice.title, choice.description, about["unit"]))
    for measure in engine.MEASURES.values():
        yield from (("engine/sweeps", text) for text in (measure.label, measure.unit, measure.meaning))
    for field, table in ROWS.items():
        for row in table.values():
            yield from ((f"engine/{field}", text) for text in (row.label, row.meaning, row.source))
    for preset in engine.PRESETS.values():
        yield "engine/preset", preset.group
    for measure in engine.MEASURES.values():
        yield from (("engine/sweeps", text) for text in (measure.label, measure.unit, measure.meaning))
    place = "engine/instruments/mean_field.py"
    yield from ((place, reason) for reason in NO_THEORY)
    yield from ((place, f"not for {name}") for name in engine.ACTIVATIONS if name not in SLOPES)
    unknown = [name for name, row in engine.INITS.items() if row.spread is None and name not in ROTATIONS]
    yield from ((place, f"not for {name} weights") for name in unknown)


def _of_tasks() -> Iterator[tuple[str, str]]:
    for task in engine.TASKS.values():
        words = (name for name in (*task.symbols, *task.classes) if len(name) > 1 and name.islower())  # not A, 7, ␣
        yield from (("engine/task", text) for text in (task.baseline_label, *task.references, *words))


def _of_pages() -> Iterator[tuple[str, str]]:
    yield from (("app/settings.py", need.words) for need in NEEDS.values())
    yield from (("app/figures/why.py", row.question) for row in WHY.values())
    for world in SMALL.values():
        yield from (("app/figures/small.py", text) for text in (world.label, world.question))
    yield from (("app/lessons", lesson.source) for lesson in LESSONS.values())
    for field in small.FIELDS.values():
        yield from (("app/small.py", text) for text in (field.label, field.meaning))
    yield from (("engine/own/said.py", text) for text in (*SAID.values(), *WORDS))
    for text in MEANINGS:
        yield "engine/own", text
    for starts in small.PRESETS.values():
        yield from (("app/small.py", text) for start in starts.values() for text in (start.label, start.meaning))


def update(language: str) -> Catalog:
    """Its catalogue with every message and no other, and the translations that there are."""
    file = LOCALE / f"{language}.po"
    with file.open("rb") as stream:
        before = read_po(stream, locale=language)
    after = Catalog(
        locale=language, project="Gradient explorer", version="1", charset="utf-8", fuzzy=False,
        last_translator="the project", language_team="the project", msgid_bugs_address="the project's issues",
        header_comment=before.header_comment,
        creation_date=before.creation_date, revision_date=before.revision_date,
    )  # fmt: skip
    for (context, message), places in messages().items():
        known = before.get(message, context or None)
        said = known.string if known else ""
        after.add(message, said, [(place, 0) for place in places], context=context or None)
    return after


def main() -> None:
    for language in LANGUAGES:
        if language == "en":  # the ids are English
            continue
        catalogue = update(language)
        with (LOCALE / f"{language}.po").open("wb") as stream:
            write_po(stream, catalogue, width=120, include_lineno=False)
        missing = [message.id for message in catalogue if message.id and not message.string]
        print(f"{language}: {len(catalogue)} messages, {len(missing)} of them untranslated")


if __name__ == "__main__":
    main()
