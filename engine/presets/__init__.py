"""Presets: the articles' programs and the classic experiments. One line each in `PRESETS`; articles.py, classics.py."""

from engine.presets.articles import ARTICLES
from engine.presets.classics import CLASSICS
from engine.presets.preset import Preset

PRESETS: dict[str, Preset] = {**ARTICLES, **CLASSICS}

__all__ = ["PRESETS", "Preset"]
