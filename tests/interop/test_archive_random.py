"""Any tree, any change of it: backed up by us, read and restored by stock restic and by us."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from include.backup.policy.model import Method
from tests.interop.archives import Archives
from tests.interop.survey import differences, survey
from tests.interop.trees import File, Folder, apply, changes, folders, grow

if TYPE_CHECKING:
    from tests.interop.conftest import Restic
    from tests.interop.trees import Change

pytestmark = pytest.mark.interop

# Each example runs stock restic three times. Under the torture profile there are more of them.
EXAMPLES = 8
TORTURE_EXAMPLES = 100
TORTURE = settings.get_current_profile_name() == "torture"


@settings(
    max_examples=TORTURE_EXAMPLES if TORTURE else EXAMPLES,
    phases=list(Phase) if TORTURE else [Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(tree=folders(), changed=changes())
def test_any_tree_and_any_change_of_it_comes_back(
    restic: Restic,
    tmp_path_factory: pytest.TempPathFactory,
    tree: Folder,
    changed: list[Change],
) -> None:
    """Both recovery points, through both programs; and an incremental is what a full would be."""
    folder = tmp_path_factory.mktemp("random")
    try:
        archives = Archives(folder / "site")
        grow(archives.data, Folder(entries={b"always": File(), b"tree": tree}))
        archives.hold_still()
        before, first = survey(archives.data), archives.back_up(Method.FULL)
        for change in changed:
            apply(archives.data / "tree", change)
        after, second = survey(archives.data), archives.back_up()
        assert second.details["generation"] == first.details["generation"]
        assert "no errors were found" in archives.restic(restic, first, "check", "--read-data")
        for name, wanted, outcome in (("first", before, first), ("second", after, second)):
            theirs = archives.restore_by_restic(restic, outcome, folder / f"{name}-theirs")
            assert differences(wanted, survey(theirs)) == []
            archives.restore(outcome, folder / f"{name}-ours")
            assert differences(wanted, survey(folder / f"{name}-ours")) == []
        assert archives.read_whole(second) == archives.data_root(second)
    finally:
        shutil.rmtree(folder)
