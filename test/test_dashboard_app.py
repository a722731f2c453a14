"""The dashboard without ROS: what a viewer is told, who may look and who may do, episodes out of the store."""

import json
import re
import stat

import cv2
import numpy as np
import pytest
from replay_cases import SPACES, make_episode
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from jsac_ros.config import ConfigError
from jsac_ros.control.verbs import EMERGENCY_STOP
from jsac_ros.dashboard import app
from jsac_ros.dashboard import hub as hubs
from jsac_ros.dashboard.access import FILE, Access, access_of
from jsac_ros.dashboard.app import create_app
from jsac_ros.dashboard.hub import Hub, Reader
from jsac_ros.dashboard.recorded import Recorded
from jsac_ros.nodes.operator import SERVICES
from jsac_ros.replay.store import FrameStore

TOKEN = "a-token-of-this-run"
PAGE, SOCKET = "http://localhost:8642", "ws://localhost:8642/look"
VERBS = ("pause", "emergency-stop")


# -- the hub -----------------------------------------------------------------------------------------------------------


def test_a_viewer_is_told_everything_once_and_then_what_changes():
    hub = Hub()
    hub.set("run", {"name": "demo"})
    hub.append("episodes", 0)
    first = Reader(hub)
    assert first.changes() == {"run": {"name": "demo"}, "episodes": [0]}
    hub.set("run", {"name": "demo"})
    assert first.changes() == {}, "the same again is no change"
    hub.set("control", {"ticks": 1})
    hub.append("episodes", 1)
    assert first.changes() == {"control": {"ticks": 1}, "episodes": [1]}
    late = Reader(hub).changes()
    assert late == {"run": {"name": "demo"}, "control": {"ticks": 1}, "episodes": [0, 1]}


def test_lists_are_bounded_and_a_slow_viewer_gets_what_is_left(monkeypatch):
    monkeypatch.setitem(hubs.MOST, "events", 3)
    hub = Hub()
    slow = Reader(hub)
    hub.append("events", 0)
    assert slow.changes() == {"events": [0]}
    for event in range(1, 8):
        hub.append("events", event)
    assert slow.changes() == {"events": [5, 6, 7]} and slow.changes() == {}


def test_of_a_camera_the_newest_image_is_kept():
    hub = Hub()
    assert hub.image("wrist") is None
    hub.set_image("wrist", b"one")
    hub.set_image("wrist", b"two")
    assert hub.image("wrist") == (2, b"two") and hub.image("scene") is None


# -- access ------------------------------------------------------------------------------------------------------------

LOCAL, OPEN = Access(TOKEN), Access(TOKEN, ["0.0.0.0", "bench", "bench.local"])


@pytest.mark.parametrize(
    ("access", "host", "origin", "may"),
    [
        (LOCAL, "localhost:8642", None, True),
        (LOCAL, "127.0.0.1:8642", "http://127.0.0.1:8642", True),
        (LOCAL, "[::1]:8642", "http://[::1]:8642", True),
        (LOCAL, "LocalHost:8642", "http://localhost:8642", True),
        (LOCAL, None, None, False),
        (LOCAL, "evil.example:8642", None, False),  # a name of theirs that was made to lead here
        (LOCAL, "192.168.1.7:8642", None, False),
        (LOCAL, "localhost:8642", "http://evil.example", False),
        (LOCAL, "localhost:8642", "http://localhost:9000", False),  # another page on this computer
        (LOCAL, "localhost:8642", "null", False),  # of a file, or sandboxed
        (OPEN, "192.168.1.7:8642", "http://192.168.1.7:8642", True),
        (OPEN, "[fe80::1]:8642", None, True),
        (OPEN, "bench.local:8642", None, True),
        (OPEN, "evil.example:8642", "http://evil.example:8642", False),
        (OPEN, "192.168.1.7:8642", "http://evil.example", False),
    ],
)
def test_who_may_look(access, host, origin, may):
    assert access.may_look(host, origin) is may


@pytest.mark.parametrize("token", [None, "", "a", TOKEN + " ", TOKEN[:-1], "é" * 19])
def test_who_may_not_do(token):
    assert LOCAL.may_do(TOKEN) and not LOCAL.may_do(token)


