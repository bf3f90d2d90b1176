"""What is handed to others: metadata of recordings in the forms of Croissant and Lhotse, and the mirror in MLflow.

One way only: nothing is read back, and what is here stays the truth.
"""
