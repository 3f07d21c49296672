"""The result page for clinicians, as PDF."""
