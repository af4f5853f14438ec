"""Runs the containers of training jobs as local processes, the way SageMaker documents it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ML_DIR = "/opt/ml"
NO_CAPACITY = "ml.p5.48xlarge"
"""Jobs on instances of this type wait for ever."""

_GRACE_S = 2.0
_LONGEST_FAILURE = 1024

Objects = Mapping[str, bytes]


@dataclass
class LogStreamData:
    """The events of one log stream: milliseconds since the epoch, and text."""

    events: list[tuple[int, str]] = field(default_factory=list)


class Instance:
    """One instance of a job, whose `/opt/ml` is a directory of its own."""

    def __init__(self, root: Path, host: str, stream: LogStreamData) -> None:
        self.ml = root / host / "ml"
        self.host = host
        self.stream = stream
        self.process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def prepare(self, request: Mapping[str, Any], hosts: list[str], objects: Objects) -> None:
        for name in ("input/config", "input/data", "output/data", "model"):
            (self.ml / name).mkdir(parents=True)
        config = {
            "current_host": self.host,
            "current_instance_type": request["ResourceConfig"]["InstanceType"],
            "hosts": sorted(hosts),
            "network_interface_name": "lo",
        }
        (self.ml / "input/config/resourceconfig.json").write_text(json.dumps(config))
        parameters = json.dumps(request.get("HyperParameters", {}))
        (self.ml / "input/config/hyperparameters.json").write_text(parameters)
        for channel in request.get("InputDataConfig", []):
            self._fill(channel, objects)

    def start(self, request: Mapping[str, Any]) -> None:
        algorithm = request["AlgorithmSpecification"]
        words = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        env = {name: self._localized(value) for name, value in request["Environment"].items()}
        self.process = subprocess.Popen(
            [self._localized(word) for word in words],
            cwd=self.ml.parent,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.ml.parent),
                "TRAINING_JOB_NAME": request["TrainingJobName"],
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self, number: int) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    def join(self) -> None:
        if self._reader is not None:
            self._reader.join()

    @property
    def failure(self) -> str:
        path = self.ml / "output/failure"
        text = path.read_text(errors="replace") if path.exists() else ""
        return text[:_LONGEST_FAILURE]

    def _fill(self, channel: Mapping[str, Any], objects: Objects) -> None:
        prefix = channel["DataSource"]["S3DataSource"]["S3Uri"].removeprefix("s3://")
        directory = self.ml / "input/data" / channel["ChannelName"]
        directory.mkdir()
        for key, content in objects.items():
            if key.startswith(prefix):
                path = directory / key.removeprefix(prefix).lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                is_text = path.suffix == ".sh"
                path.write_bytes(self._localized_bytes(content) if is_text else content)

    def _localized(self, text: str) -> str:
        return text.replace(ML_DIR, str(self.ml))

    def _localized_bytes(self, content: bytes) -> bytes:
        return content.replace(ML_DIR.encode(), str(self.ml).encode())

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                text = line.removesuffix(b"\n").decode("utf-8", "replace")
                self.stream.events.append((int(time.time() * 1000), text))


class TrainingJob:
    """One job and what DescribeTrainingJob says about it."""

    def __init__(self, request: dict[str, Any], arn: str, root: Path) -> None:
        self.request = request
        self.name: str = request["TrainingJobName"]
        self.arn = arn
        self.created_at = time.time()
        self.ended_at: float | None = None
        self.status, self.detail = "InProgress", "Starting"
        self.failure = ""
        self.streams: dict[str, LogStreamData] = {}
        self._root = root / self.name
        self._instances: list[Instance] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def run(self, objects: Objects) -> None:
        self._thread = threading.Thread(target=self._run, args=(dict(objects),), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.status, self.detail = "Stopping", "Stopping"
        self._stopping.set()

    def end(self) -> None:
        """Ends the job at once, for the end of a test."""
        self._stopping.set()
        for instance in self._instances:
            instance.kill(signal.SIGKILL)
        if self._thread is not None:
            self._thread.join()
        shutil.rmtree(self._root, ignore_errors=True)

    def described(self) -> dict[str, Any]:
        shown = {name: value for name, value in self.request.items() if name != "Tags"}
        shown |= self.summary()
        shown["LastModifiedTime"] = self.created_at
        shown["ModelArtifacts"] = {"S3ModelArtifacts": "s3://bucket/model.tar.gz"}
        shown["SecondaryStatusTransitions"] = [
            {"Status": self.detail, "StartTime": self.created_at, "StatusMessage": ""}
        ]
        if self.failure:
            shown["FailureReason"] = self.failure
        return shown

    def summary(self) -> dict[str, Any]:
        ended = {} if self.ended_at is None else {"TrainingEndTime": self.ended_at}
        return {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created_at,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.detail,
            **ended,
        }

    def _run(self, objects: Objects) -> None:
        if self.request["ResourceConfig"]["InstanceType"] == NO_CAPACITY:
            self.detail = "Pending"
            self._stopping.wait()
        else:
            self._start(objects)
            self._wait()
        for instance in self._instances:
            instance.join()
        self._finish()

    def _start(self, objects: Objects) -> None:
        count = self.request["ResourceConfig"]["InstanceCount"]
        hosts = [f"algo-{number}" for number in range(1, count + 1)]
        for host in hosts:
            stream = self.streams[f"{self.name}/{host}-{int(self.created_at)}"] = LogStreamData()
            instance = Instance(self._root, host, stream)
            self._instances.append(instance)
            instance.prepare(self.request, hosts, objects)
            instance.start(self.request)
        if not self._stopping.is_set():
            self.detail = "Training"

    def _wait(self) -> None:
        while not self._stopping.wait(0.01):
            codes = self._codes()
            if all(code == 0 for code in codes):
                return
            if any(codes):
                break
        number = signal.SIGTERM if self._stopping.is_set() else signal.SIGKILL
        for instance in self._instances:
            instance.kill(number)
        deadline_s = time.monotonic() + _GRACE_S
        while any(code is None for code in self._codes()) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        for instance in self._instances:
            instance.kill(signal.SIGKILL)

    def _codes(self) -> list[int | None]:
        processes = [instance.process for instance in self._instances]
        return [process.poll() if process is not None else 0 for process in processes]

    def _finish(self) -> None:
        self.ended_at = time.time()
        failed = [
            (instance, instance.process.wait())
            for instance in self._instances
            if instance.process is not None
        ]
        bad = [(instance, code) for instance, code in failed if code > 0]
        if self._stopping.is_set():
            self.status, self.detail = "Stopped", "Stopped"
        elif bad:
            instance, code = bad[0]
            self.failure = f"AlgorithmError: {instance.failure}, exit code: {code}"
            self.status, self.detail = "Failed", "Failed"
        else:
            self.status, self.detail = "Completed", "Completed"
