"""The programs and methods of the five articles from which the explorer started."""

from engine.presets.preset import Preset

GROUP = "Articles"

ARTICLES: dict[str, Preset] = {}
