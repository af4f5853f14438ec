"""A small batch system with the commands of LSF, which really runs what is submitted.

Run as a script it is one of ``bsub``, ``bjobs``, ``bkill``, ``bhosts`` and ``docker``. There is no
daemon: each command, and each job that ends, starts what can start. Its ``docker`` runs programs
on this machine, with the environment and the arguments that a container would get.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMANDS = ("bsub", "bjobs", "bkill", "bhosts")
HOSTS = {f"127.0.0.{number}": {"slots": 16, "gpus": 2} for number in range(1, 5)}
QUEUES = {"normal": "open", "night": "open", "held": "inactive"}

# Options of LSF 10.1 -> whether they take a value.
BSUB_OPTIONS = {
    **dict.fromkeys(("-H", "-r"), False),
    **dict.fromkeys(
        ["-P", "-J", "-m", "-w", "-R", "-cwd", "-outdir", "-oo", "-eo", "-q", "-n", "-gpu", "-W"],
        True,
    ),
}
RESOURCES = re.compile(r"\s*((select|order|rusage|span|same|cu)\[[^\[\]]*\]\s*)+")
UNFINISHED = ("PEND", "RUN", "PSUSP", "USUSP", "SSUSP")

Job = dict[str, Any]


class Refused(Exception):
    """A command ends with a message and an exit code."""

    def __init__(self, message: str, code: int = 255) -> None:
        super().__init__(message)
        self.code = code


class Cluster:
    """The state of the cluster, in files of a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.jobs_dir = directory / "jobs"

    def install(self) -> Path:
        """Makes the directory, and returns that of the commands."""
        for name in ("bin", "jobs", "files", "containers"):
            (self.directory / name).mkdir(parents=True)
        (self.directory / "lock").touch()
        (self.directory / "calls").touch()
        self.set_hosts(HOSTS)
        python = f"exec {sys.executable} -S -E {Path(__file__).resolve()}"
        for name in COMMANDS:
            self._add(name, f'echo {name} >>"$s/calls"\n{python} "$s" {name} "$@"')
        # Most containers that are removed are not there: that is answered without a Python.
        is_gone = '[ "$1" = rm ] && [ ! -e "$s/containers/$3" ] && exit 1'
        self._add("docker", f'{is_gone}\n{python} "$s" docker "$@"')
        return self.directory / "bin"

    def _add(self, name: str, script: str) -> None:
        path = self.directory / "bin" / name
        place = str(self.directory).replace("'", "'\"'\"'")
        path.write_text(f"#!/bin/sh\ns='{place}'\n{script}\n")
        path.chmod(0o755)

    def set_hosts(self, hosts: Mapping[str, Mapping[str, Any]]) -> None:
        (self.directory / "hosts.json").write_text(json.dumps(hosts))

    def hosts(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = json.loads((self.directory / "hosts.json").read_text())
        return found

    def calls(self) -> list[str]:
        """Names of the commands that were run."""
        return (self.directory / "calls").read_text().split()

    def forget_calls(self) -> None:
        (self.directory / "calls").write_text("")

    @contextmanager
    def locked(self) -> Iterator[None]:
        with (self.directory / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def jobs(self) -> list[Job]:
        paths = sorted(self.jobs_dir.glob("*.json"), key=lambda path: int(path.stem))
        return [json.loads(path.read_text()) for path in paths]

    def job(self, number: int) -> Job:
        found: Job = json.loads((self.jobs_dir / f"{number}.json").read_text())
        return found

    def save(self, job: Job) -> None:
        path = self.jobs_dir / f"{job['id']}.json"
        path.with_suffix(".new").write_text(json.dumps(job))
        path.with_suffix(".new").replace(path)

    def forget(self, project: str) -> None:
        """Forgets jobs that have ended, as LSF does after some time."""
        with self.locked():
            for job in self.jobs():
                if job["proj"] == project and job["stat"] not in UNFINISHED:
                    (self.jobs_dir / f"{job['id']}.json").unlink()

    def dispatch(self) -> None:
        """Starts what can start. Called with the lock held."""
        jobs = self.jobs()
        for job in jobs:
            if job["stat"] != "PEND":
                continue
            job["pend_reason"] = self._why_not(job, jobs)
            if not job["pend_reason"]:
                job["stat"] = "RUN"
                words = [sys.executable, "-S", "-E", __file__, str(self.directory), "run"]
                subprocess.Popen(
                    [*words, str(job["id"])],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self.save(job)

    def _why_not(self, job: Job, jobs: Sequence[Job]) -> str:
        if QUEUES[job["queue"]] != "open":
            return "The queue is inactivated by the administrator"
        if job["after"]:
            others = [other for other in jobs if other["name"] == job["after"]]
            if not any(other["host"] for other in others):
                if any(other["stat"] in UNFINISHED for other in others):
                    return "Job dependency condition not satisfied"
                return "Dependency condition invalid or never satisfied"
        for name, host in self.hosts().items():
            used = [other for other in jobs if other["host"] == name and other["stat"] == "RUN"]
            slots = host["slots"] - sum(other["slots"] for other in used)
            gpus = host["gpus"] - sum(other["gpus"] for other in used)
            is_allowed = job["only"] in ("", name) and job["not"] != name
            if is_allowed and slots >= job["slots"] and gpus >= job["gpus"]:
                job["host"] = name
                return ""
        return "Job slot limit reached"


def bsub(cluster: Cluster, args: Sequence[str]) -> None:
    given, rest = _options(args)
    for text in given.get("-R", []):
        if not RESOURCES.fullmatch(text):
            raise Refused("Bad resource requirement syntax. Job not submitted.")
    queue = given.get("-q", ["normal"])[-1]
    if queue not in QUEUES:
        raise Refused(f"{queue}: No such queue. Job not submitted.")
    slots = int(given.get("-n", ["1"])[-1])
    if slots > sum(host["slots"] for host in cluster.hosts().values()):
        raise Refused("Too many processors requested. Job not submitted.")
    only = given.get("-m", [""])[-1]
    if only and only not in cluster.hosts():
        raise Refused(f"{only}: Bad host name, host group name or cluster name. Job not submitted.")
    text = " ".join(rest) if rest else sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if re.search(r"^\s*#BSUB", text, re.MULTILINE):
        raise Refused("the text of the job holds options. Job not submitted.")
    avoided = re.search(r"hname!='([^']*)'", " ".join(given.get("-R", [])))
    gpus = re.search(r"num=(\d+)", given.get("-gpu", [""])[-1])
    after = re.fullmatch(r"started\((.*)\)", given.get("-w", [""])[-1])
    with cluster.locked():
        jobs = cluster.jobs()
        if after and not any(job["name"] == after[1] for job in jobs):
            raise Refused(f"{after[1]}: No matching job found. Job not submitted.")
        number_path = cluster.directory / "number"
        number = int(number_path.read_text()) + 1 if number_path.exists() else 1
        number_path.write_text(str(number))
        script = cluster.directory / "files" / f"{number}.job"
        script.write_bytes(text.encode("utf-8", "surrogateescape"))
        script.with_suffix(".env").write_text(json.dumps(dict(os.environ)))
        cluster.save(
            {
                "id": number,
                "proj": given.get("-P", ["default"])[-1],
                "name": given.get("-J", [text.split("\n")[0]])[-1],
                "stat": "PSUSP" if "-H" in given else "PEND",
                "queue": queue,
                "slots": slots,
                "gpus": int(gpus[1]) if gpus else 0,
                "only": only,
                "not": avoided[1] if avoided else "",
                "after": after[1] if after else "",
                "cwd": given.get("-cwd", [os.getcwd()])[-1],
                "output_dir": given.get("-outdir", ["-"])[-1],
                "report": given.get("-oo", [""])[-1],
                "errors": given.get("-eo", [""])[-1],
                "exit_code": "-",
                "exit_reason": "-",
                "pend_reason": "",
                "host": "",
            }
        )
        cluster.dispatch()
    which = f"queue <{queue}>" if "-q" in given else f"default queue <{queue}>"
    print(f"Job <{number}> is submitted to {which}.")


def _options(args: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    given: dict[str, list[str]] = {}
    rest = list(args)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option not in BSUB_OPTIONS:
            raise Refused(f"bsub: illegal option -- {option.lstrip('-')}")
        given.setdefault(option, []).append(rest.pop(0) if BSUB_OPTIONS[option] else "")
    return given, rest


def bjobs(cluster: Cluster, args: Sequence[str]) -> None:
    words = list(args)
    fields, delimiter, project, shows_ended = ["id", "stat", "name"], " ", "", False
    while words:
        option = words.pop(0)
        if option == "-a":
            shows_ended = True
        elif option == "-P":
            project = words.pop(0)
        elif option == "-o":
            found = re.fullmatch(r"(.*?)(?: delimiter='(.)')?", words.pop(0))
            assert found is not None
            fields, delimiter = found[1].split(), found[2] or " "
        elif option != "-noheader":
            raise Refused(f"bjobs: invalid option -- '{option.lstrip('-')}'")
    with cluster.locked():
        cluster.dispatch()
        jobs = cluster.jobs()
    jobs = [job for job in jobs if job["proj"] == project or not project]
    jobs = [job for job in jobs if shows_ended or job["stat"] in UNFINISHED]
    if not jobs:
        raise Refused(f"No job found in project {project}" if project else "No job found")
    for job in sorted(jobs, key=lambda job: job["stat"] not in UNFINISHED):
        values = {**job, "exec_host": job["host"]}
        unknown = [field for field in fields if field not in values]
        if unknown:
            raise Refused(f"<{unknown[0].upper()}> in the format string is not a valid field name.")
        print(delimiter.join(str(values[field]) or "-" for field in fields))


def bkill(cluster: Cluster, args: Sequence[str]) -> None:
    failures = []
    with cluster.locked():
        known = {str(job["id"]): job for job in cluster.jobs()}
        for number in args:
            job = known.get(number)
            if job is None:
                failures.append(f"Job <{number}>: No matching job found")
                continue
            if job["stat"] not in UNFINISHED:
                failures.append(f"Job <{number}>: Job has already finished")
                continue
            if job["stat"] == "RUN":
                (cluster.directory / "files" / f"{number}.killed").touch()
            else:
                job.update(stat="EXIT", exit_reason="TERM_OWNER: job killed by owner")
                cluster.save(job)
            print(f"Job <{number}> is being terminated")
        cluster.dispatch()
    if failures:
        raise Refused("\n".join(failures))
    if not args:
        raise Refused("Job ID or one of '-m', '-u' '-q' and '-J' must be specified.")


def bhosts(cluster: Cluster, args: Sequence[str]) -> None:
    if list(args[:2]) != ["-noheader", "-o"]:
        raise Refused("bhosts: invalid option")
    with cluster.locked():
        jobs = cluster.jobs()
    for name, host in cluster.hosts().items():
        running = [job for job in jobs if job["host"] == name and job["stat"] == "RUN"]
        values = {
            "hname": name,
            "max": host["slots"],
            "ng": host["gpus"],
            "status": host.get("status", "ok"),
            "njobs": sum(job["slots"] for job in running),
        }
        print(*(values[field] for field in args[2].split()))


def run(cluster: Cluster, args: Sequence[str]) -> None:
    """Runs a job to its end."""
    number = int(args[0])
    job = cluster.job(number)
    files = cluster.directory / "files"
    env = {
        **json.loads((files / f"{number}.env").read_text()),
        "LSB_JOBID": str(number),
        "LSB_JOBNAME": job["name"],
        "LSB_HOSTS": " ".join([job["host"]] * job["slots"]),
        "LSB_QUEUE": job["queue"],
    }
    with (files / f"{number}.out").open("wb") as out, (files / f"{number}.err").open("wb") as err:
        process = subprocess.Popen(
            ["/bin/sh", str(files / f"{number}.job")],
            cwd=job["cwd"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        code = _wait(process, files / f"{number}.killed")
    _report(job, files, code)
    with cluster.locked():
        job = cluster.job(number)
        job.update(stat="EXIT" if code else "DONE", exit_code=str(code) if code else "-")
        if (files / f"{number}.killed").exists() and code:
            job["exit_reason"] = "TERM_OWNER: job killed by owner"
        cluster.save(job)
        cluster.dispatch()


def _wait(process: subprocess.Popen[bytes], killed: Path) -> int:
    signals = iter((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
    next_at_s = 0.0
    while process.poll() is None:
        if killed.exists() and time.monotonic() >= next_at_s:
            next_at_s = time.monotonic() + 10
            os.killpg(process.pid, next(signals, signal.SIGKILL))
        time.sleep(0.02)
    code = process.returncode
    return 128 - code if code < 0 else code


def _report(job: Job, files: Path, code: int) -> None:
    if not job["report"] or not Path(job["report"]).parent.is_dir():
        return
    how = f"Exited with exit code {code}." if code else "Successfully completed."
    said = (files / f"{job['id']}.out").read_text(errors="replace")
    Path(job["report"]).write_text(
        f"Sender: LSF System <lsfadmin@{job['host']}>\n"
        f"Subject: Job {job['id']}: <{job['name']}> {'Exited' if code else 'Done'}\n\n"
        f"Job was executed on host(s) <{job['host']}>, in queue <{job['queue']}>.\n\n"
        "Your job looked like:\n\n"
        "------------------------------------------------------------\n"
        f"# LSBATCH: User input\n{(files / str(job['id'])).with_suffix('.job').read_text()}\n"
        "------------------------------------------------------------\n\n"
        f"{how}\n\nThe output (if any) follows:\n\n{said}\n"
    )
    shutil.copyfile(files / f"{job['id']}.err", job["errors"])


def docker(cluster: Cluster, args: Sequence[str]) -> None:
    if args[0] == "run":
        _docker_run(cluster, list(args[1:]))
    name = args[-1]
    path = cluster.directory / "containers" / name
    if not path.exists():
        raise Refused(f"Error: No such container: {name}", 1)
    group = int(path.read_text())
    if args[0] == "stop":
        _signal(group, signal.SIGTERM)
        deadline_s = time.monotonic() + float(args[2])
        while _lives(group) and time.monotonic() < deadline_s:
            time.sleep(0.02)
    _signal(group, signal.SIGKILL)
    if args[0] == "rm":
        path.unlink(missing_ok=True)
    print(name)


def _docker_run(cluster: Cluster, words: list[str]) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": "/"}
    name = entrypoint = workdir = ""
    while words[0].startswith("-"):
        option, equals, value = words.pop(0).partition("=")
        if not equals and option != "--rm":
            value = words.pop(0)
        if option == "--name":
            name = value
        elif option == "--entrypoint":
            entrypoint = value
        elif option == "-w":
            workdir = value
        elif option == "-e":
            key, has_value, text = value.partition("=")
            env.update({key: text} if has_value else {key: os.environ[key]})
        elif option == "-v":
            source, target, _ = value.split(":")
            if source != target or not os.path.exists(source):
                raise Refused(f"docker: nothing can be mounted at {target} from {source}.", 125)
    container = cluster.directory / "containers" / name
    if container.exists() and _lives(int(container.read_text())):
        raise Refused(f'docker: Conflict. The container name "/{name}" is already in use.', 125)
    os.setsid()
    container.write_text(str(os.getpid()))
    os.chdir(workdir or "/")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        os.execvpe(entrypoint, [entrypoint, *words[1:]], env)
    except OSError as error:
        raise Refused(f"docker: Error response from daemon: {error}.", 127) from None


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


MAINS: dict[str, Callable[[Cluster, Sequence[str]], None]] = {
    "bsub": bsub,
    "bjobs": bjobs,
    "bkill": bkill,
    "bhosts": bhosts,
    "run": run,
    "docker": docker,
}


def main() -> int:
    try:
        MAINS[sys.argv[2]](Cluster(Path(sys.argv[1])), sys.argv[3:])
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
