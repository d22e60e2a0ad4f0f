"""Tests what a user is told when the drawing packages are not installed."""

import importlib
import importlib.util

import pytest

import pairlight.plots
from pairlight.errors import MissingDependency


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'pairlight\[train\]'"):
        importlib.reload(pairlight.plots)
