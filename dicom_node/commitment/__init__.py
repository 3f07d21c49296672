"""Storage commitment, push model (PS3.4 Annex J), in both roles.

As SCU: `request_sender` sends N-ACTION to destinations, and their reports arrive in `report_receiver`. As SCP: requests of sources arrive
in `request_receiver`, `instance_check` finds out what is safe here, and `report_sender` sends N-EVENT-REPORT.
"""