def test_the_token_is_drawn_once_and_for_this_user_alone(tmp_path):
    token = access_of(tmp_path, "127.0.0.1").token
    assert len(token) >= 16 and access_of(tmp_path, "0.0.0.0").token == token
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert not access_of(tmp_path, "localhost").open and access_of(tmp_path, "0.0.0.0").open


def test_a_token_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / FILE).write_text("short\n")
    with pytest.raises(ConfigError, match=f"{FILE}: has 5 characters; expected at least 16"):
        access_of(tmp_path, "127.0.0.1")
    (tmp_path / FILE).write_bytes(b"\xff" * 30)
    with pytest.raises(ConfigError, match=f"{FILE}: 'utf-8' codec can't decode"):
        access_of(tmp_path, "127.0.0.1")
    with pytest.raises(ConfigError, match="No such file or directory; expected a file that this user can write"):
        access_of(tmp_path / "missing", "127.0.0.1")


# -- the application ---------------------------------------------------------------------------------------------------


class Page:
    """The application over a hub and a store, and what its buttons have done."""

    def __init__(self, folder):
        self.hub, self.done = Hub(), []
        app = create_app(self.hub, Access(TOKEN), Recorded(folder / "replay"), self._do, VERBS)
        self.client = TestClient(app, base_url=PAGE)

    def _do(self, verb):
        self.done.append(verb)
        return verb != "pause", f"{verb} it is"

    def post(self, verb, **headers):
        return self.client.post(f"/do/{verb}", headers=headers)


@pytest.fixture
def page(tmp_path):
    return Page(tmp_path)


def test_the_page_comes_with_everything_that_it_loads_and_may_load_nothing_else(page):
    answer = page.client.get("/")
    assert answer.status_code == 200 and "jsac_ros" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    for file in app.STATIC.iterdir():
        found = page.client.get(f"/static/{file.name}")
        assert found.status_code == 200 and "http://" not in found.text.replace("http://www.w3.org", ""), file.name
    assert page.client.get("/static/../app.py").status_code == 404


def test_the_page_comes_from_links_too(tmp_path, monkeypatch):
    """`colcon build --symlink-install` installs each file as a link to the source."""
    (tmp_path / "static").mkdir()
    for file in app.STATIC.iterdir():
        (tmp_path / "static" / file.name).symlink_to(file)
    monkeypatch.setattr(app, "STATIC", tmp_path / "static")
    assert Page(tmp_path).client.get("/static/app.js").status_code == 200


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}])
@pytest.mark.parametrize("path", ["/", "/static/app.js", "/token", "/episode/ur5/1/0"])
def test_foreign_pages_are_refused_everything(page, headers, path):
    assert page.client.get(path, headers=headers).status_code == 403
    assert page.post("emergency-stop", **{"x-jsac-token": TOKEN}, **headers).status_code == 403 and page.done == []
    with pytest.raises(WebSocketDisconnect) as refused, page.client.websocket_connect(SOCKET, headers=headers):
        pass
    assert refused.value.code == 4403 and page.hub.viewers == 0


def test_a_button_needs_the_token_of_the_run(page):
    for headers in ({}, {"x-jsac-token": "wrong"}):
        answer = page.post("emergency-stop", **headers)
        assert answer.status_code == 403 and "read-only" in answer.json()["message"]
        assert page.client.get("/token", headers=headers).json() == {"may_do": False}
    assert page.done == []
    assert page.client.get("/token", headers={"x-jsac-token": TOKEN}).json() == {"may_do": True}
    answer = page.post("emergency-stop", **{"x-jsac-token": TOKEN})
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "emergency-stop it is"})
    answer = page.post("pause", **{"x-jsac-token": TOKEN})
    assert (answer.status_code, answer.json()["success"]) == (409, False)
    assert page.post("reboot", **{"x-jsac-token": TOKEN}).status_code == 404
    assert page.client.get("/do/pause", headers={"x-jsac-token": TOKEN}).status_code == 405
    assert page.done == ["emergency-stop", "pause"]


def test_every_verb_of_an_operator_has_a_button():
    table = re.search(r"const VERBS = \{(.*?)\};", (app.STATIC / "app.js").read_text(), re.DOTALL)[1]
    assert set(re.findall(r"(\w+): \"", table)) == set(SERVICES) - {EMERGENCY_STOP}
    assert f'data-verb="{EMERGENCY_STOP}"' in (app.STATIC / "index.html").read_text()


