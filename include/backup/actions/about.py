"""What lies beside a dataset in its snapshot: `/.holdfast/RESTORE.md`, and files of the source.

    /<dataset>/…                the data
    /.holdfast/RESTORE.md       how to put this very data back with stock restic and stock tools
    /.holdfast/…                what the source has to say about it, as in manifest.json

Pages and manifests do not hold the time of the backup: what has not changed is stored once.
"""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Final

from include.backup.actions.cutting import Cutter
from include.backup.errors import DamageFound
from include.backup.evidence.wording import count, size
from include.backup.format.ids import BlobType
from include.backup.format.times import text_of_datetime
from include.backup.format.tree import Node, NodeType, encode_tree
from include.backup.repository.progress import Progress
from include.backup.sources.contents import Bytes
from include.backup.sources.file_nodes import shown
from include.backup.vault.layout import DATASETS, envelope_folder, generation_folder
from include.backup.vault.recovery_text import endpoint_of
from include.backup.vault.rescue import UNWRAP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from include.backup.actions.counts import Counts
    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.format.snapshot import Snapshot
    from include.backup.repository.repository import Repository
    from include.backup.repository.writer import WriteSession
    from include.backup.vault.generations import Generation

FOLDER: Final = b".holdfast"
RESTORE_MD: Final = "RESTORE.md"
LARGEST_ABOUT_BYTES: Final = 256 << 20  # of one file that is read into memory
_FOLDER_MODE: Final = 1 << 31 | 0o755  # as Go's os.FileMode has it
_FILE_MODE: Final = 0o644


class ParentPoint:
    """The recovery point that an incremental adds to; see sources.base.Parent."""

    def __init__(self, repository: Repository, snapshot: Snapshot) -> None:
        self._repository = repository
        self.snapshot = snapshot
        self._roots = repository.load_tree(snapshot.tree)

    @property
    def taken_at(self) -> datetime:
        """See Parent."""
        return self.snapshot.time

    def root(self, name: bytes) -> Node | None:
        """One of the directories at the top of the snapshot."""
        return next((node for node in self._roots if node.name == name), None)

    def load(self, name: str) -> bytes | None:
        """See Parent."""
        node = self.root(FOLDER)
        for part in name.encode().split(b"/"):
            if node is None or node.subtree is None:
                return None
            inner = self._repository.load_tree(node.subtree)
            node = next((entry for entry in inner if entry.name == part), None)
        if node is None or node.content is None:
            return None
        self._require_small(name, node.content)
        return b"".join(self._repository.load_blob(BlobType.DATA, one) for one in node.content)

    def _require_small(self, name: str, content: Sequence[bytes]) -> None:
        """Refuse what would fill the memory: a blob may be named any number of times.

        Raises:
            DamageFound.
        """
        size = 0
        for blob_id in content:
            places = self._repository.index.locations(BlobType.DATA, blob_id)
            size += places[0].plaintext_bytes if places else 0
            if size > LARGEST_ABOUT_BYTES:
                raise DamageFound(f"/.holdfast/{name} is too large for what it is")


class AboutFolder:
    """The directory `/.holdfast` of a snapshot that is being made."""

    def __init__(
        self,
        repository: Repository,
        session: WriteSession,
        parent: ParentPoint | None,
        *,
        taken_at: datetime,
        go_on: Callable[[], None],
    ) -> None:
        self._repository = repository
        self._session = session
        self._parent = parent
        self._taken_at = text_of_datetime(taken_at)
        # A progress of its own: these are no data of the user's.
        self._cutter = Cutter(repository, session, progress=Progress(), go_on=go_on)

    def store(self, files: Mapping[str, bytes]) -> Node:
        """Store files, given by their names below the directory; return its node.

        Raises:
            as WriteSession.
        """
        before = self._parent.root(FOLDER) if self._parent else None
        named = {tuple(name.encode().split(b"/")): data for name, data in files.items()}
        return self._folder(FOLDER, named, before)

    def _folder(
        self, name: bytes, files: Mapping[tuple[bytes, ...], bytes], before: Node | None
    ) -> Node:
        known = {}
        if before is not None and before.subtree is not None:
            known = {node.name: node for node in self._repository.load_tree(before.subtree)}
        nodes = []
        for first in sorted({path[0] for path in files}):
            inner = {path[1:]: data for path, data in files.items() if path[0] == first}
            if () in inner:
                nodes.append(self._file(first, inner[()], known.get(first)))
            else:
                nodes.append(self._folder(first, inner, known.get(first)))
        tree = self._session.add_blob(BlobType.TREE, encode_tree(nodes))
        made = self._node(name, NodeType.DIR)._replace(subtree=tree)
        return _same(made, before)

    def _file(self, name: bytes, data: bytes, before: Node | None) -> Node:
        node = self._node(name, NodeType.FILE)
        cut = self._cutter.store(Bytes(node, data))
        return _same(node._replace(content=tuple(cut.blobs), size=cut.size_bytes), before)

    def _node(self, name: bytes, kind: NodeType) -> Node:
        return Node(
            name=name,
            type=str(kind),
            mode=_FOLDER_MODE if kind is NodeType.DIR else _FILE_MODE,
            mtime=self._taken_at,
            atime=self._taken_at,
            ctime=self._taken_at,
        )


