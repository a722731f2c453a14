"""A person's verbs and a server that does not answer: nothing is done much later, and nothing piles up."""

import itertools
import threading
import time

import domains
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import rclpy
from std_srvs.srv import Trigger

from jsac_ros.nodes import asked, console
from jsac_ros.nodes.asked import Asked
from jsac_ros.nodes.console import MOST_PRESSED, Console


@pytest.fixture
def silent(monkeypatch):
    """The verbs of a person, and an actor that is there and does not answer."""
    monkeypatch.setattr(console, "ANSWER_S", 0.3)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domains.take())
    actor, person = (rclpy.create_node(name, context=context) for name in ("actor", "person"))
    actor.create_service(Trigger, "actor/pause", lambda request, response: response)
    verbs = Console(person)
    assert verbs._clients["pause"].wait_for_service(10)
    yield verbs
    for node in (actor, person):
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_what_waited_long_for_the_verb_before_it_is_not_done(silent):
    for _ in range(MOST_PRESSED + 5):
        silent.press("pause", "keyboard")
    first, *rest = itertools.islice(silent.work("keyboard", threading.Event()), MOST_PRESSED)
    assert first == ("pause", False, "actor/pause did not answer within 0.3 s")
    assert all(not success and message.endswith("for the one before it; press it again") for _, success, message in rest)
    assert silent._pressed.empty(), "the others were dropped"


def test_of_many_unanswered_requests_the_newest_are_kept(silent, monkeypatch):
    monkeypatch.setattr(asked, "MOST_PENDING", 3)
    client, heard = silent._clients["pause"], []
    ask = Asked(client.call_async)
    for _ in range(10):
        ask(Trigger.Request(), heard.append)
    pending = list(client._pending_requests.values())
    assert len(pending) == 3
    pending[0].set_result("late")
    assert heard == ["late"]


def test_requests_that_are_not_answered_are_forgotten(silent):
    began_s = time.monotonic()
    for _ in range(10):
        assert silent.do("pause", "keyboard") == (False, "actor/pause did not answer within 0.3 s")
    assert len(silent._clients["pause"]._pending_requests) <= 1 and time.monotonic() - began_s < 5
