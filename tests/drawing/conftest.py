"""What the tests of the figures share."""

import jaxtyping
import pytest


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No annotation is enforced, as for users: what is wrong reaches the code's own checks."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
