"""Votes -> verdicts and a report: agreement, consensus, decision rules, annotator quality."""
