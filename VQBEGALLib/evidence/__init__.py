"""Evidence: what a study has shown, as tables, figures and a report a person can read."""
