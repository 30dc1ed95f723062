"""Triage of news and filings about restrictive measures: labels, evidence and grounded briefs."""

__version__ = "0.3.0"
