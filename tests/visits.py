"""How tests of the browser open tabs: a fixture for each kind of visitor."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest


def visits(kind: Callable[..., Any], place: str = "", **always: Any) -> Any:
    """A fixture that opens tabs of this kind at `place` and what it is called with; `always`: of every tab's context.

    When the test ends they are closed, and none of them may have had an error.
    """

    @pytest.fixture
    def visit(browser: Any, server: Any) -> Iterator[Callable[..., Any]]:
        opened: list[Any] = []

        def new(query: str = "", **context: Any) -> Any:
            opened.append(kind(browser, server, place + query, **always | context))
            return opened[-1]

        yield new
        for visitor in opened:
            visitor.close()
            assert visitor.errors == []

    return visit
