"""An actor in shadow mode with networks that are hardly there."""

SIZE, PERIOD_S, SECOND_NS = 31, 0.04, 1_000_000_000
MS_NS = 1_000_000
CONFIG = {
    "run.name": "sim_time", "cameras.wrist.height": SIZE, "cameras.wrist.width": SIZE, "robot.interface": "none",
    "task.type": "shadow", "actions.arm.type": "joint_velocity", "control.period_s": PERIOD_S,
    "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,),
}  # fmt: skip
