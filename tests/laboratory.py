"""A cluster on one machine: every node a network, PID, mount and UTS namespace of its own, with its own sshd.

All of them live in one outer PID namespace. When its first process dies, so does everything inside, whatever state a
test left it in; the network namespaces and their bridge go with it, and no packet ever leaves them.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).parents[1]
ADDRESSES = {"laptop": "10.77.0.1", "head": "10.77.0.2", "one": "10.77.0.3", "two": "10.77.0.4", "store": "10.77.0.9"}
INIT = "while :; do sleep 3600 & wait; done"  # a first process that reaps what its namespace leaves behind
NAMESPACES = ["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc"]
POSTGRES = Path("/usr/lib/postgresql")
PYTHON = Path(sys.base_prefix) / "bin" / "python3"  # what a machine has before the project's environment is made


def missing() -> str:
    """Why there can be no laboratory here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    programs = [
        name
        for name in ("unshare", "nsenter", "setpriv", "ip", "ssh", "rsync", "runuser", "script")
        if not shutil.which(name)
    ]
    if not Path("/usr/sbin/sshd").exists():
        programs.append("sshd")
    if not list(POSTGRES.glob("*/bin/initdb")):
        programs.append("postgresql")
    if programs:
        return f"not installed: {', '.join(programs)}"
    if not all(find_spec(module) for module in ("psycopg", "flask_wtf", "aiohttp_cors")):
        return "not installed: the dependency groups server and cluster (uv sync --group server --group cluster)"
    if subprocess.run([PYTHON, "-m", "uv", "--version"], capture_output=True, check=False).returncode:
        return f"{PYTHON} has no uv, with which the nodes would be set up"
    probe = [*NAMESPACES, "ip", "link", "add", "name", "probe", "type", "bridge"]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"namespaces are not allowed: {tried.stderr.strip()}" if tried.returncode else ""


def folder_of_its_own() -> Path:
    """A new folder that names its maker; those of makers that were killed are removed."""
    place, prefix = Path("/var/tmp"), "lr-study-lab-"  # noqa: S108 — /tmp is every node's own
    for left in place.glob(f"{prefix}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(prefix).split("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=place))


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    output: str


class Node:
    """One machine: commands run in its namespaces, and it dies as a whole."""

    def __init__(self, lab: "Laboratory", name: str, above: "Node | None") -> None:
        self.name, self.address = name, ADDRESSES[name]
        self.home = lab.folder / name / "home"
        if not self.home.exists():  # else it was switched off, and keeps its disk
            self.home.mkdir(parents=True)
            (self.home / ".bashrc").write_text(lab.profile)
            (lab.folder / name / "tmp").mkdir(mode=0o1777)
        # The outermost first process dies with the tests, however they end; and everything inside dies with it.
        outer = above.inside if above else ["setpriv", "--pdeathsig", "KILL"]
        self._process = subprocess.Popen(
            [*outer, *NAMESPACES, "bash", "-c", INIT, f"init-{name}"], stdin=subprocess.DEVNULL
        )
        self._started = [self._process]
        self.pid = self._first()

    def _first(self) -> int:
        for _ in range(100):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                if process.name() == "bash" and process.cmdline()[-1] == f"init-{self.name}":
                    return process.pid
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} did not start")

    @property
    def inside(self) -> list[str]:
        """The words that put a command into this node."""
        return ["nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", "--uts", "--"]

    def start(self, command: str, log: Path, **env: str) -> subprocess.Popen:
        """Start a shell command here, its output in a file."""
        lines = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env}
        command = f"cd {ROOT}; {command}"  # nsenter leaves /
        words = [
            *self.inside,
            "env",
            "-i",
            *(f"{name}={value}" for name, value in lines.items()),
            "bash",
            "-c",
            command,
        ]
        with log.open("ab") as out:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._started.append(process)
        return process

    def run(self, command: str, timeout: float = 300, **env: str) -> Done:
        """Run a shell command here; its output goes through a file, for it may outlive its reader."""
        log = self.home.with_name(f"{time.monotonic_ns()}.log")
        process = self.start(command, log, **env)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return Done(124, f"{command} took longer than {timeout} s\n{log.read_text(errors='replace')}")
        return Done(process.returncode, log.read_text(errors="replace"))

    def kill(self) -> None:
        """SIGKILL to the first process: the kernel ends all others in the same moment."""
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).kill()
        for process in self._started:
            process.wait(30)


