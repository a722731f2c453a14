"""The three other systems of the references: one compiled training loop, their environments, an agent each."""

REPORTS = {  # environment -> the module that reports on what was learned in it
    "cartpole": "jsac_ros.references.cartpole",
    "pendulum": "jsac_ros.references.pendulum",
    "rocket_flip_over": "jsac_ros.references.rocket",
    "rocket_landing": "jsac_ros.references.rocket",
}