def test_a_viewer_gets_changes_and_the_next_image_when_it_has_seen_the_last(page):
    page.hub.set("run", {"name": "demo"})
    with page.client.websocket_connect(SOCKET, headers={"origin": PAGE}) as viewer:
        assert json.loads(viewer.receive_text()) == {"run": {"name": "demo"}}
        assert page.hub.viewers == 1
        page.hub.set_image("wrist", b"\xff\xd8 one")
        viewer.send_text(json.dumps({"images": ["wrist", "none such"]}))
        header, _, jpeg = viewer.receive_bytes().partition(b"\0")
        assert json.loads(header) == {"image": "wrist"} and page.hub.wanted() == {"wrist", "none such"}
        assert jpeg == b"\xff\xd8 one"
        viewer.send_text(json.dumps({"seen": True}))
        page.hub.set_image("wrist", b"\xff\xd8 two")
        assert viewer.receive_bytes().endswith(b"two")
        page.hub.append("episodes", {"episode": 0})
        assert json.loads(viewer.receive_text()) == {"episodes": [{"episode": 0}]}
    assert page.hub.viewers == 0 and page.hub.wanted() == set()


@pytest.mark.parametrize("said", ["", "{", "[1]", "3", '{"images": 5}', '{"images": null}', "[" * 100_000, b"\x00\xff"])
def test_a_viewer_that_talks_nonsense_is_left_and_nobody_else(page, said):
    page.hub.set("run", 1)
    with page.client.websocket_connect(SOCKET) as good:
        good.receive_text()
        with page.client.websocket_connect(SOCKET) as viewer:
            viewer.receive_text()
            (viewer.send_bytes if isinstance(said, bytes) else viewer.send_text)(said)
            with pytest.raises(WebSocketDisconnect):
                viewer.receive_text()
        page.hub.set("run", 2)
        assert json.loads(good.receive_text()) == {"run": 2} and page.hub.viewers == 1


# -- episodes of the store ---------------------------------------------------------------------------------------------


@pytest.fixture
def played(tmp_path):
    """A page over a store with two episodes, of a robot in a namespace in a namespace."""
    page = Page(tmp_path)
    store = FrameStore.open(tmp_path / "replay", SPACES, 64)
    episodes = [make_episode(5, 0, robot="lab/right"), make_episode(3, 6, robot="lab/right", episode=1, terminal=True)]
    for transition in sum(episodes, []):
        store.append(transition)
    yield page, episodes
    store.close()


def test_an_episode_is_played_from_the_store_while_replay_writes_to_it(played):
    page, (first, _) = played
    found = page.client.get("/episode/lab%2Fright/1/0").json()
    assert found["steps"] == 5 and found["images"] == {"wrist": [4, 5, 3]}
    np.testing.assert_allclose(found["reward"], [t.reward for t in first[:-1]], rtol=1e-6)
    np.testing.assert_allclose(found["action"]["arm"], [t.action["arm"] for t in first[:-1]], atol=1e-3)
    assert found["success"] == [t.success for t in first]
    sheet = page.client.get("/episode/lab%2Fright/1/0/wrist.jpg")
    assert sheet.headers["content-type"] == "image/jpeg"
    columns, count = int(sheet.headers["x-columns"]), int(sheet.headers["x-frames"])
    image = cv2.imdecode(np.frombuffer(sheet.content, np.uint8), cv2.IMREAD_COLOR)
    assert count == 6 and image.shape == (4 * -(-count // columns), 5 * columns, 3)


@pytest.mark.parametrize(
    "path",
    ["lab/right/1/2", "lab/right/2/0", "left/1/0", f"lab/right/{2**70}/0", "lab/right/1/0/scene.jpg", "lab/right/1/7/wrist.jpg",
     "lab/right/1/0/..%2Fstore.json.jpg"],
)  # fmt: skip
def test_what_the_store_does_not_hold_is_not_found(played, path):
    page, _ = played
    assert page.client.get(f"/episode/{path}").status_code == 404


def test_before_replay_has_made_a_store_there_is_no_episode(page):
    assert page.client.get("/episode/ur5/1/0").status_code == 404
    assert page.client.get("/episode/ur5/1/0/wrist.jpg").status_code == 404