class Laboratory:
    """A laptop, a head, two workers and a machine for the store, on one bridge."""

    def __init__(self, folder: Path) -> None:
        """`folder` must not lie below /tmp, which every node has for itself."""
        self.folder = folder
        self.folder.chmod(0o755)  # PostgreSQL's own user passes
        self.storage = folder / "storage"  # as the nodes call the folder that all of them see; small, so that it fills
        self.storage.mkdir()
        # What a machine has by itself: Python with pip, and uv, which installs from its cache for want of a network.
        cache = subprocess.run([PYTHON, "-m", "uv", "cache", "dir"], capture_output=True, text=True, check=True)
        own = f"UV_OFFLINE=1 UV_CACHE_DIR={cache.stdout.strip()}"
        self.profile = f"export PATH={PYTHON.parent}:$PATH {own}\n"
        self._keys()
        self.laptop = Node(self, "laptop", None)
        self._network()
        self.nodes = {name: self._machine(name) for name in ADDRESSES if name != "laptop"}

    def close(self) -> None:
        """End everything, and remove it."""
        for node in (self.laptop, *self.nodes.values()):  # the first takes the others with it
            node.kill()
        for _ in range(50):  # while somebody in there still dies, something may still be written
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
            time.sleep(0.2)

    @property
    def shared(self) -> Path:
        """The same folder as this process sees it: it is mounted in there alone."""
        return Path(f"/proc/{self.laptop.pid}/root{self.storage}")

    def switch_on(self, name: str) -> Node:
        """A node that was killed, with the disk that it had."""
        self.nodes[name] = self._machine(name)
        return self.nodes[name]

    def cable(self, name: str, state: str) -> None:
        """Pull a node's cable ("down") or put it back ("up")."""
        done = self.laptop.run(f"ip link set {name} {state}")
        if done.returncode:
            raise RuntimeError(done.output)

    def _keys(self) -> None:
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)

    def _network(self) -> None:
        script = f"""
            ip link set lo up
            ip link add name lan type bridge
            ip address add {self.laptop.address}/24 dev lan
            ip link set lan up
            mount -t tmpfs -o size=64m tmpfs {self.storage}
        """
        self._configure(self.laptop, script)

    def _machine(self, name: str) -> Node:
        node = Node(self, name, self.laptop)
        # The pair is made from outside, for only there both processes have numbers.
        gone = f"ip link delete {name} 2>/dev/null"  # of the machine before it; the kernel takes its time
        pair = (
            f"{gone}; ip link add {name} type veth peer name eth0 netns {node.pid} && ip link set {name} master lan up"
        )
        network = ["nsenter", f"--target={self.laptop.pid}", "--net", "--", "bash", "-c", pair]
        subprocess.run(network, check=True)
        script = f"""
            ip link set lo up
            ip address add {node.address}/24 dev eth0
            ip link set eth0 up
        """
        self._configure(node, script)
        self._sshd(node)
        return node

    def _configure(self, node: Node, network: str) -> None:
        """Address, name, home, and an /etc, /tmp, /dev/shm and /run of its own.

        /etc as a whole: a mount on /etc/passwd alone is gone as soon as somebody outside replaces that file.
        """
        own = self.folder / node.name
        shutil.rmtree(own / "etc", ignore_errors=True)
        shutil.copytree("/etc", own / "etc", symlinks=True)
        users = (own / "etc" / "passwd").read_text().splitlines()
        root = f"root:x:0:0:root:{node.home}:/bin/bash"
        (own / "etc" / "passwd").write_text("\n".join([root, *users[1:], ""]))
        (own / "etc" / "shadow").write_text("root:*:19000:0:99999:7:::\n")  # not locked: keys may enter
        script = f"""
            set -e
            {network}
            hostname {node.name}
            mount --bind {own}/etc /etc
            mount --bind {own}/tmp /tmp
            mount -t tmpfs -o size=1g tmpfs /dev/shm
            mount -t tmpfs tmpfs /run
            mkdir /run/sshd
        """  # noqa: S108 — its own /tmp, of its own mount namespace
        done = node.run(script)
        if done.returncode:
            raise RuntimeError(f"{node.name}: {done.output}")

    def _sshd(self, node: Node) -> None:
        settings = {
            "ListenAddress": node.address,
            "HostKey": self.folder / "host",
            "AuthorizedKeysFile": self.folder / "user.pub",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "StrictModes": "no",
            "UsePAM": "no",
            "PidFile": "none",
        }
        file = self.folder / node.name / "sshd_config"
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        node.start(f"exec /usr/sbin/sshd -D -e -f {file}", self.folder / node.name / "sshd.log")

    # --- what stands beside the cluster ----------------------------------------------------------------

    def serve(self, credentials: dict[str, str]) -> None:
        """PostgreSQL and MLflow, as cluster/README.md starts them."""
        self._credentials = credentials
        data = self.folder / "store" / "postgres"
        data.mkdir()
        shutil.chown(data, "postgres")
        self._as_postgres("initdb -A trust -U mlflow")
        self.postgres("start")
        self._as_postgres("createdb -h 127.0.0.1 -U mlflow mlflow", data=False)
        self.start_mlflow()

    def postgres(self, action: str) -> None:
        """Start it, or "stop" it as a cut of the power would."""
        data = self.folder / "store" / "postgres"
        options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c dynamic_shared_memory_type=mmap"
        self._as_postgres(f"pg_ctl -w -m immediate -l {data}/log -o {shlex.quote(options)} {action}")

    def _as_postgres(self, command: str, *, data: bool = True) -> None:
        where = f" -D {self.folder}/store/postgres" if data else ""
        program, _, rest = command.partition(" ")
        line = f"cd / && runuser -u postgres -- {max(POSTGRES.glob('*/bin'))}/{program}{where} {rest} >/dev/null"
        done = self.nodes["store"].run(line)
        if done.returncode:
            raise RuntimeError(done.output)

    def start_mlflow(self) -> None:
        """The tracking server; `mlflow` is its first process."""
        node = self.nodes["store"]
        command = (
            f"cd {self.folder}/store && exec {sys.executable} -m mlflow server --app-name basic-auth"
            f" --host {node.address} --port 5000 --workers 1 --artifacts-destination {self.folder}/store/artifacts"
        )
        own = {
            "MLFLOW_BACKEND_STORE_URI": "postgresql://mlflow@127.0.0.1/mlflow",
            "MLFLOW_AUTH_ADMIN_USERNAME": self._credentials["MLFLOW_TRACKING_USERNAME"],
            "MLFLOW_AUTH_ADMIN_PASSWORD": self._credentials["MLFLOW_TRACKING_PASSWORD"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-of-the-laboratory",
            "MLFLOW_AUTH_CONFIG_PATH": str(ROOT / "cluster" / "auth.ini"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        node.start(command, self.folder / "store" / "mlflow.log", **own)

    def kill_mlflow(self) -> None:
        """SIGKILL to all of its processes."""
        (server,) = self.processes("store", "-m mlflow server")
        for process in (server, *server.children(recursive=True)):
            process.kill()

    def processes(self, name: str, words: str) -> list[psutil.Process]:
        """Those in a node's PID namespace, whoever their parents are, whose command line has these words in it."""
        found, inside = [], Path(f"/proc/{self.nodes[name].pid}/ns/pid").readlink()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                there = Path(f"/proc/{process.pid}/ns/pid").readlink() == inside
                if there and words in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def wait_for(self, command: str, seconds: float = 120) -> None:
        """Until a command on the laptop ends well."""
        deadline = time.monotonic() + seconds
        while (done := self.laptop.run(command)).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{command}: {done.output[-2000:]}")
            time.sleep(1)


if __name__ == "__main__":
    sys.stdout.write(missing())
