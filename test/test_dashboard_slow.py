"""A viewer on a slow link, or one that is gone without a word: nothing and nobody waits for it, and it costs no memory."""

import base64
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from dashboard_page import TOKEN, Served
from websockets.sync.client import connect

MESSAGES, BYTES = 150, 1_000_000  # the system itself keeps four megabytes for a viewer


@pytest.fixture
def served(tmp_path):
    served = Served(tmp_path, episodes=3)
    yield served
    served.waits.set()
    served.close()


def host_of(served):
    return served.url.partition("//")[2].partition("/")[0]


def deaf(served):
    """A viewer that asked for images and reads nothing, ever: the socket of a phone that has gone out of reach."""
    host, _, port = host_of(served).partition(":")
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    stuck.sendall(
        f"GET /look HTTP/1.1\r\nHost: {host_of(served)}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return stuck


def test_a_viewer_that_takes_nothing_slows_nobody_and_costs_no_memory(served):
    hub, stuck = served.hub, [deaf(served) for _ in range(3)]
    with connect(f"ws://{host_of(served)}/look", origin=f"http://{host_of(served)}") as viewer:
        deadline_s = time.monotonic() + 10
        while hub.viewers < 4:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        longest_s = 0.0
        for k in range(MESSAGES):
            began_s = time.monotonic()
            hub.set("control", {"state": "acting", "ticks": k, "filler": "x" * BYTES})
            hub.set_image("wrist", os.urandom(50_000))
            longest_s = max(longest_s, time.monotonic() - began_s)
            time.sleep(0.01)
        assert longest_s < 0.1, "what publishes waits for no viewer"
        began_s = time.monotonic()
        while f'"ticks": {MESSAGES - 1}' not in str(viewer.recv(timeout=5)):
            pass
        assert time.monotonic() - began_s < 2, "another viewer is up to date"
        began_s = time.monotonic()
        answer = httpx2.post(f"http://{host_of(served)}/do/emergency-stop", headers={"x-jsac-token": TOKEN})
        assert answer.json()["success"] and time.monotonic() - began_s < 1
    waiting = [connection.transport.get_write_buffer_size() for connection in list(served.connections)]
    assert max(waiting) > 0, "they do not take what they are sent"
    assert sum(waiting) < len(stuck) * 2.5 * BYTES, "a message of each waits, not all of them"
    for viewer in stuck:
        viewer.close()


def test_verbs_that_wait_for_their_answers_are_not_in_the_way_of_the_stop(served):
    served.waits.clear()
    post = lambda verb: httpx2.post(f"http://{host_of(served)}/do/{verb}", headers={"x-jsac-token": TOKEN}, timeout=20)
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(post, "pause") for _ in range(40)]
        time.sleep(0.3)
        assert post("emergency-stop").json()["success"] and "emergency-stop" in served.done
        assert not any(answer.done() for answer in waiting)
        served.waits.set()
        assert all(answer.result().json()["success"] for answer in waiting)
