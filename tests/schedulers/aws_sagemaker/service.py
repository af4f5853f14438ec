"""A server that speaks the protocols of SageMaker, CloudWatch Logs and S3, and runs the jobs.

It is for what the protocol server of the development environment cannot do: run the container of a
training job, stop it, tell its failure, and write its log. Shapes and errors follow the
documentation of AWS; requests are checked against the service model that ships with the SDK.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.schedulers.aws_sagemaker.jobs import LogStreamData, TrainingJob
from torchx.schedulers.aws.service_model import find_faults

REGION = "us-west-2"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/training"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"

_PAGE_BYTES = 1 << 20

Answer = dict[str, Any]


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Service:
    """The server, a context manager.

    Args:
        root: Directory for the instances.

    Attributes:
        calls: Names of the operations that were called.
        jobs: The jobs by name, the newest last.
        objects: Content by ``bucket/key``.
        faults: Errors to answer with first: operation -> codes.
    """

    def __init__(self, root: Path) -> None:
        self.calls: list[str] = []
        self.jobs: dict[str, TrainingJob] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: dict[str, list[Refused]] = {}
        self._root = root
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def env(self) -> dict[str, str]:
        """Variables with which boto3 talks to this server only."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for job in list(self.jobs.values()):
            job.end()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, operation: str, request: Answer) -> Answer:
        with self._lock:
            self.calls.append(operation)
            if self.faults.get(operation):
                raise self.faults[operation].pop(0)
            found: Callable[[Answer], Answer] = getattr(self, f"_{operation}", self._unknown)
            return found(request)

    def object_call(self, method: str, key: str, body: bytes) -> int:
        with self._lock:
            self.calls.append(f"{method} {key.rpartition('/')[2]}")
            if method == "PUT":
                self.objects[key] = body
                return 200
            return 200 if key in self.objects else 404

    def _unknown(self, request: Answer) -> Answer:
        raise Refused("UnknownOperationException", "there is no such operation")

    def _CreateTrainingJob(self, request: Answer) -> Answer:
        faults = find_faults("sagemaker", "CreateTrainingJob", request)
        if faults:
            raise Refused("ValidationException", "; ".join(faults))
        name = request["TrainingJobName"]
        if name in self.jobs:
            raise Refused("ResourceInUse", "Training job names must be unique")
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name.lower()}"
        job = self.jobs[name] = TrainingJob(request, arn, self._root)
        job.run(self.objects)
        return {"TrainingJobArn": arn}

    def _DescribeTrainingJob(self, request: Answer) -> Answer:
        return self._job(request).described()

    def _StopTrainingJob(self, request: Answer) -> Answer:
        job = self._job(request)
        if job.status != "InProgress":
            raise Refused(
                "ValidationException",
                f"The request was rejected because the training job is in status {job.status}.",
            )
        job.stop()
        return {}

    def _DeleteTrainingJob(self, request: Answer) -> Answer:
        job = self._job(request)
        if job.status in ("InProgress", "Stopping"):
            raise Refused("ValidationException", f"the training job is in status {job.status}")
        del self.jobs[job.name]
        job.end()
        return {}

    def _ListTrainingJobs(self, request: Answer) -> Answer:
        jobs = [job.summary() for job in reversed(self.jobs.values())]
        return _page(request, jobs, "TrainingJobSummaries")

    def _Search(self, request: Answer) -> Answer:
        wanted = {item["Name"]: item["Value"] for item in request["SearchExpression"]["Filters"]}
        found = []
        for job in reversed(self.jobs.values()):
            tags = {f"Tags.{tag['Key']}": tag["Value"] for tag in job.request["Tags"]}
            if wanted.items() <= tags.items():
                shown = {**job.described(), "Tags": job.request["Tags"]}
                found.append({"TrainingJob": shown})
        return _page(request, found, "Results")

    def _DescribeLogStreams(self, request: Answer) -> Answer:
        if not self.jobs:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        prefix = request["logStreamNamePrefix"]
        names = [name for name in self._streams() if name.startswith(prefix)]
        return {"logStreams": [{"logStreamName": name} for name in sorted(names)]}

    def _GetLogEvents(self, request: Answer) -> Answer:
        stream = self._streams().get(request["logStreamName"])
        if stream is None or request["logGroupName"] != LOG_GROUP:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        position = int(request.get("nextToken", "f/0").partition("/")[2])
        first, last = request.get("startTime", 0), request.get("endTime", 1 << 60)
        events: list[Answer] = []
        size = 0
        while position < len(stream.events) and len(events) < request["limit"]:
            moment, text = stream.events[position]
            size += len(text) + 26
            if size > _PAGE_BYTES and events:
                break
            position += 1
            if first <= moment < last:
                events.append({"timestamp": moment, "message": text, "ingestionTime": moment})
        token = f"{position:056d}"
        return {
            "events": events,
            "nextForwardToken": f"f/{token}",
            "nextBackwardToken": f"b/{token}",
        }

    def _job(self, request: Answer) -> TrainingJob:
        job = self.jobs.get(request["TrainingJobName"])
        if job is None:
            raise Refused("ValidationException", "Requested resource not found.")
        return job

    def _streams(self) -> dict[str, LogStreamData]:
        return {name: stream for job in self.jobs.values() for name, stream in job.streams.items()}


def _page(request: Answer, items: list[Answer], name: str) -> Answer:
    start = int(request.get("NextToken", 0))
    end = start + request.get("MaxResults", 10)
    more = {"NextToken": str(end)} if end < len(items) else {}
    return {name: items[start:end], **more}


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            request = json.loads(self._body() or b"{}")
            try:
                self._reply(200, json.dumps(service.answer(operation, request)).encode())
            except Refused as error:
                answer = {"__type": error.code, "message": str(error)}
                self._reply(400, json.dumps(answer).encode())

        def do_PUT(self) -> None:
            self._reply(service.object_call("PUT", self._key(), self._body()), b"")

        def do_HEAD(self) -> None:
            self._reply(service.object_call("HEAD", self._key(), b""), b"")

        def _key(self) -> str:
            return unquote(self.path.lstrip("/").partition("?")[0])

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
                return body
            content = b""
            while body:
                head, _, body = body.partition(b"\r\n")
                size = int(head.partition(b";")[0], 16)
                if size == 0:
                    break
                content, body = content + body[:size], body[size + 2 :]
            return content

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
