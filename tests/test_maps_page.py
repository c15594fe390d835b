"""The Maps page without a browser: what it shows at once, every control, nonsense, large maps, and the way to a run."""

import html
import time
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import link, maps
from app.mapping import KNOWN, Map
from app.maps_ready import MAPS
from app.registry import RUNS
from tests.test_app import EXPLORER
from tests.test_app import runs_end as runs_end  # a fixture

SMALL = {"hidden_size": "4", "batch_size": "2", "seq_length": "8"}
MAP = {"across": "gain:0.5:1.5:3", "up": "seq_length:8:16:3", "samples": "1", "train": "0"}


def page(**query: str) -> AppTest:
    at = AppTest.from_file(EXPLORER, default_timeout=60)
    at._page_hash = calc_hash("maps")
    at.query_params.update(SMALL | query)
    at.run()
    assert not at.exception, [error.message for error in at.exception]
    return at


def held(at: AppTest) -> Map | None:
    run = RUNS.get(at.session_state["token"])
    assert run is not None
    return run.held if isinstance(run.held, Map) else None


def finished(at: AppTest) -> Map:
    found, end = held(at), time.monotonic() + 60
    assert found is not None
    while not found.done.wait(0.2):
        found.want()
        assert time.monotonic() < end
    at.run()
    assert not at.exception
    return found


def said(at: AppTest) -> str:
    return html.unescape(" ".join([part.proto.body for part in at.get("html")] + [text.value for text in at.text]))


def keys(at: AppTest) -> str:
    """Of all containers."""

    def below(block: Any) -> Iterator[str]:
        yield str(getattr(block.proto, "id", "") or "")
        for child in getattr(block, "children", {}).values():
            yield from below(child) if hasattr(child, "children") else ()

    return " ".join(below(at.main))


def widget(at: AppTest, key: str) -> Any:
    return next(element for element in at.main if getattr(element, "key", None) == key)


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    yield
    KNOWN._found.clear()


def test_without_a_word_a_map_of_the_network_is_made_at_once():
    at = page()
    assert held(at) is not None
    assert at.query_params["across"] == "gain:0.4:2:17"
    assert at.query_params["measure"] == "decades_per_step"


def test_a_map_is_computed_and_said():
    at = page(**MAP)
    found = finished(at)
    assert found.count.size == 9
    assert "9 networks." in said(at)


def test_a_knob_of_the_map_moves_nothing_and_another_one_begins_again():
    at = page(**MAP)
    found = finished(at)
    at.sidebar.select_slider(key="gain").set_value(1.0).run()
    assert held(at) is found
    at.sidebar.select_slider(key="hidden_size").set_value(8).run()
    assert held(at) is not found
    assert finished(at).plan.base.hidden_size == 8


def test_the_chooser_writes_the_address():
    at = page(**MAP)
    widget(at, "maps_measure").select("val_loss").run()
    assert at.query_params["measure"] == "val_loss"
    assert at.query_params["train"] == str(maps.USUAL)  # it is measured while a network trains
    widget(at, "maps_train").select(50).run()
    assert at.query_params["train"] == "50"
    widget(at, "maps_up").select("").run()
    assert at.query_params["up"] == "none"
    widget(at, "maps_across").select("cell").run()
    assert at.query_params["across"] == "cell:rnn,lstm,gru"
    assert not at.exception


def test_a_range_that_makes_no_sense_is_refused_and_the_old_one_stays():
    at = page(**MAP)
    widget(at, "maps_across_high").set_value(0.1).run()
    assert "has to end above" in said(at)
    assert at.query_params["across"] == "gain:0.5:1.5:3"
    widget(at, "maps_across_high").set_value(2.0).run()
    assert at.query_params["across"] == "gain:0.5:2:3"


@pytest.mark.parametrize("name", MAPS)
def test_a_ready_map_sets_its_controls_and_is_found_again(name, monkeypatch):
    monkeypatch.setattr("app.mapping.Map.start", lambda self: self)  # it is not computed here
    row = MAPS[name]
    at = AppTest.from_file(EXPLORER, default_timeout=60)
    at._page_hash = calc_hash("maps")
    at.query_params.update(link.write(row.experiment) | maps.write(row.choice))
    at.run()
    assert not at.exception
    chosen = {at.session_state[f"maps_ready_{k}"] for k in range(2)}
    assert chosen == {name, None}, "it is marked, and it alone"
    assert row.see in said(at)


def test_where_it_trains_is_one_click_from_where_the_gradient_lives(monkeypatch):
    monkeypatch.setattr("app.mapping.Map.start", lambda self: self)
    at = page(**MAP)
    at.button(key="maps_train_it").click().run()
    assert not at.exception
    assert (at.query_params["measure"], at.query_params["train"]) == ("val_loss", str(maps.USUAL))
    assert (at.query_params["across"], at.query_params["up"]) == (MAP["across"], MAP["up"])
    assert not [button for button in at.button if button.key == "maps_train_it"], "it is shown already"


def test_nonsense_in_the_address_is_a_sentence():
    at = page(across="gian:0:1:3", up="<b>:1:2:3")
    assert "nearest is gain" in said(at)
    assert at.query_params["across"] == "gain:0.4:2:17"


def test_what_does_not_count_is_said_in_place_of_a_map():
    at = page(**(MAP | {"across": "forget_bias:0:2:3"}))
    assert "does not count here" in said(at)
    assert held(at) is None


def test_a_large_map_says_what_it_costs_and_waits(monkeypatch):
    monkeypatch.setattr("app.views.maps.AT_ONCE", 0.0)
    at = page(**MAP)
    assert held(at) is None
    assert "9 networks, about" in said(at)
    assert "maps_ask" in keys(at)  # in the place of the picture, and no longer in the line over it
    assert "maps_state" not in keys(at)
    at.button(key="maps_start").click().run()
    assert "maps_ask" not in keys(at)
    assert finished(at).count.all()


def test_cancelled_and_gone_on(monkeypatch):
    def slow(e: Any, names: Any, steps: int) -> Any:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            time.sleep(0.02)
            yield 0.5
        return dict.fromkeys(names, 1.0)

    monkeypatch.setattr("app.mapping.measure_in_pieces", slow)
    at = page(**MAP)
    at.button(key="maps_cancel").click().run()
    assert "Stopped:" in said(at)
    monkeypatch.setattr("app.mapping.measure_in_pieces", lambda e, names, steps: iter_of(names))
    at.button(key="maps_again").click().run()
    assert finished(at).count.all()


def iter_of(names: Any) -> Any:
    yield 0.5
    return dict.fromkeys(names, 1.0)
