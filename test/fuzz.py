"""Random input everywhere: messages and requests to a running system and to each node by itself, and every kind of file that
is read. `test_systems_fuzz.py`, `test_fuzz_nodes.py` and `test_fuzz_parts.py` do it for some seconds;

    python test/fuzz.py --hours 1 [--only arm,images] [--seed N]

for as long as one likes, with other seeds. Everything is accepted or refused in one line; a failure names the seed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SEED = int(os.environ.get("JSAC_FUZZ_SEED", "1"))  # of the tests: what one of them finds, the next run finds too

Part = Callable[[random.Random, Path], Iterator[Callable[[], object]]]  # -> what to try, one after the other
MOST_S, MOST_MB = 20.0, 500.0  # of processor time and memory, for one file or message
NUMBERS = {
    "int8": (-(2**7), 2**7 - 1), "uint8": (0, 2**8 - 1), "octet": (0, 255), "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1), "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45, 0.25, 1e9)
WORDS = (
    "", "a", "moving", "acting", "stopped", "none", "ur5", "rgb8", "bgr8", "mono8", "mono16", "16UC1", "32FC1", "bayer_rggb8",
    "yuv422", "nv12", "jpeg", "png", "raw", "16UC1; compressedDepth", "bgr8; jpeg compressed bgr8", "camera_freeze 0.3",
    "joint_jump nan", "restart -1", "none none", "[/red]", "%s%n{0}", "\n\r\t", "é\u200b\U0001f916", "../../x", "=1+1", "x" * 5000,
)  # fmt: skip


# -- random messages -----------------------------------------------------------------------------------------------


def message_class(type_name: str) -> type:
    package, kind, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def value_of(kind: str, rng: random.Random, depth: int = 0):
    """A random value of a field's type, as `get_fields_and_field_types` names it."""
    if kind.startswith("sequence<"):
        inner, _, bound = kind[9:-1].partition(", ")
        length = min(rng.choice((0, 0, 1, 2, 3, 5, 6, 7, 30, 1000)), int(bound or 1000))
        if inner == "uint8":
            return rng.randbytes(rng.choice((0, 1, 7, 100, 30_000)))
        return [value_of(inner, rng, depth + 1) for _ in range(length if depth < 2 else min(length, 3))]
    if kind.endswith("]"):
        inner, _, length = kind[:-1].rpartition("[")
        return [value_of(inner, rng, depth + 1) for _ in range(int(length))]
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in NUMBERS:
        low, high = NUMBERS[kind]
        return rng.choice((0, 1, low, high, high - 1, rng.randint(low, high), min(high, rng.randint(0, 300))))
    if kind in ("float", "double"):
        return rng.choice((*FLOATS, rng.gauss(0, 1), *((1e308, 5e-324) if kind == "double" else ())))
    if kind.startswith(("string", "wstring")):
        return rng.choice(WORDS)
    return random_message(message_class(kind.replace("/", "/msg/")), rng, depth + 1)


def random_message(kind: type, rng: random.Random, depth: int = 0):
    return kind(**{name: value_of(field, rng, depth) for name, field in kind.get_fields_and_field_types().items()})


def change(message, rng: random.Random) -> None:
    """Gives one field, or one of a message in it, a random value."""
    name, kind = rng.choice(list(message.get_fields_and_field_types().items()))
    inner = getattr(message, name)
    if hasattr(inner, "get_fields_and_field_types") and inner.get_fields_and_field_types():
        change(inner, rng)
    else:
        setattr(message, name, value_of(kind, rng))


def spoiled(data: bytes, rng: random.Random, times: int = 3) -> bytes:
    """Bytes with some of them flipped, cut out, doubled, or replaced by numbers that are too large."""
    data = bytearray(data)
    for _ in range(rng.randint(1, times)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(5)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            del data[at : at + rng.choice((1, 4, 100, len(data)))]
        elif what == 2:
            data[at:at] = data[at : at + rng.choice((1, 8, 100))]
        elif what == 3:
            data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"))
        else:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 50)))
    return bytes(data)


# -- a running system ----------------------------------------------------------------------------------------------


