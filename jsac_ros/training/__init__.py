"""Training without ROS: in Gymnasium environments, one update a step, with the parts of a live system."""
