"""What is written while instances are received: associations, admission, quarantine."""
