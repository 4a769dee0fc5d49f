"""Backbones, the boost head, and both together as one network."""
