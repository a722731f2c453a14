"""Learning in an environment with one process: act, store, sample, update, in turn.

The learning loop is `agent/learning.py`, as in a live system; its batches come from `Training.batches`, which steps the
environment. A run folder holds what a live run's does: config.yaml, spaces.json, replay/, checkpoints/, policy/, tables,
events, summary, curve and report; and demonstrations/, if a scripted expert recorded any.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jsac_ros import agent as algorithms
from jsac_ros import parameters, provenance
from jsac_ros.agent import export
from jsac_ros.agent.agent import Params, TrainState, with_encoder
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.agent.learning import Learner
from jsac_ros.agent.policy import action_key, make_act, random_action
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.replay.interventions import Interventions
from jsac_ros.replay.ring import Returned
from jsac_ros.replay.samplers import Sampler, open_demonstrations
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import with_copies, write_spaces
from jsac_ros.spaces import Spaces
from jsac_ros.training.demonstrations import record
from jsac_ros.training.disk import Disk
from jsac_ros.training.episodic import Choose, Places
from jsac_ros.training.evaluation import SEED, Episode, episode_of, evaluate
from jsac_ros.training.log import TrainingLog
from jsac_ros.training.progress import ProgressBar
from jsac_ros.types import Action, Batch, Observation, Transition, empty_batch

DEMONSTRATIONS = "demonstrations"  # a store in the run folder
_SHOWN_SEED = 20_000  # added to the seed of a training for demonstrations


class Training:
    """A training. Close it: closing writes the last checkpoint, the policy and the report."""

    def __init__(
        self, config: SystemConfig, spaces: Spaces, places: Places, folder: Path, shown: bool = True,
        sections: Collection[str] = (),
    ):  # fmt: skip
        """shown: progress on the terminal. sections: those of the configuration that apply here; none: all.

        Continues a training in `folder`, if there is one. Raises ConfigError, or another ValueError with one
        line, if something there has another configuration or is in use.
        """
        self.config, self.spaces, self.folder = config, spaces, folder
        self.agent = algorithms.build(config.agent, spaces)
        self._act = make_act(self.agent)
        self.disk = Disk(lambda line: self.bar.say(line))
        with ExitStack() as opened:
            self._open(opened, places)
            state, self._begin, begin_s = self._first_state()
            self.learner = Learner(self.agent, state, config.learner.devices)
            self._opened = opened.pop_all()
        parameters.dump(with_copies(config, folder), folder / "config.yaml", sections)
        write_spaces(folder, spaces)
        provenance.write(folder)
        self._random = np.random.default_rng((config.run.seed, self._session))
        self._alone, self._evaluation_due = places.alone, False
        self.bar = ProgressBar(config.train.environment, self._begin, config.train.steps, shown)
        robot, session = self.environment.robot, self._session
        self.log = TrainingLog(folder, config, robot, session, self._begin, begin_s, say=self.bar.say, disk=self.disk)
        self.done = self._begin  # steps of the environment
        self._is_enough = False  # an evaluation reached `train.stop_at_success`
        self._candidates: deque[tuple[int, Params]] = deque(maxlen=config.train.candidates)  # steps of the training, policy
        self._chosen: tuple[Params, dict[str, Any]] | None = None  # the best of them and the note for its card
        self._drawn: list[np.ndarray] = []  # index of every batch in use

    def _open(self, opened: ExitStack, places: Places) -> None:
        """Opens store, checkpoints, environments and demonstrations."""
        config, replay = self.config, self.config.replay
        self.folder.mkdir(parents=True, exist_ok=True)
        place = Path(replay.folder).expanduser() if replay.folder else self.folder / "replay"
        self.store = FrameStore.open(place, self.spaces, replay.capacity)
        opened.callback(self.store.close)
        self.checkpoints = Checkpoints(self.folder / "checkpoints", self.agent, config.learner.keep_checkpoints)
        # It waits for the last one, which is written in the background
        opened.callback(lambda: self.disk.tries("the last checkpoint", self.checkpoints.close))
        self._session = 1 + int(self.store.rows["session"][self.store.live_slots()].max(initial=0))
        seed = config.run.seed + self._session
        self.environment, self._test = places.learning(seed, self._session), places.test(seed + SEED, self._session)
        for environment in (self.environment, self._test):
            opened.callback(environment.close)
        demonstrations = open_demonstrations(self._demonstrated(places), self.spaces)
        if demonstrations is not None:
            opened.callback(demonstrations.close)
        self._interventions = Interventions(self.store, replay.intervention_capacity)
        opened.callback(self._interventions.close)
        n_step, discount = config.agent.n_step, config.agent.discount
        self._sampler = Sampler(replay, self.store, n_step, discount, demonstrations, self._interventions)

    def _demonstrated(self, places: Places) -> str:
        """Folder of the demonstrations, recorded now if configured; '' for none."""
        config, folder = self.config, self.folder / DEMONSTRATIONS
        if not config.train.demonstrations:
            return config.replay.demonstrations
        if not folder.exists():
            with closing(places.learning(config.run.seed + _SHOWN_SEED, self._session)) as environment:
                record(environment, config.train.demonstrations, folder, self.spaces)
        return str(folder)

    def _first_state(self) -> tuple[TrainState, int, float]:
        """The state of the newest checkpoint, with its steps and seconds, or a fresh one."""
        if self.checkpoints.latest() is not None:
            state, counters = self.checkpoints.restore()
            if "env_steps" not in counters:
                raise ConfigError(f"{self.folder} is of a live run; expected one of `jsac-ros train`")
            return state, counters["env_steps"], counters["time_s"]
        state, encoder = self.agent.init(self.config.run.seed), self.config.learner.encoder
        if encoder:
            state = with_encoder(state, export.load(encoder).params["encoder"])
        return state, 0, 0.0

    # -- learning ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Trains to the configured number of steps. Raises NotFinite, or ConfigError if the environment's code fails."""
        seconds = self.learner.compile(self.config.replay.batch_size)
        self.bar.say(f"{self.config.agent.type}: compiled the update in {seconds:.1f} s")
        self.learner.learn(
            self.batches(), give_back=self._give_back, on_skipped=self._name_skipped,
            max_skipped_updates=self.config.learner.max_skipped_updates,
        )  # fmt: skip
        if len(self._candidates) > 1:
            self._choose_best()

    def batches(self) -> Iterator[Batch]:
        """Steps the environment and yields a batch for every update that is due; two alternate, so that the next is filled
        while one is learned from."""
        config, environment, over = self.config, self.environment, True
        turn = [empty_batch(self.spaces, config.replay.batch_size, config.agent.n_step) for _ in range(2)]
        owed, per_step = 0.0, config.replay.min_updates_per_step or 1.0
        while self.done < config.train.steps and not self._is_enough:
            observation = environment.reset() if over else environment.observation
            transitions, over = self._step(observation)
            self._keep_steps(transitions, self.disk.waits)
            self.done += 1
            owed += per_step if self.done > config.replay.warmup_steps else 0.0
            while owed >= 1.0 and self._sampler.sample_into(self._random, turn[0]):
                owed -= 1.0
                self._drawn.append(turn[0].index)
                yield turn[0]
                turn.reverse()
            if over:
                self._write_episode()
            self._after_step(over)

    def _step(self, observation: Observation) -> tuple[list[Transition], bool]:
        """One step of the environment, by the scripted person if it has taken over."""
        action = self.environment.intervention()
        if action is not None:
            return self.environment.act(action, version=-1, intervened=True)
        return self.environment.act(self._explore(observation), self.learner.updates)

    def _keep_steps(self, transitions: list[Transition], written: Callable[[str, Callable[[], None]], object]) -> None:
        for transition in transitions:
            written("replay", lambda: self._interventions.add(transition))
            written("replay", lambda: self.store.append(transition))

    def _explore(self, observation: Observation) -> Action:
        key = action_key(self.config.run.seed, self._session, self.done)
        if self.done < self.config.replay.warmup_steps:
            return random_action(key, self.spaces)
        return self._act(self.learner.policy_params(), observation, key, False)

    def _ways(self, params: Params) -> dict[str, Choose]:
        """The kinds of actions that an evaluation uses: "best", and if configured "sampled", as in exploration."""

        def sampled(observation: Observation) -> Action:
            key = action_key(self.config.run.seed + SEED, self._test.episode, self._test.step)
            return self._act(params, observation, key, False)

        best = lambda observation: self._act(params, observation, np.zeros(2, np.uint32), True)
        return {"best": best} | ({"sampled": sampled} if self.config.train.evaluate_sampled else {})

    def _give_back(self, td_error: np.ndarray | None) -> None:
        index = self._drawn.pop(0)
        if td_error is not None:
            self._sampler.feedback(Returned(index, td_error))

    def _name_skipped(self, batch: Batch, td_error: np.ndarray) -> None:
        bad = batch.index[~np.isfinite(td_error)].tolist()
        which = f"rows {bad} of the store" if bad else "its gradient, not a transition in it"
        self.bar.say(f"update {self.learner.updates} skipped: not finite because of {which}")

    # -- beside it -----------------------------------------------------------------------------------------------

    def _after_step(self, over: bool) -> None:
        """Evaluates and saves when due, and writes a row every second."""
        train, last = self.config.train, self.done == self.config.train.steps
        self._evaluation_due |= self.done % train.evaluate_every == 0 or last
        if self._evaluation_due and (over or last or not self._alone):
            self._evaluation_due = False
            self._evaluate(over)
            self._keep()
        if self.log.due() or last:
            self._write_row()
        self.bar.show(self.done, self.log.last_ten)

    def _evaluate(self, over: bool) -> None:
        """over: no episode of the training is open."""
        if self._alone and not over:
            self._stop_episode()
        train = self.config.train
        for way, choose in self._ways(self.learner.policy_params()).items():
            episodes = evaluate(self._test, choose, train.evaluation_episodes, self.done, sampled=way == "sampled")
            for episode in episodes:
                self.log.episode(episode, self._test.episode - 1, self.learner.updates)
            self.bar.say(f"{self.done:>9,} steps  evaluation of {way} actions: {_result(episodes)}")
            success = np.mean([episode.success for episode in episodes])
            self._is_enough |= bool(0 < train.stop_at_success <= success)
        if train.candidates > 1 and self.learner.updates:
            self._candidates.append((self.done, jax.device_get(self.learner.policy_params())))

    def _choose_best(self) -> None:
        """The candidate and the kind of actions that do best in new episodes: policies differ from one evaluation to the
        next by more than they learn in between."""
        most = (-1.0, -np.inf)
        for steps, params in self._candidates:
            for way, choose in self._ways(params).items():
                episodes = evaluate(self._test, choose, self.config.train.evaluation_episodes)
                success = float(np.mean([episode.success for episode in episodes]))
                mean = float(np.mean([episode.episode_return for episode in episodes]))
                self.bar.say(f"{steps:>9,} steps  again, {way} actions: {_result(episodes)}")
                if (success, mean) > most:
                    most = (success, mean)
                    said = {"env_steps": steps, "actions": way, "success": success, "episodes": len(episodes)}
                    self._chosen = params, {"chosen": said}

    def _write_episode(self, stopped: bool = False) -> None:
        episode = episode_of(self.environment, self.done)
        self.log.episode(episode, self.environment.episode - 1, self.learner.updates, stopped)

    def _stop_episode(self) -> None:
        """Closes the open episode, if there is one."""
        if transitions := self.environment.stop():
            self._keep_steps(transitions, self.disk.tries)
            self._write_episode(stopped=True)

    def _write_row(self) -> None:
        learner, steps = self.learner, self.done - self._begin
        metrics = {f"learner.metric.{name}": float(value) for name, value in learner.metrics.items()}
        self.log.row(
            steps,
            learner.updates,
            {
                "control.episode": self.environment.episode, "control.step": self.environment.step,
                "learner.update_ms": 1e3 * learner.update_s, "replay.received": steps, "replay.lost": 0,
                "replay.stored": self.store.stored,
            } | metrics,
        )  # fmt: skip

    @property
    def _is_interrupted(self) -> bool:
        """Whether an interrupt came while the state was being replaced."""
        return self.learner.state.step.is_deleted()

    def _keep(self) -> None:
        """Writes a checkpoint, if anything was learned."""
        if not self._is_interrupted and self.learner.updates:
            counters = {"env_steps": self.done, "time_s": self.log.time_s()}
            self.disk.tries("checkpoints", lambda: self.checkpoints.save(self.learner.state, counters))

    def close(self) -> None:
        """Saves the result, however the training ended. Raises ConfigError if something has no room on the disk."""
        self.bar.close()
        with self._opened:
            self._stop_episode()
            self._keep()
            if not self._is_interrupted:
                card = {"train": self.config.train.model_dump(mode="json"), "env_steps": self.done}
                params, chosen = self._chosen or (self.learner.policy_params(), {})
                card |= chosen | self.environment.card
                self.disk.tries("policy", lambda: export.save(self.folder / "policy", params, self.agent, card))
        self.disk.tries("report", self.log.close)
        self.disk.check()


def _result(episodes: list[Episode]) -> str:
    """Mean return, and the number of successes if there are any."""
    mean, successes = np.mean([episode.episode_return for episode in episodes]), sum(episode.success for episode in episodes)
    return f"return {mean:10.1f}" + (f", success {successes} of {len(episodes)}" if successes else "")
