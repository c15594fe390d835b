"""The examples in docstrings run, and say what they say."""

import doctest
import importlib
import pkgutil

import pytest

import app.figures
import engine

MODULES = [
    module.name
    for package in (engine, app.figures)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
