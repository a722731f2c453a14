"""Learns in a Gymnasium environment, one update per step, or in one of the references' environments.

  jsac-ros train Pendulum-v1                        state
  jsac-ros train Reacher-v5 --observe image         pixels; also `both` (needs gymnasium[mujoco] and a GL)
  jsac-ros train Hopper-v5 --steps 300000 agent.hidden=[256,256]
  jsac-ros train Pendulum-v1 --resume runs/pendulum_v1_20260101_120000 --steps 40000
  jsac-ros train Hopper-v5 --asynchronous           with the live system's learner and replay processes
  jsac-ros train cartpole                           the references: cartpole, pendulum, rocket_... (all compiled)

This file is the whole of it: `learn` is the loop, everything it calls is a part that the live system uses too. A run
folder holds config.yaml, replay/, checkpoints/, policy/, tensorboard/, episodes.csv, learning_curve.png, video.mp4.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import numpy as np

from jsac_ros import config as configuration
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.references import cli as references

# The write-up's architecture for simulated benchmarks, in a size and with rates that a CPU learns with in minutes.
DEFAULTS = {
    "agent.layer_norm": False, "agent.weight_clip": False, "agent.hidden": (256, 256), "agent.q_count": 2,
    "agent.learning_rate": 1e-3, "agent.temperature_learning_rate": 1e-3, "agent.initial_temperature": 0.2,
    "agent.max_gradient_norm": 10.0, "replay.batch_size": 128, "replay.capacity": 300_000,
    "replay.warmup_steps": 1000, "replay.min_updates_per_step": 1.0, "camera.height": 64, "camera.width": 64, "task.stack": 3,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", help=f"a Gymnasium id, or one of {', '.join(references.REPORTS)}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="section.field=value of the configuration")
    parser.add_argument("--agent", choices=["dqn", "sac_v", "jsac"], help="another algorithm than the configuration's")
    parser.add_argument("--seeds", type=int, metavar="N", help="references: so many at once")
    parser.add_argument("--compare", type=int, metavar="N", help="references: only measure")
    parser.add_argument("--observe", choices=["proprioception", "image", "both"], help="default: proprioception")
    parser.add_argument("--steps", type=int, help="environment steps in all, resumed ones included; default: 20000")
    parser.add_argument("--evaluate-every", type=int, metavar="STEPS", help="default: 5000")
    parser.add_argument("--asynchronous", action="store_true", help="act, store and learn in processes of their own (needs ROS 2)")
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with this run")


def main(arguments: argparse.Namespace) -> int:
    _check(arguments)
    if arguments.environment in references.REPORTS:
        arguments.seeds = arguments.seeds or 1
        return references.main(arguments)
    config, steps = configure(arguments), arguments.steps or 20_000
    if arguments.asynchronous:
        return asynchronous(config, arguments.environment, steps)
    if config.learner.resume:
        raise ConfigError(f"learner.resume is {config.learner.resume}; expected --resume without --asynchronous")
    folder = arguments.resume or Path(config.run.folder) / f"{config.run.name}_{time.strftime('%Y%m%d_%H%M%S')}"
    try:
        learn(config, arguments.environment, steps, folder)
    except ValueError as error:  # shapes that do not go together, another run's store or checkpoint
        raise ConfigError(str(error)) from None
    print(f"run folder: {folder}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises ConfigError where an option is given that would change nothing, or that nothing comes of."""

    def refuse(why: str, *names: str) -> None:
        for name in names:
            if (value := getattr(arguments, name)) not in (None, False):
                raise ConfigError(f"--{name.replace('_', '-')} {value} does not apply: {why}")

    if arguments.environment in references.REPORTS:
        gymnasium_only = ("steps", "observe", "evaluate_every", "asynchronous", "resume")
        refuse("references take their size from the configuration", *gymnasium_only)
    else:
        refuse(f"expected one of {', '.join(references.REPORTS)} with it", "seeds", "compare")
    if arguments.resume:
        refuse("the run that goes on has its own", "agent", "observe")
    if arguments.asynchronous:
        refuse(f"expected learner.resume={arguments.resume} with --asynchronous", "resume")
    for name in ("steps", "evaluate_every"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}; expected at least 1")


def configure(arguments: argparse.Namespace) -> SystemConfig:
    changes = dict(configuration.parse_override(text) for text in arguments.overrides)
    if arguments.evaluate_every:
        changes["train.evaluate_every"] = arguments.evaluate_every
    if arguments.resume:
        config = configuration.load(arguments.resume / "config.yaml", changes)
        if config.train.gymnasium not in ("", arguments.environment):
            of = config.train.gymnasium
            raise ConfigError(f"--resume {arguments.resume}: is of {of}; expected {arguments.environment}")
        return config
    name = re.sub(r"[^a-z0-9]+", "_", arguments.environment.lower()).strip("_")[:32]
    observe = arguments.observe or "proprioception"
    values = DEFAULTS | {"run.name": name, "task.observe": observe, "train.gymnasium": arguments.environment}
    if arguments.agent:
        values["agent.algorithm"] = arguments.agent
    changed = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    return configuration.from_parameters(values | changed)


