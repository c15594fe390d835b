"""What sweeps have found, in one SQLite file: a point that is known costs nothing, and a killed sweep goes on."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isnan, nan
from os import PathLike, fspath
from threading import RLock
from typing import Self

APPLICATION = 0x524E4E53  # "RNNS" in SQLite's header: a database of something else is never written to
SCHEMA = 1
WAIT = 30.0  # seconds for another process's write, which takes less than a millisecond
TABLE = """
CREATE TABLE found (
    key TEXT NOT NULL, measure TEXT NOT NULL, value REAL, error TEXT NOT NULL, PRIMARY KEY (key, measure)
) WITHOUT ROWID
"""


class Store:
    """Values of points by key and measure, in a file or, as ":memory:", until it is closed.

    Threads may share a Store, and any number of processes a file. Every `put` is a transaction: after a kill at any
    moment all that was put is there, and nothing by halves. Keys hold the engine's version (`Plan.key`): rows of
    another one are never found. NaN is a value. Where the file cannot be opened, is none of these or has another
    schema, and where reading or writing fails, a ValueError says so.

    >>> with Store(":memory:") as store:
    ...     store.put("k", {"chi": 0.81})
    ...     store.known(["k", "l"], ["chi", "loss"])
    {'k': {'chi': 0.81}}
    """

    def __init__(self, path: str | PathLike[str] = ":memory:") -> None:
        self.path = fspath(path)
        if not isinstance(self.path, str) or not self.path:
            raise ValueError(f"store: {path!r}; allowed: a path, or ':memory:'")
        self._lock = RLock()
        with self._said("cannot be opened"):
            self._connection = sqlite3.connect(self.path, WAIT, isolation_level=None, check_same_thread=False)
        try:
            with self._said("is no store of sweeps"):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def known(self, keys: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, float]]:
        """What is known of these measures at these points: keys and names of which nothing is are left out."""
        query = (
            "SELECT key, measure, value FROM found WHERE key IN (SELECT value FROM json_each(?))"
            " AND measure IN (SELECT value FROM json_each(?))"
        )
        found: dict[str, dict[str, float]] = {}
        with self._lock, self._said("cannot be read"):
            for key, name, value in self._connection.execute(query, (_json(keys), _json(names))):
                found.setdefault(key, {})[name] = nan if value is None else value
        return found

    def errors(self, keys: Iterable[str], names: Iterable[str]) -> dict[str, str]:
        """What the points among these said that raised when one of these measures was taken."""
        query = (
            "SELECT key, max(error) FROM found WHERE key IN (SELECT value FROM json_each(?))"
            " AND measure IN (SELECT value FROM json_each(?)) AND error != '' GROUP BY key"
        )
        with self._lock, self._said("cannot be read"):
            return dict(self._connection.execute(query, (_json(keys), _json(names))))

    def put(self, key: str, values: Mapping[str, float], error: str = "") -> None:
        """Keep values of a point, over what was there; where it raised, NaN for them and what it said."""
        rows = [(key, name, None if isnan(value) else float(value), error) for name, value in values.items()]
        with self._lock, self._said("cannot be written"), self._writing() as write:
            write.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close it; the last one to do so leaves one file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        """Make the tables where the file is new; refuse one that is not ours."""
        with self._writing() as write:
            schema, ours = self._pragma("user_version"), self._pragma("application_id") == APPLICATION
            if not ours:
                if write.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] or schema:
                    raise ValueError(f"store: {self.path!r} is a database of something else; allowed: a new file")
                write.execute(TABLE)
                write.execute(f"PRAGMA application_id = {APPLICATION}")
                write.execute(f"PRAGMA user_version = {SCHEMA}")
            elif schema != SCHEMA:
                raise ValueError(
                    f"store: {self.path!r} has schema {schema}, of another version of the explorer; "
                    f"allowed: schema {SCHEMA}, or a new file"
                )
        # Readers and a writer beside each other; a commit is in the file's log before `put` returns, whoever is killed
        # then. Not after every fsync: only a machine that loses its power may lose the last ones.
        self._patiently("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _patiently(self, statement: str) -> None:
        """SQLite does not wait by itself where the journal changes its mode while another process looks."""
        end = time.monotonic() + WAIT
        while True:
            try:
                self._connection.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that takes its turn before it reads, so that it never has to be done again."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ValueError(
                f"store: {self.path!r} {what} ({error}); allowed: a file of a sweep before, or a path for a new one"
            ) from None


def _json(words: Iterable[str]) -> str:
    return json.dumps(list(words))
