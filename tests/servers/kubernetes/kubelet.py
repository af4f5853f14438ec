"""Runs pods as processes of this machine, and keeps their logs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, BinaryIO

from tests.servers.kubernetes.store import POD, SERVICE, Object, Refusal, Store, now

_VARIABLE = re.compile(r"\$(?:\$|\(([^()]*)\))")
_WAIT_S = 0.5
_BLOCK_BYTES = 1 << 16
_STAMP = 31  # bytes of a stamp and the blank behind it
_DEFAULT_GRACE_S = 30
_SIGNAL_BASE = 128
_LABEL_APP = "app.kubernetes.io/instance"


def expand(text: str, env: dict[str, str]) -> str:
    """Replaces ``$(NAME)`` as Kubernetes does, and nothing else."""

    def replaced(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return env.get(found[1], found[0])

    return _VARIABLE.sub(replaced, text)


class Log:
    """The log of one container: each line with its stamp."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.changed = threading.Condition()
        self.size = 0
        self.has_ended = False
        self._file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by end)
        self._is_at_start = True

    def write(self, data: bytes) -> None:
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()
        text = data.replace(b"\n", b"\n" + stamp)
        if self._is_at_start:
            text = stamp + text
        self._is_at_start = data.endswith(b"\n")
        if self._is_at_start:
            text = text[: -len(stamp)]
        with self.changed:
            self._file.write(text)
            self.size += len(text)
            self.changed.notify_all()

    def end(self) -> None:
        with self.changed:
            self._file.close()
            self.has_ended = True
            self.changed.notify_all()

    def read(self, query: dict[str, str], is_stopping: threading.Event) -> Iterator[bytes]:
        since = query.get("sinceTime", "").encode()[:19]
        stamps = query.get("timestamps") == "true"
        held = b""
        with open(self.path, "rb") as file:
            while True:
                with self.changed:
                    has_ended, data = self.has_ended, file.read(_BLOCK_BYTES)
                    if not data and not has_ended and query.get("follow"):
                        self.changed.wait(_WAIT_S)
                if is_stopping.is_set():
                    return
                whole, newline, held = (held + data).rpartition(b"\n")
                if newline:
                    yield self._cut(whole + newline, since, stamps=stamps)
                if not data and (has_ended or not query.get("follow")):
                    yield self._cut(held, since, stamps=stamps)
                    return

    def _cut(self, block: bytes, since: bytes, *, stamps: bool) -> bytes:
        if stamps and not since:
            return block
        lines = [line for line in re.findall(rb"[^\n]*\n|[^\n]+", block) if line[:19] >= since]
        return b"".join(line if stamps else line[_STAMP:] for line in lines)


class Running:
    """The containers of one pod."""

    def __init__(self, pod: Object, directory: str) -> None:
        self.pod = pod
        self.directory = directory
        self.logs: dict[str, Log] = {}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.is_killed = threading.Event()


