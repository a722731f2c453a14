"""A success classifier: from images marked by a person to a reward for any task (`task.classifier`)."""
