"""The docker and its parts; they show the studio and call it, and decide nothing."""
