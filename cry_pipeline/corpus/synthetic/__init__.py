"""Made-up donors: who uploads what (plan.py), how it sounds (voices.py), and the files (files.py)."""
