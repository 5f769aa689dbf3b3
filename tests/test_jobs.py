"""Jobs: taken in, told, ended, kept, whatever becomes of the process that runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from geo_service import jobs
from geo_service.errors import ConflictError, MissingError
from geo_service.jobs import Job, ProcessSeats, Queue
from geo_service.jobs import queue as queues

WORK = {"slow": "slow_work:work"}
SECONDS = 60


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def queue(tmp_path: Path, threads: Executor) -> Iterator[Queue]:
    opened = Queue(tmp_path / "jobs", WORK, {"store": "s"}, executor=threads, most_waiting=3)
    yield opened
    opened.close()


def until(queue: Queue, id: str, *states: str) -> Job:
    for _ in range(SECONDS * 50):
        job = queue.job(id)
        if job.state in states:
            return job
        time.sleep(0.02)
    raise AssertionError(f"{queue.job(id)} never was {states}")


def test_a_job_is_told_and_its_result_stays(queue: Queue, tmp_path: Path) -> None:
    job = queue.submit(
        "slow", {"steps": 5}, owner="王", fill=lambda folder: (folder / "a.zip").touch()
    )
    assert job.state == "accepted"
    done = until(queue, job.id, *jobs.FINISHED)
    assert (done.state, done.percent, done.message.zh) == ("successful", 100, "已完成")
    assert done.created <= str(done.started) <= str(done.finished)
    result = queue.result(job.id)
    assert result.data.decode() == "{'steps': 5} 王 ['a.zip'] s"
    assert result.media_type == "text/plain"
    assert [one.id for one in queue.jobs()] == [job.id]


def test_progress_is_seen_in_percent_and_words(queue: Queue, tmp_path: Path) -> None:
    job = queue.submit("slow", {"until": str(tmp_path / "go")})
    running = until(queue, job.id, "running")
    for _ in range(500):
        running = queue.job(job.id)
        if running.percent == 50:
            break
        time.sleep(0.01)
    assert (running.percent, running.message) == (50, ("等待", "Waiting"))
    with pytest.raises(MissingError) as caught:
        queue.result(job.id)
    assert caught.value.code == "job_not_ready"
    (tmp_path / "go").touch()
    until(queue, job.id, "successful")


def test_a_refusal_keeps_its_code_and_a_bug_tells_nothing(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    refused = until(queue, queue.submit("slow", {"refuse": 1}).id, "failed")
    assert (refused.error_code, refused.error_status) == ("datum_unknown", 422)
    assert "坐标" in refused.message.zh or "datum" in refused.message.en
    broken = until(queue, queue.submit("slow", {"crash": 1}).id, "failed")
    assert broken.error_code == "internal_error"
    assert "bug" not in broken.message.en
    assert "this is the bug" in caplog.text


def test_running_and_waiting_jobs_end_when_asked(queue: Queue, tmp_path: Path) -> None:
    never = {"until": str(tmp_path / "never")}
    first, second, waiting = (queue.submit("slow", never).id for _ in range(3))
    until(queue, first, "running")
    until(queue, second, "running")
    assert queue.dismiss(waiting).state == "dismissed"
    for id in (first, second):
        queue.dismiss(id)
        assert until(queue, id, *jobs.FINISHED).state == "dismissed"
    assert queue.job(waiting).started is None
    queue.dismiss(waiting)  # a finished one is forgotten
    with pytest.raises(MissingError):
        queue.job(waiting)


def test_a_full_queue_refuses(queue: Queue, tmp_path: Path) -> None:
    given = {"until": str(tmp_path / "go")}
    ids = [queue.submit("slow", given).id for _ in range(3)]
    with pytest.raises(ConflictError) as caught:
        queue.submit("slow", given)
    assert (caught.value.code, caught.value.status) == ("queue_full", 429)
    (tmp_path / "go").touch()
    for id in ids:
        until(queue, id, "successful")
    until(queue, queue.submit("slow", {}).id, "successful")


def test_a_job_that_failed_runs_once_more_and_a_good_one_does_not(
    queue: Queue, tmp_path: Path
) -> None:
    job = queue.submit("slow", {"until": str(tmp_path / "go")})
    until(queue, job.id, "running")
    queue.dismiss(job.id)
    until(queue, job.id, "dismissed")
    (tmp_path / "go").touch()
    queue.restart(job.id)
    assert until(queue, job.id, "successful").error_code is None
    with pytest.raises(ConflictError) as caught:
        queue.restart(job.id)
    assert caught.value.code == "job_not_restartable"


def test_unknown_work_is_refused(queue: Queue) -> None:
    with pytest.raises(MissingError) as caught:
        queue.submit("dance", {})
    assert caught.value.code == "process_unknown"


def test_old_results_go(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "KEPT", 2)
    ids = []
    for _ in range(4):
        ids.append(queue.submit("slow", {}).id)
        until(queue, ids[-1], "successful")
    queue.submit("slow", {})
    kept = {job.id for job in queue.jobs()}
    assert ids[0] not in kept
    assert set(ids[2:]) <= kept


# Processes


@pytest.fixture
def seated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(queues, "GRACE_SECONDS", 0.2)
    opened = Queue(tmp_path / "jobs", WORK, {"store": "s"}, seats=2)
    yield opened
    opened.close()


def test_a_deaf_job_is_ended_and_the_one_beside_it_is_not(seated: Queue, tmp_path: Path) -> None:
    deaf = seated.submit("slow", {"deaf": 1}).id
    other = seated.submit("slow", {"until": str(tmp_path / "go")}).id
    until(seated, deaf, "running")
    until(seated, other, "running")
    seated.dismiss(deaf)
    assert until(seated, deaf, *jobs.FINISHED).state == "dismissed"
    (tmp_path / "go").touch()
    until(seated, other, "successful")
    until(seated, seated.submit("slow", {}).id, "successful")  # in the seat that was emptied


def test_a_process_that_dies_is_told(seated: Queue) -> None:
    died = until(seated, seated.submit("slow", {"die": 1}).id, *jobs.FINISHED)
    assert (died.state, died.error_code) == ("failed", "job_died")
    until(seated, seated.submit("slow", {}).id, "successful")


def test_closing_ends_what_runs_and_tells_it(tmp_path: Path) -> None:
    opened = Queue(tmp_path / "jobs", WORK, {"store": "s"}, seats=1)
    running = opened.submit("slow", {"deaf": 1})
    pid = until(opened, running.id, "running").pid
    opened.close()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    again = Queue(tmp_path / "jobs", WORK, {"store": "s"}, seats=1)
    try:
        assert again.job(running.id).error_code == "job_interrupted"
    finally:
        again.close()


KEEPER = """
import sys, time
from pathlib import Path
from geo_service.jobs import Queue

