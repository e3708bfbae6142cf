"""Kinds of things on a host, each of which can find itself and make itself. They never see the config."""
