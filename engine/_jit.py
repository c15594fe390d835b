"""The one decorator for kernels, and the one place that knows where compiled code is kept.

Numba checks the age of a kernel's own file only: after an edit of a callee in another file a cached caller would go
on returning old results. So the cache folder is named by a hash of all sources that a kernel may depend on, and a
stale one is never read; and by the width of the vectors, which Numba, to which they are the engine's own instructions,
does not see.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import IO, Any

import numba
from llvmlite.binding import parse_assembly
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.compiler_lock import global_compiler_lock

from engine._vec import register_bits

# No nnan and ninf: this project is about NaN and infinity. No reassoc: the same sum wherever it is computed.
FASTMATH = {"contract", "nsz", "arcp"}
KERNELS: list[Any] = []  # every kernel of the engine, for warm_up and for tests


WITHOUT_KERNELS = ("foreign", "own", "presets", "sweeps")  # folders that no module with a kernel imports


@cache
def sources_hash(kernels_only: bool = False) -> str:
    """A hash of all engine sources, or of those that compiled code depends on (beside Numba's version and the CPU)."""
    digest, engine = hashlib.sha256(), Path(__file__).parent
    for path in sorted(engine.rglob("*.py")):
        if not (kernels_only and path.relative_to(engine).parts[0] in (*WITHOUT_KERNELS, "__main__.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def cache_folder() -> str:
    """The first writable of NUMBA_CACHE_DIR, the engine's __pycache__, the user's cache folder, a temporary folder."""
    name = f"numba-{sources_hash(kernels_only=True)}-{register_bits()}"
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # unchanged where there is no home
    given = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(given)] if given else []
    places += [Path(__file__).parent / "__pycache__"]
    places += [Path(user) / "rnn-gradient-explorer"] if os.path.isabs(user) else []
    for place in places:
        folder = place / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except OSError:
            continue
    return tempfile.mkdtemp(prefix=name)


class _Locator(_CacheLocator):
    def __init__(self, name: str) -> None:
        self._name = name

    def ensure_cache_path(self) -> None:
        os.makedirs(self.get_cache_path(), exist_ok=True)

    def get_cache_path(self) -> str:
        return cache_folder()

    def get_source_stamp(self) -> str:
        return sources_hash(kernels_only=True)

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> "_Locator":
        return cls(py_func.__qualname__)


class _Lock:
    """Held by the one process that compiles into the cache folder; taken and given back under Numba's own lock.

    Where two compile at once, one would find callers whose callees it has compiled itself, and each would write its
    own list of what is there over the other's.
    """

    def __init__(self) -> None:
        self.file: IO[bytes] | None = None

    def take(self) -> None:
        with suppress(ImportError, OSError):  # Windows, or a file system without locks: some work is done twice
            import fcntl

            self.file = (Path(cache_folder()) / "lock").open("ab")
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def give_back(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


_LOCK = _Lock()


def _linked_once(result: Any) -> Any:
    """The result; where `matmul.once` says so, callers are linked to its code, and do not get a copy of it.

    Numba would link a copy into each caller, and optimise it anew: a fifth of the time that all compiling takes.
    """
    library, name = result.library, result.fndesc.mangled_name
    if b"noinline" in library._get_module_for_linking().get_function(name).attributes:
        library._shared_module = parse_assembly("")
    return result


def _names() -> set[str]:
    """The kernels of this process as the linker knows them: each name has the number of one compilation."""
    return {made.fndesc.mangled_name for kernel in KERNELS for made in kernel.overloads.values()}


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 (Numba's own attribute)

    def reduce(self, result: Any) -> Any:
        """With the names of the kernels that this one's code calls, or has copies of."""
        others = {function.name for function in result.library._final_module.functions} & _names()
        return sorted(others - {result.fndesc.mangled_name}), super().reduce(result)

    def rebuild(self, target_context: Any, reduced: Any) -> Any:
        copies, result = reduced
        if lost := set(copies) - _names():
            raise LookupError(f"compiled with others than are here: {lost}")
        return _linked_once(super().rebuild(target_context, result))


class _Cache(FunctionCache):
    _impl_class = _Impl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if _LOCK.file is None:
            with suppress(Exception):
                if (found := self._load(sig, target_context)) is not None:
                    return found
            _LOCK.take()  # given back when it is compiled, unless another process has done that meanwhile
        try:
            return self._load(sig, target_context)
        except Exception:  # what a crash or a full disk left damaged, or without its callee: compile, and write it anew
            self.flush()
            return None

    def _load(self, sig: Any, target_context: Any) -> Any:
        self._load_callees(target_context.codegen())
        return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):  # a full disk: the next process compiles it again, and this one goes on
            super().save_overload(sig, data)
        _linked_once(data)

    def _load_callees(self, codegen: Any) -> None:
        """Load the kernels that this one calls before its own file: see `_linked_once`.

        Of those that are small enough to be copied its file has another copy, which has been optimised a second time
        and may round a sum elsewhere; the linker takes what it meets first. A process that compiles meets a callee's
        own code first. Otherwise one that loads would have other last digits. A callee that was compiled again has
        another name: `_Impl` refuses a caller that is linked to the old one.
        """
        for name in self._py_func.__code__.co_names:
            callee = self._py_func.__globals__.get(name)
            cache = getattr(callee, "_cache", None)
            if isinstance(cache, _Cache):
                for key in cache._cache_file._load_index():
                    if key == cache._index_key(key[0], codegen):  # not another machine's
                        callee.compile(key[0])


def jit(function: Callable) -> Any:
    """Compile `function` on first use, without the GIL, and keep the machine code on disk."""
    return _kernel(function)


def inner(function: Callable) -> Any:
    """`jit` for a kernel that kernels alone call: Python's way into it, a sixth of all compiling, is left out.

    A call from Python ends the process: make it `jit` first.
    """
    return _kernel(function, no_cpython_wrapper=True)


def _kernel(function: Callable, **options: bool) -> Any:
    kernel = numba.njit(nogil=True, error_model="numpy", fastmath=FASTMATH, **options)(function)
    kernel._cache = _Cache(function)
    kernel.compile = _giving_back(kernel.compile)
    KERNELS.append(kernel)
    return kernel


def _giving_back(compile_it: Callable) -> Callable:
    """`kernel.compile`, after which the lock is free that it took."""

    @wraps(compile_it)
    def compiling(sig: Any) -> Any:
        with global_compiler_lock:
            outer = _LOCK.file
            try:
                return compile_it(sig)
            finally:
                if outer is None:
                    _LOCK.give_back()

    return compiling
