"""Kinds of checks: each a value that asks the host one question. They look, and change nothing."""
