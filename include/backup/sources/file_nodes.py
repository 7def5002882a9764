"""What the kernel says about files, as nodes of a tree.

Source: restic's internal/fs (nodeFromFileInfo); Go's os.FileMode.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from errno import EINVAL, ENODATA, ENOSYS, EOPNOTSUPP
from functools import lru_cache

from include.backup.format.times import text_of_nanoseconds
from include.backup.format.tree import Node, NodeType

_GO_BITS = {
    stat.S_IFDIR: (NodeType.DIR, 1 << 31),
    stat.S_IFREG: (NodeType.FILE, 0),
    stat.S_IFLNK: (NodeType.SYMLINK, 1 << 27),
    stat.S_IFBLK: (NodeType.DEVICE, 1 << 26),
    stat.S_IFCHR: (NodeType.CHAR_DEVICE, 1 << 26 | 1 << 21),
    stat.S_IFIFO: (NodeType.FIFO, 1 << 25),
    stat.S_IFSOCK: (NodeType.SOCKET, 1 << 24),
}
_DIR = str(NodeType.DIR)
_UNCOUNTED = frozenset({_DIR, str(NodeType.FIFO), str(NodeType.SOCKET)})
_GO_SETUID, _GO_SETGID, _GO_STICKY = 1 << 23, 1 << 22, 1 << 20
_PERMISSIONS = 0o777


@lru_cache(maxsize=1024)
def type_and_mode(st_mode: int) -> tuple[str, int]:
    """The node's type and the bits of Go's os.FileMode."""
    kind, mode = _GO_BITS[stat.S_IFMT(st_mode)]
    mode |= st_mode & _PERMISSIONS
    if st_mode & stat.S_ISUID:
        mode |= _GO_SETUID
    if st_mode & stat.S_ISGID:
        mode |= _GO_SETGID
    if st_mode & stat.S_ISVTX:
        mode |= _GO_STICKY
    return str(kind), mode


def permissions(go_mode: int) -> int:
    """The bits that chmod takes."""
    bits = go_mode & _PERMISSIONS
    if go_mode & _GO_SETUID:
        bits |= stat.S_ISUID
    if go_mode & _GO_SETGID:
        bits |= stat.S_ISGID
    if go_mode & _GO_STICKY:
        bits |= stat.S_ISVTX
    return bits


def shown(path: bytes) -> str:
    """A path for people: bytes that are no UTF-8 are escaped."""
    return path.decode("utf-8", "backslashreplace")


@lru_cache(maxsize=4096)
def user_name(uid: int) -> str:
    """The name of a user; empty when the machine knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@lru_cache(maxsize=4096)
def group_name(gid: int) -> str:
    """The name of a group; empty when the machine knows none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def node_of(name: bytes, status: os.stat_result, *, linktarget: bytes = b"") -> Node:
    """The node of a file, without extended attributes and content.

    The access time is written as the modification time, as stock restic does: else every read of
    a file would change its directory's tree. The device number is kept only where it tells hard
    links apart: it changes when a volume is mounted elsewhere. The names of a pipe or a socket are
    counted only if there are several: stock restic never counts them.
    """
    kind, mode = type_and_mode(status.st_mode)
    mtime = text_of_nanoseconds(status.st_mtime_ns)
    is_file = kind == NodeType.FILE
    return Node(
        name,
        kind,
        mode,
        mtime,
        mtime,
        text_of_nanoseconds(status.st_ctime_ns),
        status.st_uid,
        status.st_gid,
        user_name(status.st_uid),
        group_name(status.st_gid),
        status.st_ino,
        status.st_dev if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode) else 0,
        status.st_size if is_file else 0,
        0 if kind in _UNCOUNTED and (kind == _DIR or status.st_nlink == 1) else status.st_nlink,
        linktarget,
        (),
        "",
        status.st_rdev if kind in {NodeType.DEVICE, NodeType.CHAR_DEVICE} else 0,
    )


def attributes_of(entry: bytes | int) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes, ACLs among them; empty where the file system has none.

    Args:
        entry: a path, whose last part is not followed, or an open file.

    Raises:
        OSError: they are there and cannot be read.
    """
    follow = isinstance(entry, int)
    try:
        names = os.listxattr(entry, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return ()
        raise
    pairs = []
    for name in sorted(names):
        try:
            pairs.append((name, os.getxattr(entry, name, follow_symlinks=follow)))
        except OSError as error:
            if error.errno != ENODATA:  # removed since they were listed
                raise
    return tuple(pairs)


_NO_ATTRIBUTES = frozenset({EOPNOTSUPP, EINVAL, ENOSYS})