class Kubelet:
    """The only node.

    Args:
        store: The objects.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_stopping = threading.Event()
        self._directory = tempfile.TemporaryDirectory(prefix="kubelet-")
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()

    def run(self, pod: Object) -> None:
        """Starts a pod that was given to this node."""
        uid = pod["metadata"]["uid"]
        with self._lock:
            if uid in self._running:
                return
            directory = os.path.join(self._directory.name, uid)
            os.mkdir(directory)
            running = self._running[uid] = Running(pod, directory)
        threading.Thread(target=self._live, args=(running,), daemon=True).start()

    def kill(self, pod: Object) -> None:
        """Ends a pod that was told to end; it is removed when it has ended."""
        with self._lock:
            running = self._running.get(pod["metadata"]["uid"])
        if running is None or pod["status"].get("phase") in ("Succeeded", "Failed"):
            self.store.remove(POD, pod)
        elif not running.is_killed.is_set():
            running.is_killed.set()
            grace_s = pod["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S)
            threading.Thread(target=self._end, args=(running, grace_s), daemon=True).start()

    def log(self, pod: Object, query: dict[str, str]) -> Iterator[bytes] | None:
        """Opens a log; None if the pod has no node yet."""
        if not pod["spec"].get("nodeName"):
            return None
        name = query.get("container") or pod["spec"]["containers"][0]["name"]
        with self._lock:
            running = self._running.get(pod["metadata"]["uid"])
        log = running.logs.get(name) if running is not None else None
        if query.get("previous"):
            raise Refusal(
                400, "BadRequest", f'previous terminated container "{name}" in pod not found'
            )
        if log is None:
            raise Refusal(
                400,
                "BadRequest",
                f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start:'
                " ContainerCreating",
            )
        return log.read(query, self.is_stopping)

    def stop(self) -> None:
        self.is_stopping.set()
        with self._lock:
            for running in self._running.values():
                for process in running.processes:
                    _signal(process, signal.SIGKILL)
        self._directory.cleanup()

    def _live(self, running: Running) -> None:
        pod = running.pod
        if self._is_held_by_image(pod):
            return
        for container in pod["spec"].get("initContainers") or ():
            code = self._run_container(running, container, "initContainerStatuses")
            if code:
                self._finish(running, "Failed")
                return
        codes: dict[str, int] = {}
        threads = [
            threading.Thread(
                target=lambda item=item: codes.update(
                    {item["name"]: self._run_container(running, item, "containerStatuses")}
                ),
                daemon=True,
            )
            for item in pod["spec"]["containers"]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._finish(running, "Failed" if any(codes.values()) else "Succeeded")

    def _is_held_by_image(self, pod: Object) -> bool:
        for container in pod["spec"]["containers"]:
            if "no-such" in container["image"]:
                message = f'Back-off pulling image "{container["image"]}"'
                state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
                self._set_state(pod, container, state, "containerStatuses")
                return True
        return False

    def _run_container(self, running: Running, container: Object, key: str) -> int:
        pod = running.pod
        if running.is_killed.is_set():
            return _SIGNAL_BASE + signal.SIGKILL
        env = self._environment(pod, container)
        command = [expand(item, env) for item in container["command"]]
        command += [expand(item, env) for item in container.get("args") or ()]
        log = running.logs[container["name"]] = Log(
            os.path.join(running.directory, f"{container['name']}.log")
        )
        started_at = now()
        try:
            process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **env},
                cwd=running.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            log.end()
            ended = {"exitCode": 128, "reason": "StartError", "message": str(error)}
            self._set_state(pod, container, {"terminated": {**ended, "finishedAt": now()}}, key)
            return 128
        running.processes.append(process)
        self._set_state(pod, container, {"running": {"startedAt": started_at}}, key)
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), _BLOCK_BYTES):
            log.write(data)
        code = process.wait()
        process.stdout.close()
        _signal(process, signal.SIGKILL)  # what the first process of a container leaves ends too
        log.end()
        code = _SIGNAL_BASE - code if code < 0 else code
        ended = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "startedAt": started_at,
            "finishedAt": now(),
            **_last_words(container, log, code),
        }
        self._set_state(pod, container, {"terminated": ended}, key)
        return code

    def _environment(self, pod: Object, container: Object) -> dict[str, str]:
        env: dict[str, str] = {}
        for item in container.get("env") or ():
            value = item.get("value", "")
            field = ((item.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
            if field is not None:
                value = _field(pod, field)
            env[item["name"]] = self._resolved(pod, expand(value, env))
        return env

    def _resolved(self, pod: Object, value: str) -> str:
        """Stands in for the name server: all pods are on this machine."""
        namespace = pod["metadata"]["namespace"]
        # The name of a whole app is no host that anybody asks for.
        names = {
            item["metadata"]["name"]
            for item in self.store.all(SERVICE, namespace)
            if (item["metadata"].get("labels") or {}).get(_LABEL_APP) != item["metadata"]["name"]
        }
        hosts = {
            item["spec"].get("hostname") or item["metadata"]["name"]
            for item in self.store.all(POD, namespace)
        }
        return "localhost" if value.partition(".")[0] in names | hosts else value

    def _end(self, running: Running, grace_s: float) -> None:
        for process in running.processes:
            _signal(process, signal.SIGTERM)
        for process in running.processes:
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
        if not running.processes:
            self._finish(running, "Failed")

    def _finish(self, running: Running, phase: str) -> None:
        metadata = running.pod["metadata"]

        def change(pod: Object) -> None:
            if pod["metadata"]["uid"] == metadata["uid"]:
                pod["status"]["phase"] = phase

        self.store.change(POD, metadata["namespace"], metadata["name"], change)
        with self.store.changed:
            current = self.store.find(POD, metadata["namespace"], metadata["name"])
            if current is not None and current["metadata"].get("deletionTimestamp"):
                self.store.remove(POD, running.pod)

    def _set_state(self, pod: Object, container: Object, state: Object, key: str) -> None:
        metadata = pod["metadata"]

        def change(item: Object) -> None:
            if item["metadata"]["uid"] != metadata["uid"]:
                return
            status = item["status"]
            statuses = [one for one in status.get(key) or () if one["name"] != container["name"]]
            own = {"name": container["name"], "restartCount": 0, "state": state}
            image = {"image": container["image"], "imageID": f"{container['image']}@sha256:0"}
            ready = {"ready": "running" in state, "started": "running" in state}
            status[key] = [*statuses, {**own, **image, **ready}]
            status["podIP"] = "127.0.0.1"
            if key == "containerStatuses" and "running" in state:
                status["phase"] = "Running"

        self.store.change(POD, metadata["namespace"], metadata["name"], change)


def _last_words(container: Object, log: Log, code: int) -> dict[str, str]:
    if not code or container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return {}
    try:
        with open(log.path, "rb") as file:
            lines = re.findall(rb"[^\n]*\n|[^\n]+", file.read())
        text = b"".join(line[_STAMP:] for line in lines[-80:])[-2048:]
        return {"message": text.decode("utf-8", "replace")} if text else {}
    except FileNotFoundError:
        # The pod was removed meanwhile, and its log with it.
        return {}


def _field(pod: Object, path: str) -> str:
    found = re.fullmatch(r"(metadata\.(?:labels|annotations))\['([^']*)'\]", path)
    if found is not None:
        group = pod["metadata"].get(found[1].partition(".")[2]) or {}
        return str(group.get(found[2], ""))
    value: Any = {**pod, "status": {"podIP": "127.0.0.1", "hostIP": "127.0.0.1"}}
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return str(value or "")


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
