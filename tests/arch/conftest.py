"""The checkout, and what is written in it for people."""

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def checkout():
    """The top of the checkout."""
    return CHECKOUT


@pytest.fixture
def pages():
    """Every page written for people, as paths."""
    found = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("rules/*.md")]
    return sorted(found)
