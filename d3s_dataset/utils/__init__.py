"""Utilities of all packages: command lines, atomic files, validation of untrusted names and files."""
