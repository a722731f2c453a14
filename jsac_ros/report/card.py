"""The model card of a policy: README.md and a picture beside its files, for the policy's users.

It lists observations and actions with units, the training, the success rate with its interval, and how to use the policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsac_ros import documents
from jsac_ros.config import ConfigError
from jsac_ros.control.ending import FALSE_GOAL, MISSED_GOAL
from jsac_ros.files import replaced
from jsac_ros.report import picture
from jsac_ros.report.curve import learning_curve, read_baselines
from jsac_ros.report.intervals import wilson
from jsac_ros.report.style import plt
from jsac_ros.report.summary import Totals, is_complete, truly_succeeded
from jsac_ros.report.tables import BASELINE, number
from jsac_ros.spaces import ActionSpace, Spaces

CARD, PICTURE = "README.md", "picture.png"
_LAST = 50  # episodes that the success rate covers


def write_card(folder: Path, title: str, summary: Mapping[str, Any], totals: Totals) -> list[Path]:
    """Writes the card beside the policy of a run folder; returns the paths, or none if the run has no policy."""
    policy = folder / "policy"
    try:
        about = documents.json_of(documents.read(policy / "policy.json", documents.JSON_BYTES))
    except ValueError:
        return []
    _draw(folder, policy / PICTURE, title, totals)
    with replaced(policy / CARD) as beside:
        beside.write_text(text(title, about, summary, totals))
    return [policy / CARD, policy / PICTURE]


def _draw(folder: Path, out: Path, title: str, totals: Totals) -> None:
    """Draws frames of episodes beside the learning curve, or the curve alone if there are no images."""
    try:
        picture.draw(folder, out)
    except (ConfigError, ValueError):
        figure = learning_curve(totals, read_baselines(folder / BASELINE), title)
        with replaced(out) as beside:
            figure.savefig(beside, dpi=120, format="png")
        plt.close(figure)


def text(title: str, about: Mapping[str, Any], summary: Mapping[str, Any], totals: Totals) -> str:
    """The text of README.md. about: the contents of policy.json."""
    agent, card, spaces = about["agent"], about.get("card", {}), about["spaces"]
    robot = card.get("robot", {}).get("type", "")
    simulated = " (simulated)" if card.get("robot", {}).get("driver") == "sim" else ""
    minutes = (summary.get("duration_s") or 0.0) / 60
    facts = [
        ("task", title),
        *([("robot", f"{robot}{simulated}")] if robot else []),
        ("algorithm", agent["type"]),
        ("trained on", f"{totals.env_steps:,} steps in {totals.episode_count} episodes, {minutes:.1f} minutes"),
        ("updates", f"{totals.updates:,}"),
        *_chosen(card.get("chosen")),
        *_successes(totals),
    ]
    parts = [
        f"# {title}: a policy\n",
        f"![frames of the training, and the learning curve]({PICTURE})\n",
        _table(("", ""), facts),
        "## Observation\n",
        _table(("part", "shape", "values"), [_seen(part) for part in (*spaces["images"], *spaces["vectors"])]),
        "## Action\n",
        _table(("part", "shape", "an action of -1 to 1 commands"), [_done(part) for part in Spaces.from_json(spaces).actions]),
        "## Use\n",
        "    import jsac_ros as jr\n\n"
        '    policy = jr.load("this folder")\n'
        "    action = policy(observation)  # {part: array} as above; the policy stacks frames itself\n",
        "`jsac-ros evaluate FOLDER` measures the success rate; `jsac-ros deploy FOLDER CONFIG` runs the policy on a robot.\n",
    ]
    return "\n".join(parts)


def _chosen(chosen: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Its success in the evaluation for which it was chosen."""
    if not chosen:
        return []
    succeeded, episodes = round(chosen["success"] * chosen["episodes"]), chosen["episodes"]
    low, high = wilson(succeeded, episodes)
    how = f"{succeeded} of {episodes} with {chosen['actions']} actions (95 %: {low:.0%} to {high:.0%})"
    return [("success when chosen", f"{how}; the best of several policies, after {chosen['env_steps']:,} steps")]


def _successes(totals: Totals) -> list[tuple[str, str]]:
    """Success in the last evaluation episodes and in the last training episodes; true success if the task contradicts a
    classifier."""
    found = []
    for what, rows in (("evaluation", totals.evaluations), ("training", totals.episodes)):
        if last := [row for row in rows if is_complete(row)][-_LAST:]:
            found.append((f"success, {what}", share_text([number(row, "success", 0) > 0 for row in last])))
            if any(row.get("reason") in (FALSE_GOAL, MISSED_GOAL) for row in last):
                found.append((f"true success, {what}", share_text([truly_succeeded(row) for row in last])))
    return found


def share_text(successes: Sequence[bool]) -> str:
    """'90 % of the last 50 episodes (95 %: 79 to 96 %)'."""
    succeeded, count = sum(successes), len(successes)
    low, high = wilson(succeeded, count)
    return f"{succeeded / count:.0%} of the last {count} episodes (95 %: {low:.0%} to {high:.0%})"


def _seen(part: Mapping[str, Any]) -> tuple[str, str, str]:
    if "height" in part:
        shape = [part["height"], part["width"], part["channels"] * part["stack"]]
        kind = {1: "grey or depth"}.get(part["channels"], "RGB")
        return f"`{part['name']}`", f"uint8 {shape}", f"{kind}, {part['stack']} frames, oldest first"
    shape = f"float32 [{part['size']}]" + (f", {'x'.join(map(str, part['map']))}" if part.get("map") else "")
    return f"`{part['name']}`", shape, f"{part['unit']}{_bounds(part)}"


def _bounds(part: Mapping[str, Any]) -> str:
    low, high = part.get("low") or (), part.get("high") or ()
    return f", {min(low):g} to {max(high):g}" if low and high else ""


def _done(part: ActionSpace) -> tuple[str, str, str]:
    shape = f"one of {part.choices}" if part.choices else f"{part.dtype} [{part.size}] in [-1, 1]"
    return f"`{part.name}`", shape, part.command


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
