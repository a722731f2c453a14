"""A lab's own task: a bottle is taken by the neck and lifted, gently."""
