"""The physical simulator: a UR5e with a gripper, contact, cameras and a force sensor, in MuJoCo."""

import ctypes.util
import os

# Set before MuJoCo is imported: render without a display, and with one thread, as a software renderer would take every core.
os.environ.setdefault("MUJOCO_GL", "egl" if ctypes.util.find_library("EGL") else "osmesa")
os.environ.setdefault("LP_NUM_THREADS", "1")