if __name__ == "__main__":
    folder, never = sys.argv[1:]
    queue = Queue(Path(folder), {"slow": "slow_work:work"}, {"store": "s"}, seats=1)
    running = queue.submit("slow", {"until": never})
    waiting = queue.submit("slow", {"steps": 2})
    while queue.job(running.id).state != "running":
        time.sleep(0.02)
    print(running.id, waiting.id, queue.job(running.id).pid, flush=True)
    time.sleep(300)
"""


def test_a_kill_is_survived(tmp_path: Path) -> None:
    script = tmp_path / "keeper.py"
    script.write_text(KEEPER)
    folder, go = tmp_path / "jobs", tmp_path / "go"
    with subprocess.Popen(
        [sys.executable, script, folder, go], stdout=subprocess.PIPE, text=True
    ) as keeper:
        assert keeper.stdout is not None
        running, waiting, pid = keeper.stdout.readline().split()
        keeper.send_signal(signal.SIGKILL)
    with ThreadPoolExecutor(1) as threads:
        queue = Queue(folder, WORK, {"store": "s"}, executor=threads)
        try:
            left = queue.job(running)
            assert (left.state, left.error_code) == ("failed", "job_interrupted")
            assert until(queue, waiting, *jobs.FINISHED).state == "successful"
            go.touch()
            queue.restart(running)
            until(queue, running, "successful")
        finally:
            queue.close()
    assert gone(int(pid)), "the process of the job outlived its keeper"


def gone(pid: int) -> bool:
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_seats_are_an_executor(tmp_path: Path) -> None:
    with ProcessSeats(2) as seats:
        assert sorted(seats.map(abs, [-3, 2, -1])) == [1, 2, 3]
        future = seats.submit(os.getpid)
        assert future.result() != os.getpid()


def test_the_same_work_runs_on_a_dask_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="dask is not installed (cluster)")
    with (
        distributed.LocalCluster(1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        queue = Queue(tmp_path / "jobs", WORK, {"store": "s"}, executor=client.get_executor())
        try:
            until(queue, queue.submit("slow", {"steps": 3}).id, "successful")
        finally:
            queue.close()
