"""A service that speaks S3, on the loopback, for tests: moto's, in a process of its own.

Belongs here: starting and stopping it, and making buckets. Does not: any test.
"""

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

START_S = 60.0


@contextmanager
def s3_service() -> Iterator[dict[str, str]]:
    """Run the service; give the environment variables by which clients find it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        try:
            _wait_for(port, service)
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "anyone",
                "AWS_SECRET_ACCESS_KEY": "anything",
                "AWS_REGION": "us-east-1",
            }
        finally:
            service.kill()


def make_bucket(environment: dict[str, str]) -> str:
    """Make a bucket at the service of ``environment``, and return its ``s3://`` URI."""
    import boto3

    name = f"cries-{uuid.uuid4().hex}"
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
    client.create_bucket(Bucket=name)
    return f"s3://{name}"


def _wait_for(port: int, service: subprocess.Popen) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and service.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"moto's server did not start within {START_S:.0f} s (exit code {service.poll()})")
