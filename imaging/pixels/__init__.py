"""Decoding of pixel data in every supported transfer syntax."""
