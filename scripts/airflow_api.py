"""What the demo and the tests ask of Airflow's REST API."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_POLL_SECONDS: Final = 0.5
_ENDED: Final = ("success", "failed")
_TRIES: Final = 6
_WAIT_SECONDS: Final = 1.0


class ApiError(Exception):
    """Airflow refused, or did not come to an end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One task instance of a run."""

    task: str
    map_index: int  # -1: not mapped
    name: str  # as the UI shows it
    state: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowApi:
    """A running Airflow, and a client that is logged in."""

    address: str
    client: httpx.Client

    @classmethod
    @contextmanager
    def connect(
        cls, address: str, user: str, password: str, *, wait: Iterable[None]
    ) -> Iterator[AirflowApi]:
        """Log in as soon as all components are healthy; `wait` paces the asking and gives up."""
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
            for _ in wait:
                if _is_healthy(client):
                    break
            answer = client.post("/auth/token", json={"username": user, "password": password})
            answer.raise_for_status()
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield cls(address=address, client=client)

    @contextmanager
    def as_user(self, user: str, password: str) -> Iterator[AirflowApi]:
        """The same Airflow, as somebody else."""
        with self.connect(self.address, user, password, wait=[None]) as api:
            yield api

    def ask(self, method: str, path: str, *, once: bool = False, **settings: Any) -> Any:  # noqa: ANN401  JSON
        """One request, as often as it takes; the answer's JSON.

        SQLite may be locked while tasks begin or end: then people press the button again.

        Args:
            once: a conflict says that an earlier try has done it.

        Raises:
            ApiError: anything but success.
        """
        for _ in range(_TRIES):
            answer = self.client.request(method, f"/api/v2/{path}", **settings)
            if not answer.is_server_error:
                break
            time.sleep(_WAIT_SECONDS)
        if answer.is_error and not (once and answer.status_code == httpx.codes.CONFLICT):
            raise ApiError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None

    def make_pool(self, name: str, slots: int, description: str) -> None:
        """Make a pool, unless there is one of that name."""
        body = {"name": name, "slots": slots, "description": description}
        self.ask("POST", "pools", once=True, json=body)

    def wait_for_dags(self, expected: Sequence[str], *, seconds: float = 60) -> None:
        """Wait until Airflow has read DAGs of these names.

        Raises:
            ApiError: it has not; says what is wrong with the files.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = {dag["dag_id"] for dag in self.ask("GET", "dags?limit=200")["dags"]}
            if found >= set(expected):
                return
            time.sleep(_POLL_SECONDS)
        errors = self.ask("GET", "importErrors")["import_errors"]
        told = "; ".join(error["stack_trace"].strip().splitlines()[-1] for error in errors)
        raise ApiError(f"Airflow did not find its DAGs: {told or 'no reason given'}")

    def unpause(self, dag: str) -> None:
        """Let a DAG run."""
        self.ask("PATCH", f"dags/{dag}", json={"is_paused": False})

    def trigger(self, dag: str, **conf: object) -> str:
        """Start a run by hand; its id."""
        run = f"manual__{uuid4()}"
        body = {"dag_run_id": run, "logical_date": None, "conf": conf}
        self.ask("POST", f"dags/{dag}/dagRuns", once=True, json=body)
        return run

    def state(self, dag: str, run: str) -> str:
        """Of a run."""
        return str(self.ask("GET", f"dags/{dag}/dagRuns/{run}")["state"])

    def wait(self, dag: str, run: str, *, seconds: float = 300) -> str:
        """Wait for the end of a run; ``success`` or ``failed``.

        Raises:
            ApiError: it did not end in time.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if (state := self.state(dag, run)) in _ENDED:
                return state
            time.sleep(_POLL_SECONDS)
        raise ApiError(f"{dag} {run} had not ended after {seconds:.0f} s")

    def instances(self, dag: str, run: str) -> list[Instance]:
        """The task instances of a run."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances?limit=1000"
        return [
            Instance(
                task=found["task_id"],
                map_index=found["map_index"],
                name=found["rendered_map_index"] or "",
                state=found["state"] or "none",
                attempt=found["try_number"],
            )
            for found in self.ask("GET", path)["task_instances"]
        ]

    def log(self, dag: str, run: str, instance: Instance) -> str:
        """What the last attempt of a task instance logged, a line for each message."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{instance.task}/logs/{instance.attempt}"
        answer = self.ask(
            "GET",
            path,
            params={"map_index": instance.map_index, "full_content": True},
            headers={"Accept": "application/json"},
        )
        content = answer["content"]
        if isinstance(content, str):
            return content
        return "\n".join(line if isinstance(line, str) else line["event"] for line in content)

    def log_of(self, dag: str, run: str, task: str) -> str:
        """The log of a task that is not mapped."""
        return next(
            self.log(dag, run, found) for found in self.instances(dag, run) if found.task == task
        )

    def wait_for_question(self, dag: str, run: str, task: str, *, seconds: float = 120) -> None:
        """Wait until a task waits for an answer.

        Raises:
            ApiError: it does not; the task may have failed.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            states = [found.state for found in self.instances(dag, run) if found.task == task]
            if states == ["awaiting_input"]:
                return
            if self.state(dag, run) in _ENDED:
                break
            time.sleep(_POLL_SECONDS)
        raise ApiError(f"{dag}.{task} of {run} asks nothing")

    def answer(self, dag: str, run: str, task: str, option: str) -> None:
        """Answer the question of a task (Airflow's human in the loop)."""
        body = {"chosen_options": [option], "params_input": {}}
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/-1/hitlDetails"
        self.ask("PATCH", path, once=True, json=body)

    def run_again(self, dag: str, run: str, task: str) -> None:
        """Clear a task, as a person does who does not want to wait for the next attempt."""
        body = {
            "dry_run": False,
            "dag_run_id": run,
            "task_ids": [task],
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.ask("POST", f"dags/{dag}/clearTaskInstances", json=body)


def _is_healthy(client: httpx.Client) -> bool:
    try:
        answer = client.get("/api/v2/monitor/health")
    except httpx.TransportError:
        return False
    if answer.is_error:
        return False
    health = answer.json()
    parts = ("metadatabase", "scheduler", "dag_processor")
    return all(health[part]["status"] == "healthy" for part in parts)
