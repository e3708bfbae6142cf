"""Whole virtual machines with a Debian kernel of their own, beside the lab's guests: slow, and the real thing."""

from .image import Image, image
from .vm import Vm

__all__ = ["Image", "Vm", "image"]
