"""Payload to facts: one protocol a module, pure functions of bytes."""