def asynchronous(config: SystemConfig, environment: str, steps: int) -> int:
    """The live system with `nodes/environment.py` in the place of robot and actor; -> exit status."""
    from jsac_ros import run, system
    from jsac_ros.envs.gymnasium_task import make, spec_of

    spec = spec_of(make(environment, False), config)
    values = {
        "train.steps": steps, "train.gymnasium_state": spec.proprioception,
        "train.gymnasium_actions": spec.action, "train.gymnasium_choices": spec.choices, "robot.driver": "gymnasium",
    }  # fmt: skip
    config = configuration.from_parameters(configuration.to_parameters(config) | values)
    system.check(config)
    return run.run(config)


def learn(config: SystemConfig, environment: str, steps: int, folder: Path) -> None:
    """The synchronous loop: act, store, sample, update; now and then evaluate and checkpoint."""
    from jsac_ros.agent import export
    from jsac_ros.agent.algorithm import algorithm_of
    from jsac_ros.agent.checkpoint import Checkpoints
    from jsac_ros.agent.policy import action_key
    from jsac_ros.agent.state import with_encoder
    from jsac_ros.agent.update import compile_update, refuse_to_go_on
    from jsac_ros.envs.gymnasium_task import GymnasiumTask, evaluate, make, record_video, spec_of
    from jsac_ros.replay.ring import Returned
    from jsac_ros.replay.samplers import Sampler
    from jsac_ros.replay.store import FrameStore
    from jsac_ros.report.training_log import TrainingLog
    from jsac_ros.types import Batch, batch_layout

    pixels = config.task.observe != "proprioception"
    env, seed = make(environment, pixels, config.camera), config.run.seed
    spec, agent = spec_of(env, config), algorithm_of(config.agent)
    state, begin = agent.create(config.agent, spec, seed), 0
    folder.mkdir(parents=True, exist_ok=True)
    store = FrameStore.open(Path(config.replay.folder or folder / "replay").expanduser(), spec, config.replay.capacity)
    session = 1 + int(store.rows["session"][store.live_slots()].max(initial=0))
    checkpoints = Checkpoints(folder / "checkpoints", config.agent, spec, config.learner.keep_checkpoints)
    if config.learner.encoder:
        state = with_encoder(state, export.load(config.learner.encoder).params["encoder"])
    if checkpoints.latest() is not None:
        state, counters = checkpoints.restore()
        if "env_steps" not in counters:
            raise ValueError(f"{folder}: is of a live run; expected one of `jsac-ros train {environment}`")
        begin = counters["env_steps"]
    configuration.dump(config, folder / "config.yaml")
    update, act = agent.make_update(config.agent, spec), agent.make_act(config.agent, spec)
    seconds = compile_update(update, state, spec, config.replay.batch_size, config.agent.n_step)
    print(f"compiled the update in {seconds:.1f} s", flush=True)
    sampler = Sampler(config.replay, store, config.agent.n_step, config.agent.discount)
    layout = batch_layout(spec, config.replay.batch_size, config.agent.n_step)
    rng, log = np.random.default_rng((seed, session)), TrainingLog(folder, begin)
    task = GymnasiumTask(env, spec, seed + session, session)
    test = GymnasiumTask(make(environment, pixels, config.camera), spec, seed + 10_000)

    def best_action(observation) -> np.ndarray:
        return np.asarray(act(agent.policy_parameters(state), *observation, np.zeros(2, np.uint32), True))

    def keep(done: int) -> None:
        if state.step.is_deleted() or not int(state.step):  # interrupted within an update, or nothing learned yet
            return
        checkpoints.save(state, {"env_steps": done})

    observation, metrics, done = task.reset(), {}, begin
    try:
        for step in range(begin, steps):
            key = action_key(seed, session, step)
            if step < config.replay.warmup_steps:
                action = task.random_action(key)
            else:
                action = np.asarray(act(agent.policy_parameters(state), *observation, key, False))
            rows, over = task.act(action)
            for row in rows:
                store.append(row)
            if over:
                log.episode(step + 1, task.episode_return, task.step, metrics)
            observation = task.reset() if over else task.observation
            if step >= config.replay.warmup_steps:
                batch = Batch(**{name: np.empty(shape, dtype) for name, (shape, dtype) in layout.items()})
                if sampler.sample_into(rng, batch):
                    state, metrics = update(state, batch)
                    sampler.feedback(Returned(batch.index, np.asarray(metrics["td_error"])))
                    refuse_to_go_on(state, batch, config.learner.max_skipped_updates)
            done = step + 1
            if done % config.train.evaluate_every == 0 or done == steps:
                log.evaluation(done, evaluate(test, best_action))
                keep(done)
    finally:  # also when it is interrupted: it can go on from here
        keep(done)
        checkpoints.close()
        store.close()
    about = {"environment": environment, "observe": config.task.observe, "env_steps": steps}
    export.save(folder / "policy", agent.policy_parameters(state), config.agent, spec, about)
    log.close(environment)
    record_video(environment, spec, best_action, folder / "video.mp4")
