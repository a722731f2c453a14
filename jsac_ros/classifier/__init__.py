"""A success classifier: from images that a person has marked to a reward that any task can name (`task.classifier`)."""
