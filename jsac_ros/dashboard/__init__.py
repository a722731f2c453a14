"""The dashboard: the data of its node as plain values, and a web application that shows them."""
