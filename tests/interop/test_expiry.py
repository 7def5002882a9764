"""What expiry leaves is a repository that stock restic has nothing to say about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.expire import expire
from include.backup.policy.model import Method
from include.backup.repository import lock
from include.backup.vault.keyring import KeyContext, load_secret
from tests.damage.expiring import back_up_daily, generations
from tests.damage.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.conftest import Restic

pytestmark = pytest.mark.interop


def test_stock_restic_checks_what_is_left(
    tmp_path: Path, restic: Restic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generation whole but for the snapshots that have expired; nothing of the one that died."""
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.0)
    site = Site(tmp_path)
    back_up_daily(site, 3)
    site.wait(days=20)
    back_up_daily(site, 4, method=Method.FULL)
    site.wait(days=26, hours=12)
    outcome, _ = expire(site.setting(), "crm")
    [living] = generations(site)
    assert (outcome.details["expired"], len(outcome.details["generations"])) == (4, 1)
    place = site.place()
    context = KeyContext(dataset="crm", generation=living)
    password = load_secret(place.folder, place.provider(), context).password
    repository = site.dump(tmp_path / "dumped") / "datasets" / "crm" / "generations" / living
    restic.run("check", "--read-data", repository=repository, password=password)
    left = restic.run("snapshots", "--compact", repository=repository, password=password)
    assert "3 snapshots" in left
    target = tmp_path / "by-restic"
    restic.run(
        *("restore", "latest", "--target", str(target)), repository=repository, password=password
    )
    assert site.content(target / "crm") == site.content()
    assert site.now - timedelta(days=50) < place.state().points[0].taken_at
