"""A release -> a Hub repo: what is sent, and sending it."""
