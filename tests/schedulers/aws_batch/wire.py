"""An AWS Batch of its own behind HTTP, as the SDK sees it: pages, filters, failures, counts.

Real clients of boto3 talk to it, so that their retries, timeouts and signatures take part. It does
not run anything: tests set the states of jobs.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

ARN = "arn:aws:batch:us-east-1:123456789012"
PAGE = 100
DROP = "drop the connection after the work is done"


class AwsFailure(Exception):
    """What the service answers instead."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(message or code)
        self.code = code
        self.status = status


class FakeBatch:
    """State of the service.

    Attributes:
        jobs: Jobs by id, the oldest first; tests change them.
        definitions: Active definitions by ARN.
        failures: What to answer next, by operation: failures, or ``DROP``.
        counts: How often each operation was asked for.
        events: Log events by the name of their stream.
    """

    def __init__(self, queues: tuple[str, ...] = ("q",)) -> None:
        self.queues = list(queues)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.definitions: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, list[AwsFailure | str]] = {}
        self.counts: Counter[str] = Counter()
        self.events: dict[str, list[tuple[int, str]]] = {}
        self._revisions: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add_job(self, name: str, *, queue: str = "q", **changes: Any) -> dict[str, Any]:
        number = len(self.jobs)
        job_id = f"{number:08x}-0000-4000-8000-000000000000"
        job: dict[str, Any] = {
            "jobId": job_id,
            "jobArn": f"{ARN}:job/{job_id}",
            "jobName": name,
            "jobQueue": f"{ARN}:job-queue/{queue}",
            "jobDefinition": f"{ARN}:job-definition/{name}:1",
            "status": "RUNNABLE",
            "createdAt": 1_700_000_000_000 + number,
            "startedAt": 1_700_000_000_000 + number,
            "tags": {"torchx.pytorch.org/version": "1"},
            "container": {"image": "i", "command": ["c"], "environment": []},
            "attempts": [],
            **changes,
        }
        self.jobs[job_id] = job
        return job

    def call(self, operation: str, body: dict[str, Any], path: str) -> dict[str, Any]:
        with self._lock:
            self.counts[operation] += 1
            failure = self._next_failure(operation)
            if isinstance(failure, AwsFailure):
                raise failure
            handler: Callable[[dict[str, Any], str], dict[str, Any]]
            handler = getattr(self, f"_{operation}")
            answer = handler(body, path)
            if failure == DROP:
                raise ConnectionAbortedError
            return answer

    def _next_failure(self, operation: str) -> AwsFailure | str | None:
        waiting = self.failures.get(operation)
        return waiting.pop(0) if waiting else None

    def _registerjobdefinition(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        name = body["jobDefinitionName"]
        self._revisions[name] += 1
        arn = f"{ARN}:job-definition/{name}:{self._revisions[name]}"
        self.definitions[arn] = body
        return {
            "jobDefinitionName": name,
            "jobDefinitionArn": arn,
            "revision": self._revisions[name],
        }

    def _describejobdefinitions(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        found = [
            {"jobDefinitionName": item["jobDefinitionName"], "jobDefinitionArn": arn}
            for arn, item in self.definitions.items()
            if item["jobDefinitionName"] == body["jobDefinitionName"]
        ]
        return {"jobDefinitions": found}

    def _deregisterjobdefinition(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        del self.definitions[self._definition_arn(body["jobDefinition"])]
        return {}

    def _submitjob(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        queue = body["jobQueue"].rpartition("/")[2]
        if queue not in self.queues:
            raise AwsFailure("ClientException", f"Job queue {queue} does not exist.")
        arn = self._definition_arn(body["jobDefinition"])
        definition = self.definitions[arn]
        job = self.add_job(
            body["jobName"],
            queue=queue,
            jobDefinition=arn,
            tags=body.get("tags", {}),
            submitted=body,
        )
        if nodes := definition.get("nodeProperties"):
            job["nodeProperties"] = nodes
            del job["container"]
        else:
            job["container"] = dict(definition["containerProperties"])
        return {"jobId": job["jobId"], "jobArn": job["jobArn"], "jobName": body["jobName"]}

    def _definition_arn(self, text: str) -> str:
        for arn in sorted(self.definitions, reverse=True):
            name = arn.rpartition("/")[2]
            if text in (arn, name, name.partition(":")[0]):
                return arn
        raise AwsFailure("ClientException", f"JobDefinition {text} is not ACTIVE.")

    def _terminatejob(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        job = self.jobs[body["jobId"]]
        job.update(status="FAILED", isTerminated=True, statusReason=body["reason"], stoppedAt=1)
        return {}

    def _describejobs(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        assert 0 < len(body["jobs"]) <= PAGE
        return {"jobs": [self.jobs[each] for each in body["jobs"] if each in self.jobs]}

    def _describejobqueues(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        # One on a page, so that paging shows.
        start = int(body.get("nextToken", 0))
        answer: dict[str, Any] = {
            "jobQueues": [{"jobQueueName": each} for each in self.queues[start : start + 1]]
        }
        if start + 1 < len(self.queues):
            answer["nextToken"] = str(start + 1)
        return answer

    def _listjobs(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        if parent := body.get("multiNodeJobId"):
            return {"jobSummaryList": self._node_summaries(parent)}
        queue = body["jobQueue"].rpartition("/")[2]
        if queue not in self.queues:
            raise AwsFailure("ClientException", f"Job queue {queue} does not exist.")
        found = [
            job
            for key, job in reversed(self.jobs.items())
            if "#" not in key and job["jobQueue"].endswith(f"/{queue}")
        ]
        found = [job for job in found if self._matches(job, body.get("filters", []))]
        start = int(body.get("nextToken", 0))
        keys = ("jobId", "jobArn", "jobName", "status", "jobDefinition", "statusReason")
        answer: dict[str, Any] = {
            "jobSummaryList": [
                {key: job[key] for key in keys if key in job} for job in found[start : start + PAGE]
            ]
        }
        if start + PAGE < len(found):
            answer["nextToken"] = str(start + PAGE)
        return answer

    def _node_summaries(self, parent: str) -> list[dict[str, Any]]:
        nodes = [(key, job) for key, job in self.jobs.items() if key.startswith(f"{parent}#")]
        return [
            {
                "jobId": key,
                "jobName": job["jobName"],
                "status": job["status"],
                "container": {"exitCode": code} if (code := job.get("exitCode")) else {},
                "nodeProperties": {"nodeIndex": int(key.partition("#")[2]), "numNodes": len(nodes)},
            }
            for key, job in nodes
        ]

    def _matches(self, job: dict[str, Any], filters: list[dict[str, Any]]) -> bool:
        if not filters:
            return bool(job["status"] == "RUNNING")
        (only,) = filters
        (value,) = only["values"]
        if only["name"] == "JOB_NAME":
            return bool(job["jobName"].lower() == value.lower())
        if only["name"] == "JOB_DEFINITION":
            return bool(job["jobDefinition"] == value)
        return bool(job["createdAt"] > int(value))

    def _tagresource(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        arn = unquote(path.partition("/v1/tags/")[2])
        self.jobs[arn.rpartition("/")[2]]["tags"].update(body["tags"])
        return {}

    def _getlogevents(self, body: dict[str, Any], path: str) -> dict[str, Any]:
        name = body["logStreamName"]
        if name not in self.events:
            raise AwsFailure("ResourceNotFoundException", "The specified log stream does not exist")
        start = int(body.get("nextToken", "f/0")[2:])
        page = self.events[name][start : start + body["limit"]]
        return {
            "events": [{"timestamp": ms, "message": text} for ms, text in page],
            "nextForwardToken": f"f/{start + len(page)}",
        }


@contextmanager
def serve(service: FakeBatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serves it over HTTP and points the SDK to it.

    Args:
        service: The service.
        monkeypatch: Sets the environment.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
            target = self.headers.get("X-Amz-Target", "")
            path = self.path
            operation = target.rpartition(".")[2].lower() if target else path.split("/")[2]
            operation = "tagresource" if re.match(r"/v1/tags/", path) else operation
            try:
                status, answer = 200, service.call(operation, body, path)
            except AwsFailure as failure:
                status, answer = failure.status, {"__type": failure.code, "message": str(failure)}
            except ConnectionAbortedError:
                self.close_connection = True
                return
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if status != 200:
                self.send_header("X-Amzn-ErrorType", str(answer["__type"]))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests print what they have to say themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
