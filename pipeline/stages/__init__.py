"""Stages: each reads files, does one thing, writes files. No stage knows another."""
