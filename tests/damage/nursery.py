"""Processes that begin at once: forked from one that has imported all that they need.

    python -m tests.damage.nursery FD

Over the socket FD it is asked for processes, each by the arguments of tests.damage.child and the
descriptors that are its standard input and output, and answers with their ids.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from tests.damage.site import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNEXPECTED = "unexpected:"  # so begins what a process tells of an error that is not ours
_LONGEST_REQUEST = 1 << 16


class Process:
    """A process that was forked for this one, to be heard, told to go on, and killed."""

    def __init__(self, pid: int, given: int, told: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)  # the number may be another's later
        self._given = os.fdopen(given, "w")
        self._told = os.fdopen(told)

    def hear(self) -> str:
        """The next line that it prints; nothing once it has ended."""
        return self._told.readline().strip()

    def hear_all(self) -> str:
        """What it prints until it ends."""
        return self._told.read().strip()

    def go_on(self) -> None:
        """Give it the line that it waits for."""
        self._given.write("\n")
        self._given.flush()

    def kill(self) -> None:
        """Kill it, wherever it is."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Kill it, and be done with it when it is gone."""
        self.kill()
        self.hear_all()
        os.close(self._handle)
        self._told.close()
        with suppress(BrokenPipeError):
            self._given.close()


def begin(arguments: Sequence[str]) -> Process:
    """Begin an act in another process."""
    its_input, given = os.pipe()
    told, its_output = os.pipe()
    channel = _nursery()
    socket.send_fds(channel, [json.dumps(arguments).encode()], [its_input, its_output])
    pid = channel.recv(_LONGEST_REQUEST)
    assert pid, "the process that forks is gone"
    os.close(its_input)
    os.close(its_output)
    return Process(int(pid), given, told)


@cache
def _nursery() -> socket.socket:
    """The way to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.damage.nursery", str(theirs.fileno())]
        subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
    return ours


def _become(act: Callable[[list[str]], None], arguments: list[str]) -> NoReturn:
    """Do what a child is for, and end without what its parent would do at its own end."""
    try:
        act(arguments)
    except BaseException as error:  # noqa: BLE001  told, and ends with it
        traceback.print_exc()
        print(f"{UNEXPECTED} {type(error).__name__}")
    sys.stdout.flush()
    os._exit(0)


def _serve(channel: socket.socket) -> None:
    from tests.damage import child  # noqa: PLC0415  not where children are only asked for

    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, _LONGEST_REQUEST, 2)
        if not request:
            return
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        pid = os.fork()
        if not pid:
            channel.close()
            for standard, descriptor in enumerate(descriptors):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            _become(child.main, json.loads(request))
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(str(pid).encode())


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
