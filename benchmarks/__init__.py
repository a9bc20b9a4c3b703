"""What is measured by hand and not by the tests."""
