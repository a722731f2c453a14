"""The three other systems of the references: one compiled training loop, three environments, three agents."""
