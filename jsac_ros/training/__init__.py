"""Training without ROS: in Gymnasium environments, one update per step, with the parts of a live system."""
