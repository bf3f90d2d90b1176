"""Services that speak S3, on the loopback, for tests: moto's, and SeaweedFS, each in a process of its own.

Belongs here: starting and stopping them, making buckets, and a proxy that is slow, or fails. Does not: any test.
"""

import json
import random
import socket
import socketserver
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START_S = 120.0
KEY, SECRET = "anyone", "anything"


@contextmanager
def s3_service() -> Iterator[dict[str, str]]:
    """Run moto's server; give the environment variables by which clients find it."""
    (port,) = free_ports(1)
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield environment_of(port)


@contextmanager
def seaweedfs(folder: Path) -> Iterator[dict[str, str]]:
    """Run SeaweedFS with its data in ``folder``; give the environment variables by which clients find it."""
    ports = free_ports(8)
    master, volume, filer, s3, *more = ports
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    named = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": master,
        "master.port.grpc": more[0],
        "volume.port": volume,
        "volume.port.grpc": more[1],
        "volume.max": 200,  # each bucket has its own
        "filer.port": filer,
        "filer.port.grpc": more[2],
        "s3.port": s3,
        "s3.port.grpc": more[3],
        "s3.config": folder / "s3.json",
        "master.volumeSizeLimitMB": 64,
    }
    weed = str(Path(sys.executable).with_name("weed"))
    options = [f"-{name}={value}" for name, value in named.items()]
    with _running([weed, f"-logdir={folder}", "server", "-s3", *options], s3):
        yield environment_of(s3)


def environment_of(port: int) -> dict[str, str]:
    """Return the environment variables by which clients find the service at a port."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


def make_bucket(environment: dict[str, str]) -> str:
    """Make a bucket at the service of ``environment``, and return its ``s3://`` URI."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    name = f"cries-{uuid.uuid4().hex}"
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
    until = time.monotonic() + START_S
    while True:
        try:
            client.create_bucket(Bucket=name)
        except (BotoCoreError, ClientError):  # a service of several parts listens before all of them are there
            if time.monotonic() > until:
                raise
            time.sleep(0.3)
        else:
            return f"s3://{name}"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


@contextmanager
def unreliable(environment: dict[str, str], harm: "Callable[[random.Random], str]") -> Iterator[dict[str, str]]:
    """Run a proxy before a service; ``harm`` says of each connection what becomes of it.

    ``""``: it is passed on; ``slow``: a moment later; ``lost``: its answer is, after the service did what was asked;
    ``refused``: the service is not asked. A connection carries one request: the proxy says so to both sides.
    """
    port, chance = int(environment["AWS_ENDPOINT_URL"].rpartition(":")[2]), random.Random(7)  # noqa: S311 - no secret

    class Passing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            what = harm(chance)
            if what == "refused":
                return
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as service:
                if what == "slow":
                    time.sleep(0.5)
                _pass(self.request, service)
                answer = b"".join(iter(lambda: service.recv(1 << 16), b""))
                if what != "lost":
                    self.request.sendall(answer)

    class Proxy(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    with Proxy(("127.0.0.1", 0), Passing) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_address[1]}"}
        finally:
            proxy.shutdown()
            thread.join()


def _pass(client: socket.socket, service: socket.socket) -> None:
    """Pass one request on, and ask the service to close the connection after its answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(1 << 16)
        if not more:
            return
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    service.sendall(b"\r\n".join([*lines, b"connection: close"]) + b"\r\n\r\n" + body)
    passed = len(body)
    while passed < length:
        more = client.recv(1 << 16)
        if not more:
            return
        service.sendall(more)
        passed += len(more)


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        try:
            _wait_for(port, service)
            yield
        finally:
            service.kill()


def _wait_for(port: int, service: subprocess.Popen) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and service.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"a service did not start within {START_S:.0f} s (exit code {service.poll()})")