class Stranger:
    """Sends on every topic and calls every service of the nodes of a system, found in the ROS graph.

    Half of what it sends is something that it has heard there, with some fields changed.
    """

    def __init__(self, node, rng: random.Random):
        self.node, self.rng = node, rng
        self.sent: dict[str, int] = {}
        self._publishers, self._heard, self._clients, self._kinds = {}, {}, {}, {}
        self.look()

    def look(self) -> None:
        """For nodes, and topics and services of theirs, that are new."""
        for name, namespace in self.node.get_node_names_and_namespaces():
            if name == self.node.get_name():
                continue
            for topic, kinds in self.node.get_subscriber_names_and_types_by_node(name, namespace):
                for kind in kinds:
                    self._meet(topic, message_class(kind))
            for service, (kind, *_) in self.node.get_service_names_and_types_by_node(name, namespace):
                if service not in self._clients:
                    self._clients[service] = self.node.create_client(message_class(kind), service)

    def _meet(self, topic: str, kind: type) -> None:
        if (topic, kind) in self._publishers:
            return
        from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data

        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._publishers[topic, kind] = self.node.create_publisher(kind, topic, latched)
        hear = lambda message: self._heard.__setitem__((topic, kind), message)
        self.node.create_subscription(kind, topic, hear, qos_profile_sensor_data)

    def leave(self) -> None:
        for publisher in self._publishers.values():
            self.node.destroy_publisher(publisher)
        self._publishers = {}

    def send(self) -> None:
        """One message to every topic and one request to one service."""
        from rclpy._rclpy_pybind11 import RCLError
        from rclpy.serialization import deserialize_message, serialize_message

        for (topic, kind), publisher in self._publishers.items():
            heard = self._heard.get((topic, kind))
            if heard is None or self.rng.random() < 0.4:
                message = random_message(kind, self.rng)
            else:
                message = deserialize_message(serialize_message(heard), kind)
                for _ in range(self.rng.choice((1, 1, 2, 5))):
                    change(message, self.rng)
            if self.rng.random() < 0.1:
                message = spoiled(serialize_message(message), self.rng)
            with contextlib.suppress(RCLError):  # bytes that the middleware does not send
                publisher.publish(message)
            self.sent[topic] = self.sent.get(topic, 0) + 1
        service = self.rng.choice(list(self._clients))
        client = self._clients[service]
        if client.service_is_ready():
            client.call_async(random_message(client.srv_type.Request, self.rng))
            self.sent[service] = self.sent.get(service, 0) + 1


# -- parts, without a system ---------------------------------------------------------------------------------------


def fuzz_part(part: Part, seconds: float, seed: int, at_least: int = 3) -> int:
    """Tries until the time is over; -> how many. Raises AssertionError at what is neither accepted nor one line."""
    name, deadline, tried = part.__name__, time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        for use in part(random.Random(seed), Path(folder)):
            which, began_s, began_mb = f"{name}, seed {seed}, number {tried + 1}", time.process_time(), peak_mb()
            try:
                use()
            except ValueError as error:
                assert len(str(error)) < 10_000, f"{which}: a line of {len(str(error))} characters"
            except Exception as error:
                raise AssertionError(f"{which}: {error!r}") from error
            assert time.process_time() - began_s < MOST_S, f"{which}: {time.process_time() - began_s:.0f} s"
            assert peak_mb() - began_mb < MOST_MB, f"{which}: {peak_mb() - began_mb:.0f} MB"
            tried += 1
            if time.monotonic() > deadline and tried >= at_least:
                return tried
    return tried


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    import fuzz_files
    import fuzz_foreign
    import fuzz_nodes
    import test_systems_fuzz

    parts = {part.__name__: part for part in (*fuzz_files.PARTS, *fuzz_foreign.PARTS, fuzz_nodes.ears)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    systems = test_systems_fuzz.SYSTEMS
    parser.add_argument("--only", default=",".join([*systems, *fuzz_nodes.CASES, *parts]), help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    arguments = parser.parse_args()
    names, end = arguments.only.split(","), time.monotonic() + 3600 * arguments.hours
    turn_s, seed = min(120.0, 3600 * arguments.hours / len(names)), arguments.seed
    while time.monotonic() < end:
        for name in names:
            seed += 1
            with tempfile.TemporaryDirectory() as folder:
                if name in parts:
                    tried = fuzz_part(parts[name], turn_s, seed)
                elif name in fuzz_nodes.CASES:
                    tried = fuzz_nodes.fuzz_node(name, Path(folder), turn_s, seed).total()
                else:
                    tried = test_systems_fuzz.fuzz_system(Path(folder), test_systems_fuzz.SYSTEMS[name], turn_s, seed)
            print(f"{name}: {tried} tries with seed {seed}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
