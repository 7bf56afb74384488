"""What is asked of many trials: studies, searches, their record and what they cost."""