def restore_md(
    place: DatasetVault, generation: Generation, counts: Counts, steps: str, *, unwrap: str = UNWRAP
) -> bytes:
    """How to put a recovery point back without Holdfast, for whoever reads it in the snapshot.

    Args:
        steps: what the source says of its data.
        unwrap: the name of the script in the vault that opens its envelope.
    """
    name = place.dataset.name
    repository = generation_folder(place.folder, generation.id).restic_address
    in_bucket = repository.startswith("s3:")
    vault = place.folder.url if in_bucket else place.folder.restic_address
    vault = vault.removesuffix(f"/{DATASETS}{name}")
    password = (_FROM_BUCKET if in_bucket else _FROM_FOLDER).format(
        script=quote(f"{vault}/{unwrap}"),
        keys=quote(f"{vault}/{DATASETS}{name}/{envelope_folder(generation.id)}"),
        endpoint=quote(endpoint_of(repository)) if in_bucket else "",
    )
    return _RESTORE_MD.format(
        dataset=name,
        data_class=place.data_class.name,
        address=place.dataset.address,
        extent=f"{count(counts.files, 'file')}, {size(counts.bytes_all)}",
        repository=quote(repository),
        access=_ACCESS_TO_BUCKET if in_bucket else "",
        parts=_parts(counts),
        room=counts.bytes_all,
        password=password.strip(),
        generation=generation.id,
        vault=place.vault.url,
        steps=steps.strip(),
    ).encode()


def _parts(counts: Counts) -> str:
    """A line for each large directory at the top, so that what is needed first can come first."""
    if not counts.parts:
        return ""
    lines = [f"* `{ascii(shown(name))[1:-1]}`: {size(held)}" for name, held in counts.parts]
    return "\nOf its directories the largest, by the size of their files:\n\n" + (
        "\n".join(lines) + "\n"
    )


def _same(made: Node, before: Node | None) -> Node:
    """The parent's node, if only the time differs."""
    if before is None:
        return made
    dated = made._replace(mtime=before.mtime, atime=before.atime, ctime=before.ctime)
    return before if dated == before else made


_ACCESS_TO_BUCKET: Final = """
restic takes the right to read the bucket from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, its
region from AWS_DEFAULT_REGION, and a certificate authority of your own from SSL_CERT_FILE.
"""
_FROM_FOLDER: Final = """
for one in {keys}*.json; do python3 -I {script} "$one" > password && break; done
"""
_FROM_BUCKET: Final = """
aws --endpoint-url {endpoint} s3 cp {script} unwrap.py
aws --endpoint-url {endpoint} s3 cp --recursive {keys} keys
for one in keys/*.json; do python3 -I unwrap.py "$one" > password && break; done
"""
_RESTORE_MD: Final = """\
# Restoring {dataset} without Holdfast

Dataset `{dataset}` of class `{data_class}`, taken from {address}: {extent}.
{parts}
It lies in the repository of generation `{generation}` in the vault {vault}, an ordinary restic
repository (version 2) that restic 0.14 or newer opens:

    export RESTIC_REPOSITORY={repository}
    export DATASET={dataset}
    restic snapshots
{access}
The password is sealed with the master key, in `datasets/{dataset}/keys/{generation}/` of the vault.
Whoever reads this in a restored directory has it already. Else `RECOVERY.txt` at the root of the
vault leads to it, in short by these lines, which ask for the master key (compare the SHA-256 of
`unwrap.py` with that on the recovery sheet first), and `export RESTIC_PASSWORD_FILE=$PWD/password`:

```sh
{password}
```

Where Holdfast still runs, `holdfast keys export {dataset} {generation}` prints it.

Choose a snapshot, and an empty directory with room for {room} bytes:

    SNAPSHOT=latest
    TARGET=/where/there/is/room
    mkdir -p "$TARGET"
    test "$(df --output=avail -B1 "$TARGET" | tail -n 1)" -gt {room}

{steps}

Somebody's data may have been erased at its source since then: it comes back with this. Where
Holdfast still runs, `holdfast erasures --dataset {dataset}` lists what has to be erased again, and
`holdfast erasures show {dataset} ID` prints it.
"""
