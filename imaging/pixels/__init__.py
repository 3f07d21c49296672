"""Pixel data of every supported transfer syntax, decoded and checked."""
