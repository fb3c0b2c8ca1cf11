"""Votes -> verdicts and a report: agreement, consensus, rules, how good each worker is."""
