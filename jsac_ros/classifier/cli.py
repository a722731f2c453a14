"""A success classifier: mark what success looks like, learn it from the images, and use its output as the reward.

  jsac-ros classifier record my_robot.yaml --episodes 20         drive, press success where the goal is reached and stay there
  jsac-ros classifier record config/lift.yaml --expert --to marked
                                                                 the scripted expert and random failures, in the simulator
  jsac-ros classifier train runs/NAME/replay --config my_robot.yaml --to lifted
  jsac-ros classifier judge lifted another_store                 precision and recall, and a picture of its worst errors
  jsac-ros run my_robot.yaml task.classifier=lifted              its output is the reward
  jsac-ros train config/lift.yaml task.classifier=lifted         in the simulator, which also knows the true success

A store is the `replay` folder of any run in which a person or a sensor reported success: a step of success is positive, every
other step negative. Whole episodes are held out for the threshold.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from jsac_ros.config import ConfigError

_AFTER_S = 1.0  # that an episode continues after its success
_HELD_OUT = 0.25  # of the episodes
_WORST = 8  # images of a kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="classifier_verb", required=True, metavar="record|train|judge")
    record = verbs.add_parser("record", help="record episodes in which success is marked")
    record.add_argument("config", help="a file or a shipped configuration")
    record.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="section.field=value of the configuration"
    )
    record.add_argument("--episodes", type=int, default=20, metavar="N", help="number of successful episodes (default 20)")
    record.add_argument("--device", default="gamepad", metavar="MAPPING", help="gamepad, spacemouse, keyboard or a file")
    record.add_argument("--expert", action="store_true", help="the task's scripted expert in the simulator, without ROS")
    record.add_argument(
        "--failures", type=int, default=10, metavar="N", help="with --expert: number of failed episodes (default 10)"
    )
    record.add_argument("--seed", type=int, default=0, help="with --expert: seed (default 0)")
    record.add_argument(
        "--to", type=Path, metavar="FOLDER", help="folder of the new store (with a person: `replay` in the run folder)"
    )
    train = verbs.add_parser("train", help="train a classifier on marked episodes")
    train.add_argument("store", nargs="+", help="store with marked episodes")
    train.add_argument("--config", required=True, help="configuration with the cameras to use")
    train.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="folder of the new classifier")
    train.add_argument("--precision", type=float, default=0.99, help="required precision on held-out episodes (default 0.99)")
    train.add_argument(
        "--consecutive", type=int, default=3, metavar="K", help="positive images in a row that count as success (default 3)"
    )
    train.add_argument("--cameras", default="", metavar="NAME,...", help="cameras to use (default: all)")
    train.add_argument("--updates", type=int, default=600, help="gradient steps (default 600)")
    train.add_argument(
        "--seed", type=int, default=0, help="seed of the held-out episodes and the initial parameters (default 0)"
    )
    judge = verbs.add_parser("judge", help="precision, recall and the worst images on marked episodes")
    judge.add_argument("classifier", type=Path, help="folder of the classifier")
    judge.add_argument("store", nargs="+", help="store with marked episodes that were not used for training")
    judge.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="picture to write (default: judged.png in the classifier's folder)"
    )
    judge.add_argument("--json", action="store_true", help="also print one JSON object, as the last line")


def main(arguments: argparse.Namespace) -> int:
    return {"record": _record, "train": _train, "judge": _judge}[arguments.classifier_verb](arguments)


def _record(arguments: argparse.Namespace) -> int:
    arguments.overrides = [f"task.after_success_s={_AFTER_S}", *arguments.overrides]
    store = _recorded_by_the_expert(arguments) if arguments.expert else _recorded_by_a_person(arguments)
    print(f"to learn from it: jsac-ros classifier train {store} --config {arguments.config} --to FOLDER")
    return 0


def _recorded_by_the_expert(arguments: argparse.Namespace) -> Path:
    from jsac_ros import parameters
    from jsac_ros.classifier.record import record

    if arguments.to is None:
        raise ConfigError("--to is missing; expected the folder of a new store with --expert")
    for option in ("episodes", "failures"):
        if (value := getattr(arguments, option)) < 1:
            raise ConfigError(f"--{option} is {value}; expected 1 or more")
    config = parameters.load(arguments.config, dict(map(parameters.parse_override, arguments.overrides)))
    steps = record(config, arguments.episodes, arguments.failures, arguments.to, arguments.seed)
    print(f"{arguments.to}: {arguments.episodes} episodes that succeed, {arguments.failures} that fail, {steps} steps")
    return arguments.to


def _recorded_by_a_person(arguments: argparse.Namespace) -> Path:
    from jsac_ros import demo
    from jsac_ros.replay.copies import snapshot

    folder, _ = demo.drive(argparse.Namespace(**vars(arguments), duration=None, namespace="", open=False))
    store = folder / "replay"
    if arguments.to is not None:
        snapshot(store, arguments.to)
        store = arguments.to
    return store


def _train(arguments: argparse.Namespace) -> int:
    _check(arguments)
    from jsac_ros import parameters
    from jsac_ros.classifier import assess, examples, files, network, training
    from jsac_ros.rig import Rig

    began_s = time.monotonic()
    rig = Rig.of(parameters.load(arguments.config, {"task.classifier": ""}))
    found = examples.read(arguments.store, arguments.consecutive - 1, _cameras(arguments.cameras, rig.images))
    card = training.fresh_card(found.images, arguments.consecutive, arguments.precision)
    if misfits := card.misfits(rig.images):
        raise ConfigError(f"{', '.join(arguments.store)}: {misfits} in {arguments.config}")
    learned, held_out = examples.split(found, _HELD_OUT, arguments.seed)
    recipe = training.Recipe(updates=arguments.updates, shift_pad=getattr(rig.config.agent, "shift_pad", 4))
    params = training.learn(card, learned, recipe, arguments.seed)
    judged = [assess.judged(e, training.scores_of(card, params, e.frames), card.consecutive) for e in held_out]
    threshold, images = assess.choose_threshold(judged, arguments.precision)
    episodes = assess.count_episodes(judged, threshold)
    about = _about(judged, threshold) | {"stores": arguments.store, "learned_from": len(learned), "task": rig.config.task.type}
    files.save(arguments.to, card.model_copy(update={"threshold": threshold, "about": about}), network.to_tensors(params))
    print(
        f"learned from {len(learned)} episodes in {time.monotonic() - began_s:.0f} s; {len(held_out)} held out, "
        f"{sum(one.episode.succeeded for one in judged)} of them succeeded"
    )
    _print(judged, threshold)
    if min(images.precision, episodes.precision) < arguments.precision:
        print(
            f"warning: no threshold reaches a precision of {arguments.precision:.0%} on them; record failures that look like "
            "its false positives"
        )
    print(f"its worst images: jsac-ros classifier judge {arguments.to} STORE; as a reward: task.classifier={arguments.to}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if not 0.0 < arguments.precision <= 1.0:
        raise ConfigError(f"--precision is {arguments.precision}; expected more than 0, at most 1")
    for option, most in (("consecutive", 100), ("updates", 1_000_000)):
        if not 1 <= (value := getattr(arguments, option)) <= most:
            raise ConfigError(f"--{option} is {value}; expected 1 to {most}")
    if arguments.seed < 0:
        raise ConfigError(f"--seed is {arguments.seed}; expected 0 or more")


def _cameras(words: str, known: Any) -> list[str]:
    names = [name for name in words.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--cameras has {unknown[0]!r}; expected some of {', '.join(known) or 'none configured'}")
    return names


def _judge(arguments: argparse.Namespace) -> int:
    from jsac_ros.classifier import assess, examples, files, network, picture, training

    card = files.read_card(arguments.classifier)
    params = network.from_tensors(card, files.read_tensors(arguments.classifier))
    found = examples.read(arguments.store, card.consecutive - 1, card.images)
    if misfits := card.misfits(found.images):
        raise ConfigError(f"classifier {arguments.classifier}: {misfits} in {', '.join(arguments.store)}")
    judged = [assess.judged(e, training.scores_of(card, params, e.frames), card.consecutive) for e in found.episodes]
    _print(judged, card.threshold)
    out = arguments.picture or arguments.classifier / "judged.png"
    rows = (
        ("false positives, or nearest to one", assess.worst(judged, examples.NEGATIVE, _WORST)),
        ("missed successes, or nearest to one", assess.worst(judged, examples.POSITIVE, _WORST)),
    )
    picture.draw(out, rows, card.threshold)
    print(f"worst images: {out}")
    if arguments.json:
        print(json.dumps(_about(judged, card.threshold)))
    return 0


def _print(judged: list[Any], threshold: float) -> None:
    from jsac_ros.training.trials import wilson

    def line(name: str, rightly: int, of: int) -> str:
        low, high = wilson(rightly, of) if of else (0.0, 1.0)
        return f"{name} {rightly} of {of} (95 %: {low:.1%} to {high:.1%})"

    from jsac_ros.classifier import assess

    for what, counts in (
        ("episodes", assess.count_episodes(judged, threshold)), ("images", assess.count_images(judged, threshold)),
    ):  # fmt: skip
        precision, recall = line("precision", counts.rightly, counts.called), line("recall", counts.rightly, counts.there)
        print(f"{what:9} {precision}, {recall}")


def _about(judged: list[Any], threshold: float) -> dict[str, Any]:
    """Counts as JSON."""
    from jsac_ros.classifier import assess

    counts = {"episodes": assess.count_episodes(judged, threshold), "images": assess.count_images(judged, threshold)}
    return {what: c._asdict() | {"precision": c.precision, "recall": c.recall} for what, c in counts.items()}
