"""The reader's language: who decides it, and that a sentence is said in it wherever it was thought of."""

import threading

import pytest

from app import words
from app.words import Said, _, language, speak

SENTENCE = "Compiling the {cell} in {dtype}: needed once on this machine, and takes some seconds."


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch):
    catalogue = {SENTENCE: "{dtype} 的 {cell} 编译中", "Layer": "层"}
    monkeypatch.setattr(words, "_catalogue", lambda name: catalogue if name == "zh" else {})
    yield
    speak("en")


def test_a_sentence_is_said_in_the_language_of_whoever_reads_it():
    said = Said(SENTENCE, cell="LSTM", dtype="float32")
    assert str(said) == SENTENCE.format(cell="LSTM", dtype="float32")
    speak("zh")
    assert str(said) == "float32 的 LSTM 编译中"
    assert (_("Layer"), _("not translated"), str(Said(""))) == ("层", "not translated", "")
    speak("<b>")
    assert (language(), _("Layer")) == ("en", "Layer")


def test_threads_have_readers_of_their_own():
    speak("zh")
    heard: list[str] = []
    thread = threading.Thread(target=lambda: heard.append(_("Layer")))
    thread.start()
    thread.join()
    assert heard == ["Layer"]
    assert _("Layer") == "层"
