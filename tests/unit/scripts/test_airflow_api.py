"""The demo asks Airflow again where its SQLite was locked, and believes nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from scripts import airflow_api
from scripts.airflow_api import AirflowApi, ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCKED, DONE, CONFLICT, FORBIDDEN = 500, 200, 409, 403


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "_WAIT_SECONDS", 0.0)


class Server:
    """Answers requests with these codes, one after the other."""

    def __init__(self, codes: Sequence[int]) -> None:
        self.asked: list[str] = []
        self._codes = iter(codes)

    def api(self) -> AirflowApi:
        """A client of it."""
        transport = httpx.MockTransport(self._answer)
        client = httpx.Client(base_url="http://127.0.0.1", transport=transport)
        return AirflowApi(address="http://127.0.0.1", client=client)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.content.decode())
        return httpx.Response(next(self._codes), json={"detail": "told"})


@pytest.mark.parametrize(
    "codes", [(DONE,), (LOCKED, DONE), (LOCKED,) * 5 + (DONE,), (LOCKED, CONFLICT)]
)
def test_one_run_is_started_however_often_it_takes(codes: Sequence[int]) -> None:
    """Each try names the same run, so that one of them counts."""
    server = Server(codes)
    run = server.api().trigger("some_dag", reason="demo")
    assert len(server.asked) == len(codes)
    assert {json.loads(body)["dag_run_id"] for body in server.asked} == {run}


@pytest.mark.parametrize("codes", [(FORBIDDEN,), (LOCKED,) * 6, (LOCKED, FORBIDDEN)])
def test_what_is_refused_is_an_error(codes: Sequence[int]) -> None:
    """At once if Airflow says no; in the end if it never comes to an answer."""
    server = Server(codes)
    with pytest.raises(ApiError, match=f"POST dags/some_dag/dagRuns: {codes[-1]}"):
        server.api().trigger("some_dag")
    assert len(server.asked) == len(codes)


def test_a_conflict_is_an_error_where_nothing_is_made() -> None:
    """Only where a request makes something does it say that an earlier try has made it."""
    with pytest.raises(ApiError, match="409"):
        Server([CONFLICT]).api().unpause("some_dag")
