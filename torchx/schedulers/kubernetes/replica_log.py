"""Reads the log of one replica: of all its pods, one after the other, with all their containers."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from torchx.schedulers.kubernetes.container_log import ContainerLog, Range
from torchx.schedulers.kubernetes.errors import KubernetesError
from torchx.schedulers.kubernetes.pods import Container, Pod
from torchx.schedulers.kubernetes.stamps import lines_of
from torchx.schedulers.kubernetes.wire import Wire
from torchx.specs.api import is_terminal

log: logging.Logger = logging.getLogger(__name__)

_LOOK_S = 5.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_LONGEST_OUTAGE_S = 180.0
_QUEUED_BLOCKS = 16
_NO_LOG_YET, _GONE = 400, 404
_UNTIL_MARGIN_NS = 2_000_000_000


class View(Protocol):
    """What is known about the pods of a replica."""

    def pods(self) -> Sequence[Pod]:
        """Tells which pods the replica has, the oldest first."""
        ...

    def is_over(self) -> bool:
        """Tells whether the app has ended."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Returns when something may have changed."""
        ...

    def refresh(self) -> None:
        """Makes :meth:`pods` ask the server."""
        ...


class ReplicaLog:
    """The log of a replica as blocks of bytes. ``read`` blocks until there is more.

    Args:
        wire: Gives what sends requests.
        namespace: Namespace of the pods.
        view: What is known about the pods.
        wanted: Which lines.
        follow: Go on until the app has ended.
        select: Chooses lines of a block; ``None`` takes all.
        prefix: Names a container at the beginning of its lines.
    """

    def __init__(
        self,
        wire: Callable[[], Wire],
        namespace: str,
        view: View,
        wanted: Range,
        *,
        follow: bool,
        select: Callable[[bytes], bytes] | None = None,
        prefix: Callable[[Container, Pod], str] = lambda container, pod: "",
    ) -> None:
        self._wire = wire
        self._namespace = namespace
        self._view = view
        self._range = wanted
        self._follows = follow
        self._select = select
        self._prefix = prefix
        self._closed = False
        self._open: set[ContainerLog] = set()
        self._blocks = self._all_pods()

    def read(self) -> bytes | None:
        """Takes the next block, blocking until there is one.

        Returns:
            Whole lines; ``None`` at the end.

        Raises:
            KubernetesError: The server refuses, or has been away for too long.
        """
        if self._closed:
            return None
        return next(self._blocks, None)

    def wait(self, timeout_s: float) -> None:
        """Returns at once: :meth:`read` is what blocks.

        Args:
            timeout_s: Not used.
        """

    def close(self) -> None:
        """Ends the source, also while another thread reads."""
        self._closed = True
        for item in list(self._open):
            item.close()

    def is_closed(self) -> bool:
        """Tells whether nobody wants more.

        Returns:
            True after :meth:`close`.
        """
        return self._closed

    def _all_pods(self) -> Iterator[bytes]:
        done: set[str] = set()
        is_fresh = not self._follows
        while not self._closed:
            # Asked before the pods: what came before the end is read.
            is_over = not self._follows or self._view.is_over() or self._is_past_until()
            pods = self._view.pods()
            new = [pod for pod in pods if pod.uid not in done]
            for pod in new:
                yield from self._pod(pod)
                done.add(pod.uid)
            if new:
                continue
            if not is_over:
                self._view.wait(_LOOK_S)
            elif is_fresh or (pods and is_terminal(pods[-1].state)):
                return
            else:
                # The end of the app may be known before that of its pods.
                self._view.refresh()
                is_fresh = True

    def _is_past_until(self) -> bool:
        until_ns = self._range.until_ns
        return until_ns is not None and time.time_ns() > until_ns + _UNTIL_MARGIN_NS

    def _pod(self, pod: Pod) -> Iterator[bytes]:
        first = [item for item in pod.init_containers if item.name not in pod.sidecars]
        last = [item for item in pod.init_containers if item.name in pod.sidecars]
        for container in first:
            yield from self._container(pod, container)
        together = [*last, *pod.containers]
        if len(together) == 1:
            yield from self._container(pod, together[0])
        elif together:
            yield from self._merged(pod, together)

    def _merged(self, pod: Pod, containers: Sequence[Container]) -> Iterator[bytes]:
        blocks: queue.Queue[bytes | Exception | None] = queue.Queue(_QUEUED_BLOCKS)

        def copy(container: Container) -> None:
            try:
                for block in self._container(pod, container):
                    blocks.put(block if block.endswith(b"\n") else block + b"\n")
                blocks.put(None)
            except Exception as error:
                blocks.put(error)

        for container in containers:
            threading.Thread(target=copy, args=(container,), name="pod-log", daemon=True).start()
        left = len(containers)
        while left:
            block = blocks.get()
            if isinstance(block, Exception):
                raise block
            if block is None:
                left -= 1
            else:
                yield block

    def _container(self, pod: Pod, container: Container) -> Iterator[bytes]:
        prefix = self._prefix(container, pod).encode()
        for block in self._whole_log(pod, container):
            chosen = block if self._select is None else self._select(block)
            if chosen and prefix:
                chosen = b"".join([prefix + line for line in lines_of(chosen)])
            if chosen:
                yield chosen

    def _whole_log(self, pod: Pod, container: Container) -> Iterator[bytes]:
        source = ContainerLog(
            self._wire,
            self._namespace,
            pod.name,
            container.name,
            self._range,
            self.is_closed,
        )
        self._open.add(source)
        try:
            if self._follows and not self._starts(pod, container.name):
                # What is known of the container may be older than the end of the app.
                yield from self._tried(source, follow=False)
                return
            now = self._now(pod, container.name)
            if now is not None and now.restarts:
                yield from self._tried(source, follow=False, previous=True)
            while self._follows and not (self._closed or source.is_past_until):
                yield from self._tried(source, follow=True)
                if self._has_ended(pod, container.name) or self._is_past_until():
                    break
                self._view.wait(_LOOK_S)
                if self._has_ended(pod, container.name):
                    break
            if not (self._closed or source.is_past_until):
                # Of a stream that has ended nobody says that it was whole.
                yield from self._tried(source, follow=False)
        finally:
            self._open.discard(source)

    def _tried(
        self, source: ContainerLog, *, follow: bool, previous: bool = False
    ) -> Iterator[bytes]:
        """Reads once, again after each failure that passes."""
        from urllib3.exceptions import HTTPError

        pause_s, good_s = _FIRST_PAUSE_S, time.monotonic()
        while not self.is_closed():
            try:
                for block in source.blocks(follow=follow, previous=previous):
                    pause_s, good_s = _FIRST_PAUSE_S, time.monotonic()
                    yield block
                return
            except KubernetesError as error:
                if error.status in (_NO_LOG_YET, _GONE):
                    log.debug("no log: %s", error)
                    return
                is_lost = time.monotonic() - good_s > _LONGEST_OUTAGE_S
                if self.is_closed() or not error.transient or is_lost:
                    raise
                wait_s = error.retry_after_s or pause_s
            except (HTTPError, OSError, AttributeError) as error:
                # AttributeError: the connection was closed by another thread while it was read.
                if self.is_closed():
                    return
                log.debug("the log is opened again: %s", error)
                wait_s, good_s = pause_s, time.monotonic()
            time.sleep(min(wait_s, _LONGEST_PAUSE_S))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _starts(self, pod: Pod, name: str) -> bool:
        """Waits until a container has been started, or never will be."""
        while not self.is_closed():
            is_over = self._view.is_over() or self._is_past_until()
            current = self._current(pod)
            if current is None:
                return False
            container = _find(current, name)
            if container is not None and container.has_started:
                return True
            if is_over or is_terminal(current.state):
                return False
            self._view.wait(_LOOK_S)
        return False

    def _has_ended(self, pod: Pod, name: str) -> bool:
        current = self._current(pod)
        if current is None or is_terminal(current.state):
            return True
        container = _find(current, name)
        return container is None or (
            not container.is_running and container.exit_code is not None and not container.waiting
        )

    def _now(self, pod: Pod, name: str) -> Container | None:
        current = self._current(pod)
        return None if current is None else _find(current, name)

    def _current(self, pod: Pod) -> Pod | None:
        return next((item for item in self._view.pods() if item.uid == pod.uid), None)


def _find(pod: Pod, name: str) -> Container | None:
    for container in (*pod.init_containers, *pod.containers):
        if container.name == name:
            return container
    return None
