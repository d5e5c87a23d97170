"""Bones, joints and disease as solids."""
