"""Three published results reproduced: one compiled training loop, their environments and an agent for each."""

REPORTS = {  # environment -> the module that evaluates and plots its training
    "cartpole": "jsac_ros.references.cartpole",
    "pendulum": "jsac_ros.references.pendulum",
    "rocket_flip_over": "jsac_ros.references.rocket",
    "rocket_landing": "jsac_ros.references.rocket",
}
