"""Chooses actions with the newest policy, without ever waiting for a new one.

A thread reads parameters from the mailbox, puts them on the device and swaps them in by replacing one reference.
"""

from __future__ import annotations

import math
import threading
import time
from typing import NamedTuple

import jax
import numpy as np

from jsac_ros import agent as algorithms
from jsac_ros import documents
from jsac_ros.agent import export
from jsac_ros.agent.policy import (
    acting_seed,
    action_key,
    compute_in_calling_thread,
    layout_hash,
    make_act,
    parameter_count,
    random_action,
    unflatten,
)
from jsac_ros.config import SystemConfig
from jsac_ros.control.session import Choice
from jsac_ros.messages import to_ns
from jsac_ros.msg import PolicyParameters
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import PolicyMailbox
from jsac_ros.spaces import Spaces
from jsac_ros.types import Observation, empty_observation

WAIT_S = 0.5
DEPLOYED = 1  # version of a policy that was not learned in this run


class Policy(NamedTuple):
    parameters: object  # pytree on the device
    version: int  # updates behind it; 0: initial parameters
    published_s: float  # on the steady clock


class Acting:
    """Chooses actions. Only the control thread calls `choose`; everything else runs in other threads."""

    def __init__(self, config: SystemConfig, spaces: Spaces, session: int, namespace: str, logger):
        """Raises ConfigError if the algorithm does not support these spaces, ValueError if `run.policy` cannot be read."""
        compute_in_calling_thread()
        deployed = export.load(config.run.policy, config.agent.type) if config.run.policy else None
        self._agent = deployed.agent if deployed else algorithms.build(config.agent, spaces)
        self._spaces, self._logger = spaces, logger
        self._mailbox_name = names.policy(config.run.name, namespace)
        self._layout_hash = layout_hash(self._agent)
        self._count = parameter_count(self._agent)
        self._act = make_act(self._agent)
        self.seed = acting_seed(config.run.seed, session)
        self.inference_ms = math.nan  # of the last action
        self._policy: Policy | None = None
        if deployed:
            self._policy = Policy(deployed.params, DEPLOYED, time.monotonic())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read_mailbox, name="policy", daemon=True)
        if not (config.learner.policy_topic or deployed):
            self._thread.start()

    @property
    def version(self) -> int | None:
        policy = self._policy
        return None if policy is None else policy.version

    @property
    def policy_age_s(self) -> float:
        policy = self._policy
        return 0.0 if policy is None else time.monotonic() - policy.published_s

    def warm_up(self) -> None:
        """Compiles for the shape of observation that `choose` gets."""
        parameters = unflatten(np.zeros(self._count, np.float32), self._agent)
        for deterministic in (False, True):
            self._act(parameters, empty_observation(self._spaces), action_key(0, 0, 0), deterministic)

    def choose(self, observation: Observation, episode: int, step: int, deterministic: bool) -> Choice:
        """A uniformly random action until the first update, then an action of the policy."""
        key = action_key(self.seed, episode, step)
        policy = self._policy
        if policy is None or policy.version == 0:
            self.inference_ms = math.nan
            return Choice(random_action(key, self._spaces), 0)
        began_ns = time.monotonic_ns()
        action = self._act(policy.parameters, observation, key, deterministic)
        self.inference_ms = (time.monotonic_ns() - began_ns) * 1e-6
        return Choice(action, policy.version)

    def take(self, vector: np.ndarray, version: int, published_ns: int) -> None:
        """Puts parameters (float32 [count]) on the device and swaps them in."""
        parameters = jax.device_put(unflatten(vector, self._agent))
        jax.block_until_ready(parameters)
        age_s = max(0.0, time.time() - published_ns * 1e-9)  # converts to the steady clock, as the wall clock may be set later
        self._policy = Policy(parameters, version, time.monotonic() - age_s)

    def on_parameters(self, message: PolicyParameters) -> None:
        """Callback of the topic with parameters, for a learner on another host. Raises ValueError."""
        info = message.info
        if info.layout_hash != self._layout_hash:
            raise ValueError(
                f"layout {info.layout_hash:x}; expected {self._layout_hash:x}: the learner runs another configuration"
            )
        vector = np.frombuffer(message.data, np.float32)
        if info.version < 0 or not np.isfinite(vector).all():
            raise ValueError(f"version {info.version} is negative or not finite; expected the parameters of a learner")
        self.take(vector, info.version, to_ns(info.header.stamp))

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * WAIT_S)

    def _read_mailbox(self) -> None:
        """Follows the newest parameters. After any error the previous policy acts on, and the mailbox is tried again."""
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception as error:  # of the device, of shared memory
                self._logger.error(f"policy not taken: {documents.one_line(error)}", throttle_duration_sec=5.0)
                self._stop.wait(WAIT_S)

    def _follow(self) -> None:
        """One mailbox, until another learner has made it anew. Raises whatever a damaged one or the device may."""
        mailbox, seen = self._attach(), -1
        if mailbox is None:
            return
        try:
            while not self._stop.is_set():
                mailbox.wait(WAIT_S)
                latest = mailbox.read_latest(seen)
                if latest is not None:
                    seen, _, published_ns, vector = latest
                    self.take(vector, seen, published_ns)
                elif mailbox.abandoned():
                    return
        finally:
            mailbox.close()

    def _attach(self) -> PolicyMailbox | None:
        try:
            return PolicyMailbox.attach(self._mailbox_name, self._count, self._layout_hash)
        except FileNotFoundError:  # no learner yet
            self._stop.wait(0.1)
        except ValueError as error:  # a learner with another configuration
            self._logger.error(str(error), throttle_duration_sec=5.0)
            self._stop.wait(0.5)
        return None
