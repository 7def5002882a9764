"""Changing what was restored on trial before anybody looks at it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def plant_in(
    monkeypatch: pytest.MonkeyPatch, scratch: type[Any], fault: Callable[[Any], object]
) -> None:
    """Call `fault` with each scratch of a kind, once, before it is compared or judged."""
    lock = threading.Lock()
    done: list[Any] = []

    def first(one: Any) -> None:
        with lock:
            if not any(one is known for known in done):
                done.append(one)
                fault(one)

    for name in ("compare", "data"):
        original = getattr(scratch, name)

        def looked(one: Any, restored: Any, original: Any = original) -> Any:
            first(one)
            return original(one, restored)

        monkeypatch.setattr(scratch, name, looked)
