"""Accounts of people who use the console: users, sessions, invitations, and limits on failed sign-ins."""
